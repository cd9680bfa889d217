//! IMAP servers that lie, stall, flood and inject.

use std::time::Duration;

use domain::{
    account::{Protocol, Security, Trust},
    check::{ErrorKind, Stage},
};
use service::ports::{Listed, Listing, MailError, Mailbox, RemoteKey};
use tokio::time::Instant;

use crate::support::{
    Fetched, SIZE_LIMIT, assert_error, fetch, hasty, open, patient,
    peer::{Peer, Recording, Script},
    visit,
};

const START_TLS: Security = Security::StartTls(Trust::SkipCertificate { until: None });
const IMPLICIT: Security = Security::Implicit(Trust::SkipCertificate { until: None });
/// What lies in buffers of the system counts as sent, and was not taken.
const BUFFERS: u64 = 16 * 1024 * 1024;

fn script() -> Script {
    Script::default()
}

fn greeted() -> Script {
    script().send("* OK ready\r\n")
}

fn signed_in() -> Script {
    greeted()
        .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nP1 OK\r\n")
        .answer("P2 AUTHENTICATE PLAIN ", "P2 OK in\r\n")
        .answer("P3 CAPABILITY", "* CAPABILITY IMAP4rev1 UIDPLUS\r\nP3 OK\r\n")
}

fn selected() -> Script {
    signed_in().answer("P4 SELECT INBOX", "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] lasting\r\nP4 OK [READ-WRITE] in\r\n")
}

fn key(uid: u32) -> RemoteKey {
    RemoteKey::Uid { uid_validity: 7, uid }
}

fn listed(uid: u32, size: u64) -> Listed {
    Listed { key: key(uid), size }
}

/// The visit fails so, and no secret has left.
async fn check_refused(security: Security, script: Script, kind: ErrorKind, stage: Stage) -> (MailError, Recording) {
    let peer = Peer::start(script).await;
    let result = open(patient(), &visit(Protocol::Imap, security, peer.port)).await;
    let error = assert_error(result, kind, stage);
    let recording = peer.end().await;
    recording.assert_no_secret();
    (error, recording)
}

/// The reply to the password is judged so.
async fn check_judged(reply: &str, kind: ErrorKind, is_certain: bool) {
    let script = greeted()
        .answer("P1 CAPABILITY", "* CAPABILITY AUTH=PLAIN SASL-IR\r\nP1 OK\r\n")
        .answer("P2 AUTHENTICATE PLAIN ", reply);
    let peer = Peer::start(script).await;
    let result = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await;
    let error = assert_error(result, kind, Stage::Authenticate);
    assert_eq!(error.is_certain, is_certain, "{reply:?}");
    peer.end().await;
}

async fn check_select(reply: &[u8], kind: ErrorKind) {
    let peer = Peer::start(signed_in().answer("P4 SELECT INBOX", reply)).await;
    assert_error(open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await, kind, Stage::Select);
    peer.end().await;
}

async fn opened(script: Script) -> (Peer, Box<dyn Mailbox>) {
    let peer = Peer::start(script).await;
    let (mailbox, _) = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    (peer, mailbox)
}

async fn list(reply: impl AsRef<[u8]>) -> Result<Listing, MailError> {
    let (peer, mut mailbox) = opened(selected().answer("P5 UID FETCH 1:* (UID RFC822.SIZE)", reply)).await;
    let listing = mailbox.list().await;
    drop(mailbox);
    peer.end().await;
    listing
}

/// Asks for the messages 1 to 3 at once.
async fn fetch_three(script: Script) -> (Fetched, Result<(), MailError>, Recording) {
    let (peer, mut mailbox) = opened(script).await;
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1, 9), listed(2, 9), listed(3, 9)]).await;
    drop(mailbox);
    (fetched, result, peer.end().await)
}

async fn fetch_answered(reply: impl AsRef<[u8]>) -> (Fetched, Result<(), MailError>) {
    let script = selected().answer("P5 UID FETCH 1:3 (UID BODY.PEEK[])", reply);
    let (fetched, result, _) = fetch_three(script).await;
    (fetched, result)
}

