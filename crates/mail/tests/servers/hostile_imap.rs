//! What an IMAP server may do to whoever asks it for mail: the client lives, names what was wrong, and gives nothing away.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    account::{Protocol, Security, Trust},
    check::{ErrorKind, Stage},
};
use service::ports::{Listed, RemoteKey};
use tokio::time::Instant;

use crate::support::{
    HANG, PASSWORD, SIZE_LIMIT, assert_error, fetch, hasty, open, patient,
    peer::{Peer, Script},
    visit,
};

const START_TLS: Security = Security::StartTls(Trust::SkipCertificate { until: None });

fn greeted() -> Script {
    Script::default().send("* OK ready\r\n")
}

/// To the end of LOGIN.
fn signed_in() -> Script {
    greeted()
        .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n")
        .answer("P2 LOGIN {4}", "+ go on\r\n")
        .answer("user {", "+ go on\r\n")
        .answer(PASSWORD, "P2 OK welcome\r\n")
        .answer("P3 CAPABILITY", "* CAPABILITY IMAP4rev1 UIDPLUS\r\nP3 OK\r\n")
}

fn selected() -> Script {
    signed_in().answer("P4 SELECT INBOX", "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\nP4 OK [READ-WRITE] done\r\n")
}

fn listed(uid: u32) -> Listed {
    Listed { key: RemoteKey::Uid { uid_validity: 7, uid }, size: 5 }
}

/// Opening must fail so.
async fn fails(script: Script, security: Security, kind: ErrorKind, stage: Stage) {
    let peer = Peer::start(script).await;
    let result = open(patient(), &visit(Protocol::Imap, security, peer.port)).await;
    assert_error(result, kind, stage);
    let recording = peer.end().await;
    if security.is_secure() {
        recording.assert_no_secret();
    }
}

/// After SELECT the list is asked for; the answer must make it fail so.
async fn list_fails(script: Script, kind: ErrorKind) {
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    assert_error(mailbox.list().await, kind, Stage::List);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn greetings_that_are_none_end_the_visit_before_a_word_is_said() {
    let (protocol, throttled) = (ErrorKind::Protocol, ErrorKind::Throttled);
    for security in [Security::Plain, START_TLS] {
        for (greeting, kind) in [
            ("* PREAUTH you are somebody\r\n", protocol),
            ("* BYE too many connections\r\n", throttled),
            ("220 mail.example.org ESMTP\r\n", protocol),
            ("P1 OK\r\n", protocol),
            ("\r\n", protocol),
            ("* ((((\r\n", protocol),
        ] {
            fails(Script::default().send(greeting), security, kind, Stage::Greeting).await;
        }
        fails(Script::default().close(), security, protocol, Stage::Greeting).await;
        fails(Script::default().flood("x".repeat(65_536)), security, protocol, Stage::Greeting).await;
    }
}

#[tokio::test]
async fn two_hundred_thousand_parentheses_are_an_answer_like_any_other() {
    let script = greeted().answer("P1 CAPABILITY", format!("* CAPABILITY {}\r\nP1 OK\r\n", "(".repeat(200_000)));
    let script = script.answer("P2 LOGIN", "P2 NO [AUTHENTICATIONFAILED] no\r\n");
    fails(script, Security::Plain, ErrorKind::Authentication, Stage::Authenticate).await;
}

#[tokio::test]
async fn a_silent_or_dripping_server_runs_into_the_deadline() {
    let slow = Script::default().drip("* OK ".repeat(10_000), Duration::from_millis(20));
    for script in [Script::default(), slow, greeted()] {
        let peer = Peer::start(script).await;
        let began = Instant::now();
        let result = open(hasty(), &visit(Protocol::Imap, Security::Plain, peer.port)).await;
        assert_eq!(result.err().map(|it| it.kind), Some(ErrorKind::Timeout));
        assert!(began.elapsed() < HANG / 2, "{:?}", began.elapsed());
        peer.end().await;
    }
}

#[tokio::test]
async fn start_tls_fails_closed() {
    for answer in ["P1 NO not today\r\n", "P1 BAD\r\n", "P1 BAD what\r\n"] {
        fails(greeted().answer("STARTTLS", answer), START_TLS, ErrorKind::Tls, Stage::Tls).await;
    }
    // What comes before TLS begins is not read as if it came inside it.
    let injected = greeted().answer("STARTTLS", "P1 OK begin\r\n* CAPABILITY AUTH=PLAIN\r\nP2 OK\r\n");
    let peer = Peer::start(injected).await;
    let result = open(patient(), &visit(Protocol::Imap, START_TLS, peer.port)).await;
    assert!(matches!(result.err().map(|it| it.stage), Some(Stage::Tls)));
    peer.end().await.assert_no_secret();
    // A server that has no TLS at all.
    let peer =
        Peer::start(greeted().answer("STARTTLS", "P1 OK begin\r\n").expect("").send("* OK still plain\r\n")).await;
    let result = open(hasty(), &visit(Protocol::Imap, START_TLS, peer.port)).await;
    assert!(matches!(result.err().map(|it| it.stage), Some(Stage::Tls)));
}

#[tokio::test]
async fn capabilities_from_before_tls_do_not_count() {
    let script = Script::default()
        .send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR STARTTLS] ready\r\n")
        .answer("STARTTLS", "P1 OK begin\r\n")
        .tls()
        .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nP1 OK\r\n");
    fails(script, START_TLS, ErrorKind::Protocol, Stage::Authenticate).await;
}

