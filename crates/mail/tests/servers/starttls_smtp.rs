//! The ways to break STARTTLS, by the same classes, where mail is handed in (RFC 3207).
//!
//! In every case nothing but a greeting and the wish for TLS is said in clear; where it goes on inside TLS, nothing from before
//! it counts.

use domain::{
    account::{Security, Trust},
    check::{ErrorKind, Stage},
    email::EmailAddress,
};
use service::{ports::Submission, secret::Secret};

use crate::support::{
    PASSWORD, assert_error, assert_presentable, open_outbox, patient,
    peer::{Peer, Script},
    submission,
};

const START_TLS: Security = Security::StartTls(Trust::SkipCertificate { until: None });
const HELLO: &[u8] = b"EHLO example.org\r\n";
const WISH: &[u8] = b"EHLO example.org\r\nSTARTTLS\r\n";
/// What a server inside TLS may be asked for.
const OFFERS: &str = "250-mail.example.org\r\n250 AUTH PLAIN\r\n";

fn greeted() -> Script {
    Script::default().send("220 mail.example.org ESMTP\r\n")
}

/// With ways to sign in that are not to be used before TLS.
fn offered() -> Script {
    greeted().answer("EHLO", "250-mail.example.org\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n250 STARTTLS\r\n")
}

/// `said`: all that is heard before TLS. Whether bytes behind the answer are seen as an injection or as no TLS depends on when they
/// arrive: then the kind is left open.
struct Case {
    class: &'static str,
    script: Script,
    kind: Option<ErrorKind>,
    stage: Stage,
    said: &'static [u8],
}

fn case(class: &'static str, script: Script, kind: ErrorKind) -> Case {
    Case { class, script, kind: Some(kind), stage: Stage::Tls, said: WISH }
}

fn stripped(class: &'static str, hello: &str) -> Case {
    Case { said: HELLO, ..case(class, greeted().answer("EHLO", hello), ErrorKind::Tls) }
}

fn greeting(class: &'static str, bytes: &str, kind: ErrorKind) -> Case {
    let script = Script::default().send(bytes);
    Case { class, script, kind: Some(kind), stage: Stage::Greeting, said: b"" }
}

fn injection(class: &'static str, script: Script) -> Case {
    Case { kind: None, ..case(class, script, ErrorKind::Protocol) }
}

fn cases() -> Vec<Case> {
    use ErrorKind::{Authentication, Protocol, Throttled, Tls};
    let inside = Stage::Authenticate;
    vec![
        case("O: not now", offered().answer("STARTTLS", "454 4.7.0 TLS not available\r\n"), Tls),
        case("O: refused", offered().answer("STARTTLS", "502 no\r\n"), Tls),
        case("O: unknown", offered().answer("STARTTLS", "500 5.5.1 unrecognized command\r\n"), Tls),
        case("O: without text", offered().answer("STARTTLS", "454\r\n"), Tls),
        case("O: another success", offered().answer("STARTTLS", "250 go\r\n"), Tls),
        case("O: signed in already", offered().answer("STARTTLS", "235 2.7.0 welcome\r\n"), Tls),
        case("O: closed", offered().expect("STARTTLS").close(), Protocol),
        case("O: nonsense", offered().answer("STARTTLS", "+OK go\r\n"), Protocol),
        stripped("D: not offered", "250-mail.example.org\r\n250 AUTH PLAIN LOGIN\r\n"),
        stripped("D: another word", "250-mail.example.org\r\n250-XSTARTTLS\r\n250 XXXXXXXA STARTTLS\r\n"),
        stripped("D: EHLO refused", "502 5.5.1 speak HELO\r\n"),
        Case {
            stage: inside,
            ..case(
                "D: the capabilities vanish inside TLS",
                offered().answer("STARTTLS", "220 go\r\n").tls().answer("EHLO", "250 mail.example.org\r\n"),
                Authentication,
            )
        },
        greeting("P: signed in by the greeting", "235 2.7.0 welcome back\r\n", Throttled),
        greeting("P: not now", "421 too busy\r\n", Throttled),
        greeting("P: another protocol", "* PREAUTH [CAPABILITY IMAP4rev1] welcome back\r\n", Protocol),
        greeting("U: words for people", "554 \u{1b}[31m<b>call 555\u{202e}\u{7}\r\n", Throttled),
        case("U: the same later", offered().answer("STARTTLS", "454 \u{1b}]0;<b>call 555\u{202e}\r\n"), Tls),
        injection("B: replies", offered().answer("STARTTLS", "220 go\r\n250-x\r\n250 AUTH PLAIN\r\n235 in\r\n")),
        injection("B: a second answer", offered().answer("STARTTLS", "220-go\r\n220 go\r\n220 go\r\n")),
        injection("B: one byte", offered().answer("STARTTLS", "220 go\r\n\n")),
        injection("B: in another packet", offered().answer("STARTTLS", "220 go\r\n").send("250 AUTH PLAIN\r\n")),
        injection("B: before the wish", greeted().answer("EHLO", "250 STARTTLS\r\n220 go\r\n250 AUTH PLAIN\r\n")),
    ]
}