#[tokio::test]
async fn a_greeting_that_is_none_ends_the_visit_before_anything_is_said() {
    for security in [Security::Plain, START_TLS] {
        for (greeting, kind) in [
            ("* BYE too many\r\n", ErrorKind::Throttled),
            ("* PREAUTH welcome back\r\n", ErrorKind::Protocol),
            ("* NO\r\n", ErrorKind::Protocol),
            ("* \r\n", ErrorKind::Protocol),
            ("\r\n", ErrorKind::Protocol),
            ("+OK POP3 ready\r\n", ErrorKind::Protocol),
            ("P1 OK early\r\n", ErrorKind::Protocol),
            ("+ OK\r\n", ErrorKind::Protocol),
            ("HTTP/1.1 400 Bad Request\r\n", ErrorKind::Protocol),
            ("\u{0}\u{1}\u{7f}\r\n", ErrorKind::Protocol),
            ("{4294967296}\r\n", ErrorKind::Protocol),
        ] {
            let (_, recording) = check_refused(security, script().send(greeting), kind, Stage::Greeting).await;
            assert_eq!(recording.received, b"", "{greeting:?}");
        }
        check_refused(security, script().close(), ErrorKind::Protocol, Stage::Greeting).await;
        check_refused(security, script().send("* O").close(), ErrorKind::Protocol, Stage::Greeting).await;
    }
    let inside = script().tls().send("* PREAUTH welcome back\r\n");
    check_refused(IMPLICIT, inside, ErrorKind::Protocol, Stage::Greeting).await;
}

/// Silence, or a drip that is never silent for long: both end when the stage's time is up.
#[tokio::test]
async fn neither_silence_nor_a_drip_outlasts_the_deadline() {
    let drip = Duration::from_millis(20);
    for (script, security, stage) in [
        (script(), Security::Plain, Stage::Greeting),
        (script(), START_TLS, Stage::Greeting),
        (script(), IMPLICIT, Stage::Tls),
        (script().drip("* OK ".repeat(1000), drip), Security::Plain, Stage::Greeting),
        (greeted().expect("P1 STARTTLS").drip("* OK \r\n".repeat(1000), drip), START_TLS, Stage::Tls),
        (greeted().expect("P1 CAPABILITY").drip("* OK \r\n".repeat(1000), drip), Security::Plain, Stage::Authenticate),
    ] {
        let peer = Peer::start(script).await;
        let began = Instant::now();
        let result = open(hasty(), &visit(Protocol::Imap, security, peer.port)).await;
        assert_error(result, ErrorKind::Timeout, stage);
        assert!(began.elapsed() < hasty().step_timeout * 4, "{stage:?}: {:?}", began.elapsed());
        peer.end().await.assert_no_secret();
    }
}