#[tokio::test]
async fn a_refused_password_is_told_from_a_server_that_cannot_now() {
    for (answer, kind, is_certain) in [
        ("P2 NO [AUTHENTICATIONFAILED] wrong\r\n", ErrorKind::Authentication, true),
        ("P2 NO [EXPIRED] old\r\n", ErrorKind::Expired, true),
        ("P2 NO wrong, or not\r\n", ErrorKind::Authentication, false),
        ("P2 NO\r\n", ErrorKind::Authentication, false),
        ("P2 NO [UNAVAILABLE] later\r\n", ErrorKind::Throttled, false),
        ("P2 NO [LIMIT] too many\r\n", ErrorKind::Throttled, false),
        ("P2 BAD\r\n", ErrorKind::Protocol, false),
        ("* BYE going down\r\n", ErrorKind::Throttled, false),
        ("P9 OK welcome\r\n", ErrorKind::Protocol, false),
        ("P2 NO [ALERT] \u{7}\u{1b}[31mred\u{202e}\r\n", ErrorKind::Authentication, false),
    ] {
        let script = greeted()
            .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n")
            .answer("P2 LOGIN {4}", "+\r\n")
            .answer("user {", "+\r\n")
            .answer(PASSWORD, answer);
        let peer = Peer::start(script).await;
        let result = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await;
        assert_eq!(assert_error(result, kind, Stage::Authenticate).is_certain, is_certain, "{answer}");
        peer.end().await;
    }
}

#[tokio::test]
async fn a_mailbox_without_lasting_names_is_not_read() {
    let script = signed_in().answer("P4 SELECT INBOX", "* 2 EXISTS\r\nP4 OK\r\n");
    fails(script, Security::Plain, ErrorKind::Mailbox, Stage::Select).await;
    fails(
        signed_in().answer("SELECT", "P4 NO no such mailbox\r\n"),
        Security::Plain,
        ErrorKind::Mailbox,
        Stage::Select,
    )
    .await;
}

