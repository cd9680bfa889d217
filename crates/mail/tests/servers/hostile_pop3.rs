//! What a POP3 server may do to whoever asks it for mail.

use std::time::Duration;

use domain::{
    account::{Protocol, Security, Trust},
    check::{ErrorKind, Stage},
};
use service::ports::{Listing, RemoteKey};
use tokio::time::Instant;

use crate::support::{
    HANG, PASSWORD, SIZE_LIMIT, assert_error, fetch, hasty, open, patient,
    peer::{Peer, Script},
    visit,
};

const START_TLS: Security = Security::StartTls(Trust::SkipCertificate { until: None });

fn greeted() -> Script {
    Script::default().send("+OK ready\r\n")
}

fn signed_in() -> Script {
    greeted()
        .answer("CAPA", "-ERR what\r\n")
        .answer("USER user", "+OK\r\n")
        .answer(PASSWORD, "+OK\r\n")
        .answer("CAPA", "-ERR what\r\n")
        .answer("STAT", "+OK 2 100\r\n")
}

fn listing(list: &str, uidl: &str) -> Script {
    signed_in().answer("LIST", format!("+OK\r\n{list}.\r\n")).answer("UIDL", format!("+OK\r\n{uidl}.\r\n"))
}

fn key(uidl: &str) -> RemoteKey {
    RemoteKey::Uidl(uidl.to_owned())
}

async fn fails(script: Script, security: Security, kind: ErrorKind, stage: Stage) {
    let peer = Peer::start(script).await;
    let result = open(patient(), &visit(Protocol::Pop3, security, peer.port)).await;
    assert_error(result, kind, stage);
    let recording = peer.end().await;
    if security.is_secure() {
        recording.assert_no_secret();
    }
}

#[tokio::test]
async fn greetings_that_are_none_end_the_visit_before_a_word_is_said() {
    for security in [Security::Plain, START_TLS] {
        for (greeting, kind) in [
            ("-ERR [IN-USE] locked\r\n", ErrorKind::Throttled),
            ("* OK IMAP4rev1\r\n", ErrorKind::Protocol),
            ("\r\n", ErrorKind::Protocol),
        ] {
            fails(Script::default().send(greeting), security, kind, Stage::Greeting).await;
        }
        fails(Script::default().close(), security, ErrorKind::Protocol, Stage::Greeting).await;
        fails(Script::default().flood("x".repeat(65_536)), security, ErrorKind::Protocol, Stage::Greeting).await;
    }
}

#[tokio::test]
async fn a_silent_server_runs_into_the_deadline() {
    for script in [Script::default(), greeted(), signed_in()] {
        let peer = Peer::start(script).await;
        let began = Instant::now();
        let visit = visit(Protocol::Pop3, Security::Plain, peer.port);
        let kind = match open(hasty(), &visit).await {
            Ok((mut mailbox, _)) => mailbox.list().await.err().map(|it| it.kind),
            Err(error) => Some(error.kind),
        };
        assert_eq!(kind, Some(ErrorKind::Timeout));
        assert!(began.elapsed() < HANG / 2, "{:?}", began.elapsed());
        peer.end().await;
    }
}

#[tokio::test]
async fn stls_fails_closed() {
    fails(greeted().answer("STLS", "-ERR not today\r\n"), START_TLS, ErrorKind::Tls, Stage::Tls).await;
    let peer = Peer::start(greeted().answer("STLS", "+OK begin\r\n+OK injected\r\n")).await;
    let result = open(patient(), &visit(Protocol::Pop3, START_TLS, peer.port)).await;
    assert!(matches!(result.err().map(|it| it.stage), Some(Stage::Tls)));
    peer.end().await.assert_no_secret();
}