#[tokio::test]
async fn every_way_to_break_starttls_ends_the_submission_before_any_secret() {
    for Case { class, script, kind, stage, said } in cases() {
        let peer = Peer::start(script).await;
        let result = open_outbox(patient(), &submission(START_TLS, peer.port)).await;
        let Err(error) = result else { panic!("{class}: this is no success") };
        assert_eq!(error.stage, stage, "{class}: {error}");
        assert!(kind.is_none_or(|it| it == error.kind), "{class}: {:?}, {error}", error.kind);
        let recording = peer.end().await;
        recording.assert_no_secret();
        let rest = recording.received.strip_prefix(said).unwrap_or_else(|| panic!("{class}: something else was said"));
        // Behind it comes at most the beginning of a handshake.
        let may_go_on = stage == Stage::Authenticate || kind.is_none();
        assert!(rest.is_empty() || may_go_on && rest[0] == 0x16, "{class}: {}", String::from_utf8_lossy(rest));
    }
}

/// What a man in the middle offers before TLS is forgotten: inside it only what is offered there counts.
#[tokio::test]
async fn what_is_offered_before_tls_is_not_used_inside_it() {
    let script = offered()
        .answer("STARTTLS", "220 go\r\n")
        .tls()
        .answer("EHLO example.org", "250-mail.example.org\r\n250 AUTH LOGIN\r\n")
        .answer("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n")
        .answer("dXNlcg==", "334 UGFzc3dvcmQ6\r\n")
        .answer("", "235 2.7.0 in\r\n")
        .answer("MAIL FROM:<posthorn@example.org>", "250 ok\r\n")
        .answer("RCPT TO:<ana@example.org>", "551 user not local; please try <ana@elsewhere.example>\r\n");
    let peer = Peer::start(script).await;
    let (mut outbox, stages) = open_outbox(patient(), &submission(START_TLS, peer.port)).await.unwrap();
    let (way, inside) = ([Stage::Resolve, Stage::Connect], [Stage::Greeting, Stage::Tls, Stage::Tls, Stage::Greeting]);
    assert_eq!(stages, [&way[..], &inside[..], &[Stage::Authenticate]].concat());
    // Nobody goes where a server sends them (RFC 5321 section 3.4).
    let error = outbox.address(&EmailAddress::parse("ana@example.org").unwrap()).await.unwrap_err().error;
    assert_eq!((error.kind, error.stage), (ErrorKind::Mailbox, Stage::Send), "{error}");
    drop(outbox);
    peer.end().await.assert_no_secret();
}

fn inside(offers: &str) -> Script {
    Script::default().tls().send("220 ready\r\n").answer("EHLO", offers)
}

/// A server that does not understand a command may repeat it.
#[tokio::test]
async fn a_secret_that_the_server_repeats_is_not_told() {
    let secure = Security::Implicit(Trust::SkipCertificate { until: None });
    let by_password = submission(secure, 0);
    let by_token =
        Submission { credential: Some(("user".to_owned(), Secret::token(PASSWORD.to_owned()))), ..by_password.clone() };
    let plain = "AHVzZXIAcGFzcy3DpC1acTgx";
    let old = "dXNlcj11c2VyAWF1dGg9QmVhcmVyIHBhc3Mtw6QtWnE4MQEB";
    for (mut submission, script) in [
        (by_password.clone(), inside(OFFERS).answer(plain, format!("500 5.5.1 unknown: AUTH PLAIN {plain}\r\n"))),
        (by_password.clone(), inside(OFFERS).answer(plain, format!("535 5.7.8 {PASSWORD} is wrong\r\n"))),
        (by_token.clone(), inside("250 AUTH XOAUTH2\r\n").answer(old, format!("500 unknown: AUTH XOAUTH2 {old}\r\n"))),
        (by_token, inside("250 AUTH XOAUTH2\r\n").answer(old, format!("535 {PASSWORD} is over\r\n"))),
    ] {
        let peer = Peer::start(script).await;
        submission.destination.port = peer.port;
        let error =
            assert_error(open_outbox(patient(), &submission).await, ErrorKind::Authentication, Stage::Authenticate);
        assert!(error.message.contains("(secret, "), "{error}");
        peer.end().await.assert_no_secret();
    }
    let late =
        inside(OFFERS).answer("AUTH", "235 in\r\n").answer("MAIL", format!("550 {plain} is no sender, {PASSWORD}\r\n"));
    let peer = Peer::start(late).await;
    let mut submission = by_password;
    submission.destination.port = peer.port;
    let (mut outbox, _) = open_outbox(patient(), &submission).await.unwrap();
    let error = outbox.address(&EmailAddress::parse("ana@example.org").unwrap()).await.unwrap_err().error;
    assert_presentable(&error.message);
    drop(outbox);
    peer.end().await;
}