#[tokio::test]
async fn a_list_of_nonsense_lists_what_makes_sense() {
    let answer = "* 1 FETCH (UID 0 RFC822.SIZE 5)\r\n* 1 FETCH (UID 5 RFC822.SIZE 5)\r\n* 2 FETCH (UID 5 RFC822.SIZE 9)\r\n\
        * 3 FETCH (RFC822.SIZE 5)\r\n* 4 FETCH (UID 99999999999999999999 RFC822.SIZE 1)\r\n* 5 FETCH (UID -1)\r\n\
        * 6 FETCH NIL\r\n* 9 EXISTS\r\n* 3 EXPUNGE\r\n* LIST () \"/\" \"../../etc/passwd\"\r\n* 7 FETCH (UID 8 INTERNALDATE NIL)\r\n\
        * OK [ALERT] hello\r\nP5 OK\r\n";
    let peer = Peer::start(selected().answer("P5 UID FETCH 1:*", answer)).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let found = mailbox.list().await.unwrap().messages.into_iter().map(|it| it.key).collect::<Vec<_>>();
    assert_eq!(found, [5, 8].map(|uid| RemoteKey::Uid { uid_validity: 7, uid }));
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn lists_that_never_end_or_lie_are_refused() {
    list_fails(selected().expect("UID FETCH").flood("y".repeat(65_536)), ErrorKind::Protocol).await;
    for size in ["4294967296", "9223372036854775807", "18446744073709551616"] {
        list_fails(
            selected().answer("UID FETCH", format!("* 1 FETCH (UID 1 BODY[] {{{size}}}\r\n")),
            ErrorKind::Protocol,
        )
        .await;
    }
    list_fails(selected().answer("UID FETCH", "P6 OK\r\n"), ErrorKind::Protocol).await;
    list_fails(selected().answer("UID FETCH", "P5 NO\r\n"), ErrorKind::Mailbox).await;
    list_fails(selected().answer("UID FETCH", "P5 BAD\r\n"), ErrorKind::Protocol).await;
    list_fails(selected().expect("UID FETCH").close(), ErrorKind::Protocol).await;
}

#[tokio::test]
async fn a_cut_in_the_middle_of_a_message_keeps_what_was_whole_and_nothing_else() {
    let answer = "* 1 FETCH (UID 1 BODY[] {5}\r\nwhole)\r\n* 2 FETCH (UID 2 BODY[] {5}\r\nhal";
    let peer = Peer::start(selected().answer("P5 UID FETCH 1:2", answer).close()).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1), listed(2)]).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert_eq!(fetched.messages, [(listed(1).key, b"whole".to_vec())]);
    assert_eq!(fetched.failed, []);
}

#[tokio::test]
async fn a_message_that_the_server_refuses_fails_alone() {
    let script = selected()
        .answer(
            "P5 UID FETCH 1:2",
            "* 1 FETCH (UID 1 BODY[] {5}\r\nwhole)\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\nP5 NO some are broken\r\n",
        )
        .answer("P6 UID FETCH 2", "P6 NO [SERVERBUG] broken\r\n");
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1), listed(2)]).await;
    result.unwrap();
    assert_eq!(fetched.messages, [(listed(1).key, b"whole".to_vec())]);
    assert_eq!(fetched.failed.len(), 1);
    assert!(fetched.failed[0].1.contains("broken"), "{:?}", fetched.failed);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_taken() {
    let answer = "* 3 FETCH (UID 99 BODY[] {5}\r\nother)\r\n* 1 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n\
        * 1 FETCH (FLAGS () UID 1 BODY[] {5}\r\nright)\r\nP5 OK\r\n";
    let peer = Peer::start(selected().answer("P5 UID FETCH 1", answer)).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1)]).await;
    result.unwrap();
    assert_eq!(fetched.messages, [(listed(1).key, b"right".to_vec())]);
    drop(mailbox);
    peer.end().await;
}

/// The list said five bytes. People saw a mailbox whose check ended at the same message again and again.
#[tokio::test]
async fn a_message_longer_than_is_taken_is_passed_over_and_the_next_one_arrives() {
    let long = "z".repeat(usize::try_from(SIZE_LIMIT).unwrap() + 1);
    let answer = format!(
        "* 1 FETCH (UID 1 BODY[] {{{}}}\r\n{long})\r\n* 2 FETCH (UID 2 BODY[] {{5}}\r\nwhole)\r\nP5 OK\r\n",
        long.len()
    );
    let peer = Peer::start(selected().answer("UID FETCH 1:2", answer)).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1), listed(2)]).await;
    result.unwrap();
    assert_eq!(fetched.messages, [(listed(2).key, b"whole".to_vec())]);
    assert_eq!(fetched.failed.iter().map(|it| it.0.clone()).collect::<Vec<_>>(), [listed(1).key]);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn a_message_far_longer_than_is_taken_is_not_read() {
    let answer = format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\n", SIZE_LIMIT * 1_000);
    let peer = Peer::start(selected().expect("UID FETCH").send(answer).flood("z".repeat(65_536))).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1)]).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert_eq!(fetched.messages, []);
    drop(mailbox);
    // The buffers of two systems hold some; a client that reads on would have taken far more.
    assert!(peer.end().await.n_sent < 32 * SIZE_LIMIT);
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let most = 80 * 1024 * 1024;
    let literal = format!("{{65536}}\r\n{} ", "x".repeat(65_536));
    let peer = Peer::start(greeted().answer("P1 CAPABILITY", "* X ").flood(literal)).await;
    let result = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await;
    assert_error(result, ErrorKind::Protocol, Stage::Authenticate);
    assert!(peer.end().await.n_sent < most);
    let peer = Peer::start(selected().expect("UID FETCH").flood("* 1 FETCH (UID 1)\r\n".repeat(1_000))).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    assert_error(mailbox.list().await, ErrorKind::Protocol, Stage::List);
    drop(mailbox);
    assert!(peer.end().await.n_sent < most);
}