#[tokio::test]
async fn a_refused_password_is_told_from_a_server_that_cannot_now() {
    for (answer, kind, is_certain) in [
        ("-ERR [AUTH] wrong\r\n", ErrorKind::Authentication, true),
        ("-ERR wrong, or not\r\n", ErrorKind::Authentication, false),
        ("-ERR [SYS/TEMP] later\r\n", ErrorKind::Throttled, false),
        ("-ERR [IN-USE] locked\r\n", ErrorKind::Throttled, false),
        ("-ERR [LOGIN-DELAY] wait\r\n", ErrorKind::Throttled, false),
    ] {
        let script = greeted().answer("CAPA", "-ERR\r\n").answer("USER user", "+OK\r\n").answer(PASSWORD, answer);
        let peer = Peer::start(script).await;
        let result = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await;
        assert_eq!(assert_error(result, kind, Stage::Authenticate).is_certain, is_certain, "{answer}");
        peer.end().await;
    }
}

/// A header as TOP gives it.
const HEADER: &str = "+OK\r\nSubject: x\r\n\r\n.\r\n";

fn keys(listing: &Listing) -> Vec<RemoteKey> {
    listing.messages.iter().map(|it| it.key.clone()).collect()
}

/// The name of a message without one: what its header and its size make of it.
fn content(header: &str, size: u64, nth: u32) -> RemoteKey {
    let bytes = [header.as_bytes(), &size.to_be_bytes()].concat();
    RemoteKey::Content { hash: blake3::hash(&bytes).to_hex().to_string(), nth }
}

#[tokio::test]
async fn without_uidl_messages_are_known_by_their_content() {
    let script = signed_in()
        .answer("LIST", "+OK\r\n1 5\r\n2 5\r\n3 6\r\n.\r\n")
        .answer("UIDL", "-ERR what\r\n")
        .answer("TOP 1 0", HEADER)
        .answer("TOP 2 0", HEADER)
        .answer("TOP 3 0", HEADER)
        .answer("RETR 2", "+OK\r\nsecond\r\n.\r\n")
        .answer("QUIT", "+OK\r\n");
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let header = "Subject: x\r\n\r\n";
    assert_eq!(keys(&listing), [content(header, 5, 0), content(header, 5, 1), content(header, 6, 0)]);
    assert_eq!(listing.n_unidentified, 3);
    let (fetched, result) = fetch(&mut *mailbox, listing.messages[1..2].to_vec()).await;
    result.unwrap();
    assert_eq!(fetched.messages, [(content(header, 5, 1), b"second\r\n".to_vec())]);
    // A name that is ours deletes nothing: QUIT is all that the server hears.
    assert_eq!(mailbox.delete(&keys(&listing)).await.unwrap(), []);
    mailbox.close().await;
    let recording = peer.end().await;
    assert!(!String::from_utf8_lossy(&recording.received).contains("DELE"));
}

#[tokio::test]
async fn messages_without_a_name_of_their_own_are_counted_and_known_by_their_content() {
    let script = listing("1 5\r\n2 5\r\n3 5\r\n4 5\r\nx y\r\n", "1 same\r\n2 same\r\n3 own\r\n\r\n")
        .answer("TOP 1 0", "-ERR what\r\n")
        .answer("TOP 2 0", HEADER)
        .answer("TOP 4 0", "-ERR what\r\n")
        .answer("RETR 1", "+OK\r\nSubject: x\r\n\r\nbody\r\n\r\n.\r\n")
        .answer("RETR 4", "-ERR nor this\r\n");
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let header = "Subject: x\r\n\r\n";
    assert_eq!(keys(&listing), [content(header, 5, 0), content(header, 5, 1), key("own")]);
    assert_eq!(listing.n_unidentified, 3);
    drop(mailbox);
    peer.end().await;
}