#[tokio::test]
async fn silence_in_an_open_mailbox_ends_at_the_deadline() {
    let work = || vec![listed(1, 9)];
    let half = "* 1 FETCH (UID 1 BODY[] {9}\r\nabc";
    for script in [selected().expect("P5 UID FETCH"), selected().answer("P5 UID FETCH", half)] {
        let peer = Peer::start(script).await;
        let (mut mailbox, _) = open(hasty(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
        let (fetched, result) = fetch(&mut *mailbox, work()).await;
        assert_error(result, ErrorKind::Timeout, Stage::Fetch);
        assert_eq!(fetched.messages, []);
        drop(mailbox);
        peer.end().await;
    }
    let peer = Peer::start(selected().expect("P5 UID FETCH 1:*")).await;
    let (mut mailbox, _) = open(hasty(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
    assert_error(mailbox.list().await, ErrorKind::Timeout, Stage::List);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn starttls_that_is_refused_ends_the_visit_in_clear() {
    for reply in ["P1 NO not today\r\n", "P1 BAD what?\r\n", "P1 BAD\r\n", "P1\r\n", "P1 PREAUTH\r\n"] {
        check_refused(START_TLS, greeted().answer("P1 STARTTLS", reply), ErrorKind::Tls, Stage::Tls).await;
    }
    for reply in ["+ OK go on\r\n", "P2 OK\r\n", "P1OK\r\n"] {
        check_refused(START_TLS, greeted().answer("P1 STARTTLS", reply), ErrorKind::Protocol, Stage::Tls).await;
    }
    let bye = greeted().answer("P1 STARTTLS", "* BYE no\r\n");
    check_refused(START_TLS, bye, ErrorKind::Throttled, Stage::Tls).await;
    let closed = greeted().expect("P1 STARTTLS").close();
    check_refused(START_TLS, closed, ErrorKind::Protocol, Stage::Tls).await;
    // Whether this is TLS's error or an injection depends on when the bytes arrive.
    let peer = Peer::start(greeted().answer("P1 STARTTLS", "P1 OK\r\n").send("* OK this is no TLS\r\n")).await;
    let result = open(patient(), &visit(Protocol::Imap, START_TLS, peer.port)).await;
    assert!(result.is_err_and(|it| it.stage == Stage::Tls));
    peer.end().await.assert_no_secret();
}

/// Otherwise a man in the middle would answer for the server inside TLS, as in CVE-2011-0411.
#[tokio::test]
async fn plain_text_behind_the_answer_to_starttls_is_an_attack() {
    for injected in ["* CAPABILITY LOGINDISABLED\r\n", "P1 OK\r\nP2 OK\r\n", "\r\n", "x"] {
        let script = greeted().answer("P1 STARTTLS", format!("P1 OK go\r\n{injected}"));
        let peer = Peer::start(script).await;
        let result = open(patient(), &visit(Protocol::Imap, START_TLS, peer.port)).await;
        let error = assert_error(result, ErrorKind::Protocol, Stage::Tls);
        assert!(error.message.contains("attack"), "{error}");
        peer.end().await.assert_no_secret();
    }
}

#[tokio::test]
async fn what_was_said_before_tls_does_not_count_after_it() {
    let script = script()
        .send("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN SASL-IR] ready\r\n")
        .answer(
            "P1 STARTTLS",
            "* CAPABILITY LOGINDISABLED AUTH=PLAIN\r\n* 9 EXISTS\r\n* OK [UIDVALIDITY 1]\r\nP1 OK\r\n",
        )
        .tls()
        .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP1 OK\r\n")
        .answer("P2 LOGIN {4}", "+ go\r\n")
        .answer("user {12}", "+ go\r\n")
        .answer(crate::support::PASSWORD, "P2 OK\r\n")
        .answer("P3 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP3 OK\r\n")
        .answer("P4 SELECT INBOX", "* OK [UIDVALIDITY 7]\r\n* 0 EXISTS\r\nP4 OK\r\n")
        .expect("P5 LOGOUT")
        .send("* BYE\r\nP5 OK\r\n");
    let peer = Peer::start(script).await;
    let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, START_TLS, peer.port)).await.unwrap();
    assert_eq!(mailbox.list().await.unwrap().messages, []);
    mailbox.close().await;
    peer.end().await.assert_no_secret();
}

#[tokio::test]
async fn a_server_that_takes_no_password_in_clear_gets_none() {
    let script = greeted().answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nP1 OK\r\n");
    check_refused(Security::Plain, script, ErrorKind::Protocol, Stage::Authenticate).await;
}

#[tokio::test]
async fn a_refused_password_is_told_from_a_server_that_is_busy() {
    check_judged("P2 NO [AUTHENTICATIONFAILED] wrong\r\n", ErrorKind::Authentication, true).await;
    check_judged("P2 no [authenticationfailed]\r\n", ErrorKind::Authentication, true).await;
    check_judged("P2 NO wrong\r\n", ErrorKind::Authentication, false).await;
    check_judged("P2 NO\r\n", ErrorKind::Authentication, false).await;
    check_judged("P2 NO [UNAVAILABLE] later\r\n", ErrorKind::Throttled, false).await;
    check_judged("P2 NO [LIMIT] later\r\n", ErrorKind::Throttled, false).await;
    check_judged("* BYE later\r\n", ErrorKind::Throttled, false).await;
    check_judged("P2 BAD\r\n", ErrorKind::Protocol, false).await;
    check_judged("P2\r\n", ErrorKind::Protocol, false).await;
    check_judged("+ OK\r\n", ErrorKind::Protocol, false).await;
    check_judged("P9 OK in\r\n", ErrorKind::Protocol, false).await;
    check_judged("* 1 FETCH (UID 1)\r\nP1 OK\r\n", ErrorKind::Protocol, false).await;
}

#[tokio::test]
async fn an_alert_is_shown_without_controls_and_cut() {
    let alert = format!("P2 NO [ALERT] \u{1b}[31m\u{202e}\u{7}<b>evil</b> {}\r\n", "x".repeat(100_000));
    // `open` checks every message; here is only what must survive.
    let script = greeted()
        .answer("P1 CAPABILITY", "* CAPABILITY AUTH=PLAIN SASL-IR\r\nP1 OK\r\n")
        .answer("P2 AUTHENTICATE", alert);
    let peer = Peer::start(script).await;
    let result = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await;
    let error = assert_error(result, ErrorKind::Authentication, Stage::Authenticate);
    assert!(error.message.starts_with("the server says: «") && error.message.contains("<b>evil</b>"), "{error}");
    peer.end().await;
}

#[tokio::test]
async fn a_mailbox_without_lasting_names_is_not_used() {
    check_select(b"* 3 EXISTS\r\nP4 OK\r\n", ErrorKind::Mailbox).await;
    check_select(b"* OK [UIDVALIDITY] x\r\n* OK [UIDVALIDITY -1] x\r\nP4 OK\r\n", ErrorKind::Mailbox).await;
    check_select(b"* OK [UIDVALIDITY 4294967296] x\r\nP4 OK\r\n", ErrorKind::Mailbox).await;
    check_select(b"P4 NO no such mailbox\r\n", ErrorKind::Mailbox).await;
    check_select(b"P4 NO [INUSE] later\r\n", ErrorKind::Throttled).await;
    check_select(b"P4 BAD\r\n", ErrorKind::Protocol).await;
    check_select(b"\xff\xfe\x00\r\n", ErrorKind::Protocol).await;
}

#[tokio::test]
async fn a_listing_of_nonsense_holds_only_what_is_a_message() {
    let nonsense = "* 1 FETCH (UID 5 RFC822.SIZE 50)\r\n\
        * 2 FETCH (UID 5 RFC822.SIZE 51)\r\n\
        * 3 FETCH (UID 0 RFC822.SIZE 1)\r\n\
        * 4 FETCH (RFC822.SIZE 1)\r\n\
        * 5 FETCH (UID NIL RFC822.SIZE 1)\r\n\
        * 6 FETCH (UID 4294967296 RFC822.SIZE 1)\r\n\
        * 7 FETCH (UID -3 RFC822.SIZE 1)\r\n\
        * 8 FETCH (UID)\r\n\
        * 9 FETCH\r\n\
        * FETCH (UID 8)\r\n\
        * 10 FETCH (ENVELOPE (UID 6) RFC822.SIZE 1)\r\n\
        * 11 FETCH (INTERNALDATE NIL UID 3 RFC822.SIZE NIL)\r\n\
        * 12 FETCH ))) UID 9 (((\r\n\
        * SEARCH x y 0 -1 99999999999999999999\r\n\
        * 4 EXISTS\r\n* 1 EXPUNGE\r\n* -1 EXISTS\r\n* OK [ALERT]\r\n* NO\r\n* BAD\r\n* FLAGS (\r\n* X-ODD {3}\r\nabc\r\n*\r\n\
        P5 OK\r\n";
    let listing = list(nonsense).await.unwrap();
    assert_eq!(listing.messages, [listed(3, 0), listed(5, 50)]);
    assert_eq!(listing.n_unidentified, 0);
}

#[tokio::test]
async fn a_listing_that_the_server_does_not_finish_is_none() {
    let part = "* 1 FETCH (UID 1 RFC822.SIZE 9)\r\n";
    for (end, kind) in [
        ("P5 NO [SERVERBUG] sorry\r\n", ErrorKind::Throttled),
        ("P5 NO sorry\r\n", ErrorKind::Mailbox),
        ("P5 BAD\r\n", ErrorKind::Protocol),
        ("* BYE\r\n", ErrorKind::Throttled),
        ("P4 OK\r\n", ErrorKind::Protocol),
        ("+ OK\r\n", ErrorKind::Protocol),
    ] {
        assert_error(list(format!("{part}{end}")).await, kind, Stage::List);
    }
    let (peer, mut mailbox) = opened(selected().answer("P5 UID FETCH", part).close()).await;
    assert_error(mailbox.list().await, ErrorKind::Protocol, Stage::List);
    peer.end().await;
}

#[tokio::test]
async fn two_hundred_thousand_parentheses_are_survived() {
    let deep = format!("* 3 FETCH (BODYSTRUCTURE {}\r\n", "(".repeat(200_000));
    let listing = list(format!("{deep}* 1 FETCH (UID 1 RFC822.SIZE 9)\r\nP5 OK\r\n")).await.unwrap();
    assert_eq!(listing.messages, [listed(1, 9)]);
    let body = "* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n";
    let alone = "* 2 FETCH (UID 2 BODY[] \"de\")\r\n* 3 FETCH (BODY[] {0}\r\n UID 3)\r\n";
    let (fetched, result) = fetch_answered(format!("{deep}{body}{deep}{alone}P5 OK\r\n")).await;
    result.unwrap();
    assert_eq!(fetched.messages, [(key(1), b"abc".to_vec()), (key(2), b"de".to_vec()), (key(3), Vec::new())]);
}

#[tokio::test]
async fn only_the_body_of_a_message_that_was_asked_for_is_taken() {
    let reply = "* 5 EXISTS\r\n* 1 EXPUNGE\r\n\
        * 9 FETCH (UID 99 BODY[] {5}\r\nalien)\r\n\
        * 1 FETCH (FLAGS (\\Seen))\r\n\
        * 1 FETCH (UID 1 FLAGS (\\Seen))\r\n\
        * 1 FETCH (INTERNALDATE NIL UID 1 X-LONG \"longer than the body\" BODY[] {3}\r\none X-TAIL {9}\r\nlong tail)\r\n\
        * 2 FETCH (UID 2 BODY[TEXT] \"part\" BODY[] \"two\")\r\n\
        * 3 FETCH (ENVELOPE (BODY[] \"inner\") UID 3 RFC822 \"three\")\r\n\
        P5 OK\r\n";
    let (fetched, result) = fetch_answered(reply).await;
    result.unwrap();
    assert_eq!(fetched.messages, [(key(1), b"one".to_vec()), (key(2), b"two".to_vec()), (key(3), b"three".to_vec())]);
    assert_eq!(fetched.failed, []);
}

/// One message that its server cannot give fails alone; the others arrive.
#[tokio::test]
async fn a_refusal_in_the_middle_of_a_fetch_costs_one_message() {
    for refusal in ["NO [SERVERBUG] cannot read it", "NO", "BAD", "OK"] {
        let script = selected()
            .answer("P5 UID FETCH 1:3 ", format!("* 1 FETCH (UID 1 BODY[] {{3}}\r\none)\r\nP5 {refusal}\r\n"))
            .answer("P6 UID FETCH 2 ", format!("P6 {refusal}\r\n"))
            .answer(
                "P7 UID FETCH 3 ",
                "* 3 FETCH (UID 3 BODY[] NIL)\r\n* 3 FETCH (UID 3 BODY[] {5}\r\nthree)\r\nP7 OK\r\n",
            );
        let (fetched, result, _) = fetch_three(script).await;
        result.unwrap();
        assert_eq!(fetched.messages, [(key(1), b"one".to_vec()), (key(3), b"three".to_vec())], "{refusal}");
        let [(failed, reason)] = &fetched.failed[..] else { panic!("{:?}", fetched.failed) };
        assert_eq!(*failed, key(2));
        assert_eq!(reason.contains("the server says"), refusal != "OK", "{reason}");
    }
}

/// A server may work on two commands at a time and end them in any order, as Dovecot does.
#[tokio::test]
async fn messages_of_two_commands_may_come_mixed() {
    let big = SIZE_LIMIT - 1;
    let body = |uid: u32| format!("* {uid} FETCH (UID {uid} BODY[] {{4}}\r\nm #{uid})\r\n");
    let script = selected().expect("P5 UID FETCH 1 ").answer("P6 UID FETCH 2 ", [body(2), "P6 OK\r\n".into()].concat());
    let script = script.answer("P7 UID FETCH 3 ", [body(3), body(1), "P5 OK\r\nP7 OK\r\n".into()].concat());
    let (peer, mut mailbox) = opened(script).await;
    let (fetched, result) = fetch(&mut *mailbox, vec![listed(1, big), listed(2, big), listed(3, big)]).await;
    result.unwrap();
    assert_eq!(fetched.failed, []);
    let mut uids: Vec<_> = fetched.messages.iter().map(|(key, raw)| (key.clone(), raw.clone())).collect();
    uids.sort();
    let expected = [1, 2, 3].map(|it| (key(it), format!("m #{it}").into_bytes()));
    assert_eq!(uids, expected);
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn a_cut_connection_is_an_error_and_keeps_what_was_complete() {
    let one = "* 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n";
    for rest in ["", "* 2 FETCH (UID 2 BODY[] {100}\r\nhalf", "* 2 FETCH (UID 2 BODY[] {3}\r\ntwo", "* 2 FET", "P5 OK"]
    {
        let script = selected().answer("P5 UID FETCH 1:3 ", format!("{one}{rest}")).close();
        let (fetched, result, _) = fetch_three(script).await;
        assert_error(result, ErrorKind::Protocol, Stage::Fetch);
        assert_eq!(fetched.messages, [(key(1), b"one".to_vec())], "{rest:?}");
    }
}

#[tokio::test]
async fn a_literal_of_impossible_size_is_not_waited_for() {
    let sizes = ["4294967296", "9223372036854775808", "18446744073709551615", "18446744073709551616", "2097153"];
    for size in sizes {
        let script = selected().answer("P5 UID FETCH", format!("* 1 FETCH (UID 1 BODY[] {{{size}}}\r\n"));
        let (fetched, result, recording) = fetch_three(script.flood("x".repeat(65_536))).await;
        assert_error(result, ErrorKind::Protocol, Stage::Fetch);
        assert_eq!(fetched.messages, []);
        assert!(recording.n_sent < BUFFERS, "{size}: {} bytes taken", recording.n_sent);
    }
}

/// What was taken would be less than the message, and look complete.
#[tokio::test]
async fn a_literal_that_goes_on_after_its_end_is_no_message() {
    let (fetched, result) = fetch_answered("* 1 FETCH (UID 1 BODY[] {3}\r\nabcdef)\r\nP5 OK\r\n").await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert_eq!(fetched.messages, []);
}

/// Reading stops at a limit, however the flood is cut.
#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let chunk = "x".repeat(64 * 1024);
    let literal = format!("{{{}}}\r\n{chunk} ", chunk.len());
    let untagged = format!("* OK {chunk}\r\n");
    let list_max = 64 * 1024 * 1024 + BUFFERS;
    for (security, before, flood, most, stage) in [
        (Security::Plain, script(), &chunk, BUFFERS, Stage::Greeting),
        (START_TLS, script(), &chunk, BUFFERS, Stage::Greeting),
        (START_TLS, greeted().expect("P1 STARTTLS"), &chunk, BUFFERS, Stage::Tls),
        (START_TLS, greeted().expect("P1 STARTTLS"), &untagged, list_max, Stage::Tls),
        (Security::Plain, greeted().answer("P1 CAPABILITY", "* X "), &literal, list_max, Stage::Authenticate),
    ] {
        let (_, recording) = check_refused(security, before.flood(flood), ErrorKind::Protocol, stage).await;
        assert!(recording.n_sent < most, "{stage:?}: {} bytes taken", recording.n_sent);
    }
}

#[tokio::test]
async fn an_endless_listing_is_not_read_to_its_end() {
    let flood = "* 1 FETCH (UID 1)\r\n".repeat(1000);
    let (peer, mut mailbox) = opened(selected().expect("P5 UID FETCH").flood(flood)).await;
    assert_error(mailbox.list().await, ErrorKind::Protocol, Stage::List);
    drop(mailbox);
    assert!(peer.end().await.n_sent < 64 * 1024 * 1024 + BUFFERS);
}

/// Small by the listing, endless when they come: the batch is given up, not the memory.
#[tokio::test]
async fn messages_far_larger_than_listed_are_not_hoarded() {
    let one = |uid: u32| format!("* 1 FETCH (UID {uid} BODY[] {{1000000}}\r\n{})\r\n", "x".repeat(1_000_000));
    let flood = [one(1), one(2), one(3)].concat();
    let (fetched, result, recording) = fetch_three(selected().expect("P5 UID FETCH").flood(flood)).await;
    assert_error(result, ErrorKind::Protocol, Stage::Fetch);
    assert!(fetched.messages.len() <= 3);
    assert!(recording.n_sent < 3 * SIZE_LIMIT + BUFFERS, "{} bytes taken", recording.n_sent);
}

#[tokio::test]
async fn without_uidplus_nothing_goes_that_somebody_else_has_marked() {
    let script = |found: &str| {
        greeted()
            .answer("P1 CAPABILITY", "* CAPABILITY AUTH=PLAIN SASL-IR UIDPLUS\r\nP1 OK\r\n")
            .answer("P2 AUTHENTICATE", "P2 OK\r\n")
            .answer("P3 CAPABILITY", "* CAPABILITY IMAP4rev1\r\nP3 OK\r\n")
            .answer("P4 SELECT INBOX", "* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nP4 OK\r\n")
            .answer("P5 UID SEARCH DELETED", format!("{found}P5 OK\r\n"))
    };
    let (peer, mut mailbox) = opened(script("* SEARCH 1 2\r\n* SEARCH 3\r\n")).await;
    assert_error(mailbox.delete(&[key(1), key(3)]).await, ErrorKind::Mailbox, Stage::Delete);
    drop(mailbox);
    let recording = peer.end().await;
    assert!(!String::from_utf8_lossy(&recording.received).contains("STORE"));

    // Somebody marks another one meanwhile: ours are unmarked again.
    let late = script("* SEARCH\r\n")
        .answer("P6 UID STORE 1 +FLAGS.SILENT (\\Deleted)", "P6 OK\r\n")
        .answer("P7 UID SEARCH DELETED", "* SEARCH 1 2\r\nP7 OK\r\n")
        .answer("P8 UID STORE 1 -FLAGS.SILENT (\\Deleted)", "P8 OK\r\n");
    let (peer, mut mailbox) = opened(late).await;
    assert_error(mailbox.delete(&[key(1)]).await, ErrorKind::Mailbox, Stage::Delete);
    drop(mailbox);
    assert!(!String::from_utf8_lossy(&peer.end().await.received).contains("EXPUNGE"));

    let script = script("* SEARCH 3 nonsense\r\n")
        .answer("P6 UID STORE 1,3 +FLAGS.SILENT (\\Deleted)", "P6 OK\r\n")
        .answer("P7 UID SEARCH DELETED", "* SEARCH 1 3\r\nP7 OK\r\n")
        .answer("P8 EXPUNGE", "* 1 EXPUNGE\r\nP8 OK\r\n")
        .answer("P9 UID SEARCH UID 1,3", "* SEARCH 3\r\nP9 OK\r\n");
    let (peer, mut mailbox) = opened(script).await;
    assert_eq!(mailbox.delete(&[key(1), key(3)]).await.unwrap(), [key(1)], "what is still there is not gone");
    drop(mailbox);
    peer.end().await;
}

#[tokio::test]
async fn a_deletion_that_the_server_refuses_is_not_reported_as_done() {
    for (reply, kind) in [
        ("P5 NO read only\r\n", ErrorKind::Mailbox),
        ("P5 BAD\r\n", ErrorKind::Protocol),
        ("+ OK\r\n", ErrorKind::Protocol),
        ("P4 OK\r\n", ErrorKind::Protocol),
    ] {
        let (peer, mut mailbox) = opened(selected().answer("P5 UID STORE 1 +FLAGS.SILENT", reply)).await;
        assert_error(mailbox.delete(&[key(1)]).await, kind, Stage::Delete);
        drop(mailbox);
        peer.end().await;
    }
    // Names of another life of the mailbox name nothing: not a byte is sent.
    let (peer, mut mailbox) = opened(selected()).await;
    let stale = RemoteKey::Uid { uid_validity: 6, uid: 1 };
    assert_eq!(mailbox.delete(&[stale]).await.unwrap(), []);
    drop(mailbox);
    assert!(!String::from_utf8_lossy(&peer.end().await.received).contains("P5"));
}