/// Small by the list, endless when they come: the batch is given up, not the memory.
#[tokio::test]
async fn messages_far_larger_than_listed_are_not_hoarded() {
    let one = |uid: u32| format!("* 1 FETCH (UID {uid} BODY[] {{1000000}}\r\n{})\r\n", "x".repeat(1_000_000));
    let flood = [one(1), one(2), one(3)].concat();
    let peer = Peer::start(selected().expect("UID FETCH").flood(flood)).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (_, result) = fetch(&mut *mailbox, vec![listed(1), listed(2), listed(3)]).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    drop(mailbox);
    assert!(peer.end().await.n_sent < 16 * SIZE_LIMIT);
}

/// What was taken would be less than the message, and look complete.
#[tokio::test]
async fn a_literal_that_goes_on_after_its_end_is_no_message() {
    let peer = Peer::start(selected().answer("UID FETCH", "* 1 FETCH (UID 1 BODY[] {3}\r\nabcdef)\r\nP5 OK\r\n")).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1)]).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert_eq!(fetched.messages, []);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn others_deletions_are_never_made_final() {
    let without = Script::default()
        .send("* OK ready\r\n")
        .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n")
        .answer("P2 LOGIN {4}", "+\r\n")
        .answer("user {", "+\r\n")
        .answer(PASSWORD, "P2 OK\r\n")
        .answer("P3 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP3 OK\r\n")
        .answer("P4 SELECT", "* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nP4 OK\r\n")
        .answer("P5 UID SEARCH DELETED", "* SEARCH 1 44\r\nP5 OK\r\n");
    let peer = Peer::start(without).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    assert_error(mailbox.delete(&[listed(1).key]).await, ErrorKind::Mailbox, Stage::Delete);
    drop(mailbox);
    let recording = peer.end().await;
    let said = String::from_utf8_lossy(&recording.received).into_owned();
    assert!(!said.contains("STORE") && !said.contains("EXPUNGE"), "{said}");
}

/// A UID names one message; a server that sends two for it does not bring both.
#[tokio::test]
async fn one_name_brings_one_message() {
    let twice = "* 1 FETCH (UID 1 BODY[] {5}\r\nfirst)\r\n* 2 FETCH (UID 1 BODY[] {6}\r\nsecond)\r\nP5 OK\r\n";
    let peer = Peer::start(selected().answer("P5 UID FETCH 1", twice)).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1)]).await;
    result.unwrap();
    assert_eq!(fetched.messages.iter().map(|it| it.0.clone()).collect::<Vec<_>>(), [listed(1).key]);
    assert_eq!(fetched.failed, []);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn nul_and_eight_bits_arrive_as_they_are() {
    let mut answer = b"* OK \0\xff\x80\r\n* 1 FETCH (X \"\xff\\\"\0\" UID 1 BODY[] {8}\r\n".to_vec();
    answer.extend(b"\0\xff\x80\n.\r\n)");
    answer.extend(b")\r\n* 2 FETCH (UID 2 BODY[] \"\x80\xfe\")\r\nP5 OK\r\n");
    let peer = Peer::start(selected().answer("P5 UID FETCH 1:2", answer)).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1), listed(2)]).await;
    result.unwrap();
    let raws: Vec<_> = fetched.messages.into_iter().map(|it| it.1).collect();
    assert_eq!(raws, [b"\0\xff\x80\n.\r\n)".to_vec(), b"\x80\xfe".to_vec()]);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn a_server_that_ends_every_line_with_a_bare_line_feed_is_understood() {
    let script = Script::default()
        .send("* OK ready\n")
        .answer("P1 CAPABILITY", "* CAPABILITY AUTH=PLAIN SASL-IR\nP1 OK\n")
        .answer("P2 AUTHENTICATE", "P2 OK\n")
        .answer("P3 CAPABILITY", "* CAPABILITY UIDPLUS\nP3 OK\n")
        .answer("P4 SELECT", "* 1 EXISTS\n* OK [UIDVALIDITY 7]\nP4 OK\n")
        .answer("P5 UID FETCH 1:*", "* 1 FETCH (UID 1 RFC822.SIZE 5)\nP5 OK\n")
        .answer("P6 UID FETCH 1", "* 1 FETCH (UID 1 BODY[] {5}\na\r\nb\n)\nP6 OK\n");
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages).await;
    result.unwrap();
    assert_eq!(fetched.messages, [(listed(1).key, b"a\r\nb\n".to_vec())]);
    drop(mailbox);
    peer.end().await;
}