/// The message as it is sent, and as it must arrive.
async fn arrives(wire: &[u8], message: &[u8]) {
    let script = listing("1 5\r\n2 5\r\n", "1 one\r\n2 two\r\n")
        .answer("RETR 1", "+OK\r\n")
        .send(wire)
        .answer("RETR 2", "+OK\r\nafter\r\n.\r\n");
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
    result.unwrap();
    assert_eq!(fetched.messages.len(), 2);
    let (found, wanted) = (String::from_utf8_lossy(&fetched.messages[0].1), String::from_utf8_lossy(message));
    assert_eq!(found, wanted);
    assert_eq!(fetched.messages[1].1, b"after\r\n");
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn messages_arrive_byte_for_byte() {
    arrives(b"..\r\n...\r\n.a\r\n\r\n.\r\n", b".\r\n..\r\na\r\n\r\n").await;
    arrives(b"\0\xff\x80 8 bits\r\n.\r\n", b"\0\xff\x80 8 bits\r\n").await;
    arrives(b".\r\n", b"").await;
}

/// A message with a bare LF before a dot could end itself, and what follows would be read as the server's own words.
#[tokio::test]
async fn a_bare_line_feed_ends_neither_line_nor_message() {
    arrives(b"a\n.\r\n-ERR smuggled\r\n.\r\n", b"a\n.\r\n-ERR smuggled\r\n").await;
    arrives(b"a\nb\rc\r\r\n.\r\n", b"a\nb\rc\r\r\n").await;
}

#[tokio::test]
async fn a_server_that_ends_every_line_with_a_bare_line_feed_is_understood() {
    let script = Script::default()
        .send("+OK ready\n")
        .answer("CAPA", "-ERR\n")
        .answer("USER", "+OK\n")
        .answer(PASSWORD, "+OK\n")
        .answer("CAPA", "-ERR\n")
        .answer("STAT", "+OK 1 5\n")
        .answer("LIST", "+OK\n1 5\n.\n")
        .answer("UIDL", "+OK\n1 one\n.\n")
        .answer("RETR 1", "+OK\n..\nb\n.\n");
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
    result.unwrap();
    assert_eq!(fetched.messages[0].1, b".\r\nb\r\n");
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn the_end_of_a_message_is_found_wherever_the_network_cuts() {
    let wire = b"Subject: x\r\n\r\n..dot\r\n.\r\n";
    for cut in 1..wire.len() {
        let script = listing("1 5\r\n", "1 one\r\n").answer("RETR 1", "+OK\r\n").send(&wire[..cut]).send(&wire[cut..]);
        let peer = Peer::start(script).await;
        let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
        let listing = mailbox.list().await.unwrap();
        let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
        result.unwrap();
        assert_eq!(fetched.messages[0].1, b"Subject: x\r\n\r\n.dot\r\n", "cut at {cut}");
        drop(mailbox);
        peer.end().await;
    }
}

#[tokio::test]
async fn a_cut_message_is_not_taken_and_a_refused_one_stops_nothing() {
    let script = listing("1 5\r\n2 5\r\n3 5\r\n", "1 one\r\n2 two\r\n3 three\r\n")
        .answer("RETR 1", "-ERR cannot read it\r\n")
        .answer("RETR 2", "+OK\r\nwhole\r\n.\r\n")
        .answer("RETR 3", "+OK\r\nhalf\r\n")
        .close();
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert_eq!(fetched.messages, [(key("two"), b"whole\r\n".to_vec())]);
    assert_eq!(fetched.failed.iter().map(|it| it.0.clone()).collect::<Vec<_>>(), [key("one")]);
}

#[tokio::test]
async fn a_message_longer_than_is_taken_is_passed_over_and_the_next_one_arrives() {
    let long = format!("+OK\r\n{}.\r\n", "zzzzzzzz\r\n".repeat(usize::try_from(SIZE_LIMIT).unwrap() / 10 + 1));
    let script = listing("1 5\r\n2 5\r\n", "1 one\r\n2 two\r\n")
        .answer("RETR 1", long)
        .answer("RETR 2", "+OK\r\nafter\r\n.\r\n");
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
    result.unwrap();
    assert_eq!(fetched.messages, [(key("two"), b"after\r\n".to_vec())]);
    assert_eq!(fetched.failed.iter().map(|it| it.0.clone()).collect::<Vec<_>>(), [key("one")]);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn an_endless_message_is_given_up() {
    let script = listing("1 5\r\n", "1 one\r\n").answer("RETR 1", "+OK\r\n").flood("z".repeat(65_536));
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert_eq!(fetched.messages, []);
    drop(mailbox);
    peer.end().await;
}

/// A drip that is never silent for long ends when the stage's time is up, before and inside the sign-in.
#[tokio::test]
async fn a_dripping_server_runs_into_the_deadline() {
    let pause = Duration::from_millis(20);
    for (script, security, stage) in [
        (Script::default().drip("+OK ".repeat(1000), pause), Security::Plain, Stage::Greeting),
        (Script::default().drip("+OK ".repeat(1000), pause), START_TLS, Stage::Greeting),
        (greeted().expect("STLS").drip("+OK ".repeat(1000), pause), START_TLS, Stage::Tls),
        (greeted().answer("CAPA", "+OK\r\n").drip("X\r\n".repeat(1000), pause), Security::Plain, Stage::Authenticate),
    ] {
        let peer = Peer::start(script).await;
        let began = Instant::now();
        let result = open(hasty(), &visit(Protocol::Pop3, security, peer.port)).await;
        assert_error(result, ErrorKind::Timeout, stage);
        assert!(began.elapsed() < hasty().step_timeout * 4, "{stage:?}: {:?}", began.elapsed());
        peer.end().await.assert_no_secret();
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let line = format!("{}\r\n", "x".repeat(65_536));
    for (script, stage) in [
        (greeted().answer("CAPA", "+OK\r\n").flood(&line), Stage::Authenticate),
        (greeted().expect("CAPA").flood("+OK".repeat(20_000)), Stage::Authenticate),
    ] {
        let peer = Peer::start(script).await;
        let result = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await;
        assert_error(result, ErrorKind::Protocol, stage);
        assert!(peer.end().await.n_sent < 48 * SIZE_LIMIT);
    }
    let peer = Peer::start(signed_in().answer("LIST", "+OK\r\n").flood("1 5\r\n".repeat(10_000))).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    assert_error(mailbox.list().await, ErrorKind::Protocol, Stage::List);
    drop(mailbox);
    assert!(peer.end().await.n_sent < 48 * SIZE_LIMIT);
}

#[tokio::test]
async fn a_listing_of_nonsense_lists_what_makes_sense() {
    let parentheses = "(".repeat(200_000);
    let list = format!(
        "1 18446744073709551616\r\n2 -5\r\n3 4294967296\r\n4294967296 5\r\n-1 5\r\n0 5\r\n0x1 5\r\n\r\n{parentheses}\r\n"
    );
    let uidl = format!("1 one\r\n2 ../../etc/passwd\r\n3 \u{1b}[31m\r\n4294967296 x\r\n5\r\n{parentheses} y\r\n");
    let peer = Peer::start(listing(&list, &uidl)).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let found: Vec<_> = listing.messages.into_iter().map(|it| (it.key, it.size)).collect();
    // A name is a name: it is compared, and never a path.
    let third = "\u{1b}[31m";
    assert_eq!(found, [(key("one"), 0), (key("../../etc/passwd"), 0), (key(third), 4_294_967_296)]);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn an_alert_is_shown_without_controls_and_cut() {
    let alert = format!("-ERR [AUTH] \u{1b}[31m\u{202e}\u{7}<b>evil</b> {}\r\n", "x".repeat(100_000));
    let script = greeted().answer("CAPA", "-ERR\r\n").answer("USER user", "+OK\r\n").answer(PASSWORD, alert);
    let peer = Peer::start(script).await;
    let result = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await;
    let error = assert_error(result, ErrorKind::Authentication, Stage::Authenticate);
    assert!(error.message.starts_with("the server says: «") && error.message.contains("<b>evil</b>"), "{error}");
    peer.end().await;
}

/// Replies have no tags: one too many shifts all that follow. It ends, and nothing is taken for a message that is none.
#[tokio::test]
async fn a_reply_that_nobody_asked_for_ends_the_visit() {
    let extra =
        greeted().answer("CAPA", "-ERR\r\n").answer("USER user", "+OK\r\n").answer(PASSWORD, "+OK\r\n+OK more\r\n");
    let peer = Peer::start(extra.answer("CAPA", "-ERR\r\n")).await;
    let result = open(hasty(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await;
    assert_error(result, ErrorKind::Timeout, Stage::Select);
    peer.end().await;

    let script = listing("1 5\r\n2 5\r\n", "1 one\r\n2 two\r\n").answer("RETR 1", "+OK\r\na\r\n.\r\nstray\r\n");
    let peer = Peer::start(script.expect("RETR 2")).await;
    let (mut mailbox, _) = open(hasty(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert_eq!(fetched.messages, [(key("one"), b"a\r\n".to_vec())]);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn an_error_without_a_word_is_an_error() {
    for (reply, kind, stage) in [
        (
            greeted().answer("CAPA", "-ERR\r\n").answer("USER", "-ERR\r\n"),
            ErrorKind::Authentication,
            Stage::Authenticate,
        ),
        (Script::default().send("-ERR\r\n"), ErrorKind::Throttled, Stage::Greeting),
    ] {
        fails(reply, Security::Plain, kind, stage).await;
    }
    let peer = Peer::start(signed_in().answer("LIST", "-ERR\r\n")).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    assert_error(mailbox.list().await, ErrorKind::Mailbox, Stage::List);
    drop(mailbox);
    peer.end().await;
}

/// Each byte in a packet of its own.
#[tokio::test]
async fn dots_are_undone_byte_by_byte() {
    let script = listing("1 5\r\n", "1 one\r\n")
        .answer("RETR 1", "+OK\r\n")
        .drip("..\r\n...\r\n\r\n..a\n.\r\n.\r\n", Duration::from_millis(2));
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
    result.unwrap();
    assert_eq!(fetched.messages[0].1, b".\r\n..\r\n\r\n.a\n.\r\n");
    drop(mailbox);
    peer.end().await;
}

/// The count goes into the run's stages, which people read.
#[tokio::test]
async fn what_a_server_counts_is_a_number_or_is_not_shown() {
    for count in ["\u{1b}[31m\u{202e}red", "<b>", "-1", "", &"9".repeat(100_000)] {
        let script = greeted().answer("CAPA", "-ERR\r\n").answer("USER user", "+OK\r\n").answer(PASSWORD, "+OK\r\n");
        let script = script.answer("CAPA", "-ERR\r\n").answer("STAT", format!("+OK {count} 100\r\n"));
        let peer = Peer::start(script).await;
        // `open` looks at what is shown; whether such a server is used does not matter here.
        _ = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await;
        peer.end().await;
    }
}

/// Which of the two it is changes from visit to visit: deleting one by its name would delete the other.
#[tokio::test]
async fn a_message_with_two_names_has_none() {
    let script = listing("1 5\r\n2 5\r\n", "1 one\r\n1 other\r\n2 two\r\n");
    let peer = Peer::start(script.answer("TOP 1 0", "+OK\r\nSubject: a\r\n\r\n.\r\n")).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let keys: Vec<_> = listing.messages.into_iter().map(|it| it.key).collect();
    assert!(matches!(&keys[..], [RemoteKey::Content { nth: 0, .. }, two] if *two == key("two")), "{keys:?}");
    assert_eq!(listing.n_unidentified, 1);
    drop(mailbox);
    peer.end().await;
}

/// Some servers repeat what they did not understand. `open` looks for the password in what is shown.
#[tokio::test]
async fn a_server_that_repeats_the_password_does_not_bring_it_into_the_log() {
    let script = greeted().answer("CAPA", "-ERR\r\n").answer("USER user", "+OK\r\n");
    let script = script.answer(PASSWORD, format!("-ERR unknown command: PASS {PASSWORD}\r\n"));
    fails(script, Security::Plain, ErrorKind::Authentication, Stage::Authenticate).await;
}

/// A byte now and then is no life: the listing has an end, and so has the visit.
#[tokio::test]
async fn a_drip_in_an_open_mailbox_ends() {
    let drip = "1 5\r\n".repeat(10_000);
    let peer = Peer::start(signed_in().answer("LIST", "+OK\r\n").drip(drip, Duration::from_millis(20))).await;
    let (mut mailbox, _) = open(hasty(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
    let listing = tokio::time::timeout(HANG / 2, mailbox.list()).await.expect("a drip goes on for ever");
    assert_error(listing, ErrorKind::Timeout, Stage::List);
    drop(mailbox);
    peer.end().await;
}