/// Names of mailboxes go nowhere: INBOX is the only one that is ever named.
#[tokio::test]
async fn a_mailbox_name_from_the_server_is_never_used() {
    let names = "* LIST (\\Noselect) \"/\" \"../../etc/passwd\"\r\n* LSUB () \"\\\\\" {9}\r\n../../x\r\n\r\n\
        * STATUS \"../INBOX\" (UIDVALIDITY 1)\r\n* NAMESPACE ((\"../\" \"/\")) NIL NIL\r\n";
    let script = signed_in()
        .answer("P4 SELECT INBOX\r\n", format!("{names}* 1 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nP4 OK\r\n"))
        .answer("P5 UID FETCH 1:*", format!("{names}* 1 FETCH (UID 1 RFC822.SIZE 5)\r\nP5 OK\r\n"))
        .answer("P6 LOGOUT", format!("{names}* BYE\r\nP6 OK\r\n"));
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    assert_eq!(mailbox.list().await.unwrap().messages, [listed(1)]);
    mailbox.close().await;
    let said = String::from_utf8(peer.end().await.received).unwrap();
    assert!(!said.contains("..") && said.matches("INBOX").count() == 1, "{said}");
}

/// Some servers repeat what they did not understand. `open` looks for the password in what is shown.
#[tokio::test]
async fn a_server_that_repeats_the_password_does_not_bring_it_into_the_log() {
    let asked = || greeted().answer("P1 CAPABILITY", "* CAPABILITY AUTH=PLAIN SASL-IR\r\nP1 OK\r\n");
    for said in [PASSWORD.to_owned(), STANDARD.encode(format!("\0user\0{PASSWORD}"))] {
        let script = asked().answer("P2 AUTHENTICATE", format!("P2 BAD unknown command: {said}\r\n"));
        let peer = Peer::start(script).await;
        let result = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await;
        let error = assert_error(result, ErrorKind::Protocol, Stage::Authenticate);
        assert!(!error.message.contains(&said), "{error}");
        peer.end().await;
    }
}

/// A byte now and then is no life: the listing has an end, and so has the visit.
#[tokio::test]
async fn a_drip_in_an_open_mailbox_ends() {
    let drip = "* 1 FETCH (UID 1 RFC822.SIZE 5)\r\n".repeat(10_000);
    let peer = Peer::start(selected().expect("UID FETCH").drip(drip, Duration::from_millis(20))).await;
    let (mut mailbox, _) = open(hasty(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let listing = tokio::time::timeout(HANG / 2, mailbox.list()).await.expect("a drip goes on for ever");
    assert_error(listing, ErrorKind::Timeout, Stage::List);
    drop(mailbox);
    peer.end().await;
}

/// Each of these is passed over because it is too long, and so would be the next.
#[tokio::test]
async fn passing_over_has_an_end() {
    let long = "z".repeat(usize::try_from(SIZE_LIMIT).unwrap() + 1);
    let flood = format!("* 9 FETCH (UID 9 BODY[] {{{}}}\r\n{long})\r\n", long.len());
    let peer = Peer::start(selected().expect("UID FETCH").flood(flood)).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1)]).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert_eq!(fetched.messages, []);
    drop(mailbox);
    peer.end().await;
}
