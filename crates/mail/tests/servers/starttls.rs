//! The ways to break STARTTLS, by the classes of "Why TLS Is Better Without STARTTLS" (USENIX Security 2021), over IMAP and POP3.
//!
//! In every case nothing but the wish for TLS is said in clear; where the visit goes on inside TLS, nothing from before it counts.

use domain::{
    account::{Protocol, Security, Trust},
    check::{ErrorKind, Stage},
};
use service::ports::{Listed, RemoteKey};

use crate::support::{
    PASSWORD, assert_error, open, patient,
    peer::{Peer, Script},
    visit,
};

const START_TLS: Security = Security::StartTls(Trust::SkipCertificate { until: None });

fn script() -> Script {
    Script::default()
}

fn imap() -> Script {
    script().send("* OK ready\r\n")
}

fn pop3() -> Script {
    script().send("+OK ready\r\n")
}

/// One way to break it, and what must come of it. Whether bytes behind the answer are seen as an injection or as no TLS depends
/// on when they arrive: then the kind is left open.
struct Case {
    class: &'static str,
    protocol: Protocol,
    script: Script,
    kind: Option<ErrorKind>,
    stage: Stage,
}

fn case(class: &'static str, script: Script, kind: ErrorKind, stage: Stage) -> Case {
    let protocol = if class.starts_with("imap") { Protocol::Imap } else { Protocol::Pop3 };
    Case { class, protocol, script, kind: Some(kind), stage }
}

fn injection(class: &'static str, script: Script) -> Case {
    Case { kind: None, ..case(class, script, ErrorKind::Protocol, Stage::Tls) }
}

fn negotiation() -> Vec<Case> {
    use ErrorKind::{Protocol, Throttled, Tls};
    vec![
        case("imap O: refused", imap().answer("P1 STARTTLS", "P1 NO not today\r\n"), Tls, Stage::Tls),
        case("imap O: unknown", imap().answer("P1 STARTTLS", "P1 BAD unknown command\r\n"), Tls, Stage::Tls),
        case("imap O: bad without text", imap().answer("P1 STARTTLS", "P1 BAD\r\n"), Tls, Stage::Tls),
        case("imap O: another word", imap().answer("P1 STARTTLS", "P1 PREAUTH in\r\n"), Tls, Stage::Tls),
        case("imap O: closed", imap().expect("P1 STARTTLS").close(), Protocol, Stage::Tls),
        case("imap O: bye", imap().answer("P1 STARTTLS", "* BYE no\r\n"), Throttled, Stage::Tls),
        case("imap O: wrong tag", imap().answer("P1 STARTTLS", "P2 OK go\r\n"), Protocol, Stage::Tls),
        case("imap O: continuation", imap().answer("P1 STARTTLS", "+ go\r\n"), Protocol, Stage::Tls),
        case(
            "imap D: not offered, and refused",
            script()
                .send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] no STARTTLS here\r\n")
                .answer("P1 STARTTLS", "P1 BAD\r\n"),
            Tls,
            Stage::Tls,
        ),
        case(
            "imap D: the capabilities vanish inside TLS",
            imap()
                .answer("P1 STARTTLS", "P1 OK go\r\n")
                .tls()
                .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nP1 OK\r\n"),
            Protocol,
            Stage::Authenticate,
        ),
        case("pop3 O: refused", pop3().answer("STLS", "-ERR not today\r\n"), Tls, Stage::Tls),
        case("pop3 O: without text", pop3().answer("STLS", "-ERR\r\n"), Tls, Stage::Tls),
        case("pop3 O: closed", pop3().expect("STLS").close(), Protocol, Stage::Tls),
        case("pop3 O: nonsense", pop3().answer("STLS", "* OK go\r\n"), Protocol, Stage::Tls),
    ]
}

fn claims_and_injections() -> Vec<Case> {
    let preauth = "* PREAUTH [CAPABILITY IMAP4rev1] welcome back\r\n";
    let referral = "* BYE [REFERRAL imap://user;AUTH=*@mail.example.org/] elsewhere\r\n";
    vec![
        case("imap P: preauth", script().send(preauth), ErrorKind::Protocol, Stage::Greeting),
        case(
            "imap P: preauth inside TLS",
            script().send(preauth).answer("STARTTLS", "P1 OK\r\n").tls(),
            ErrorKind::Protocol,
            Stage::Greeting,
        ),
        case("imap L: referral as greeting", script().send(referral), ErrorKind::Throttled, Stage::Greeting),
        case(
            "imap L: referral instead of TLS",
            imap().answer("P1 STARTTLS", "P1 NO [REFERRAL imap://mail.example.org/] elsewhere\r\n"),
            ErrorKind::Tls,
            Stage::Tls,
        ),
        injection("imap B: replies", imap().answer("STARTTLS", "P1 OK go\r\nP1 OK in\r\nP2 OK in\r\n")),
        injection("imap B: a greeting", imap().answer("STARTTLS", "P1 OK go\r\n* PREAUTH in\r\n")),
        injection("imap B: capabilities", imap().answer("STARTTLS", "P1 OK go\r\n* CAPABILITY AUTH=PLAIN\r\n")),
        injection("imap B: one byte", imap().answer("STARTTLS", "P1 OK go\r\n\n")),
        injection("imap B: in another packet", imap().answer("STARTTLS", "P1 OK go\r\n").send("P1 OK in\r\n")),
        injection("pop3 B: replies", pop3().answer("STLS", "+OK go\r\n+OK in\r\n+OK in\r\n")),
        injection("pop3 B: one byte", pop3().answer("STLS", "+OK go\r\n\n")),
        injection("pop3 B: in another packet", pop3().answer("STLS", "+OK go\r\n").send("+OK in\r\n")),
    ]
}

#[tokio::test]
async fn every_way_to_break_starttls_ends_the_visit_before_any_secret() {
    for Case { class, protocol, script, kind, stage } in negotiation().into_iter().chain(claims_and_injections()) {
        let is_inside = class.ends_with("vanish inside TLS");
        // Its last step is never reached: the client is gone by then.
        let is_left_early = class.ends_with("preauth inside TLS");
        let peer = Peer::start(script).await;
        let result = open(patient(), &visit(protocol, START_TLS, peer.port)).await;
        let Err(error) = result else { panic!("{class}: this is no success") };
        assert_eq!(error.stage, stage, "{class}: {error}");
        assert!(kind.is_none_or(|it| it == error.kind), "{class}: {:?}, {error}", error.kind);
        if is_left_early {
            assert_eq!(peer.received(), b"", "{class}");
            continue;
        }
        let recording = peer.end().await;
        recording.assert_no_secret();
        let wish: &[u8] = if protocol == Protocol::Imap { b"P1 STARTTLS\r\n" } else { b"STLS\r\n" };
        let said: &[u8] = if stage == Stage::Greeting { b"" } else { wish };
        // Behind it comes at most the beginning of a handshake.
        let rest = recording.received.strip_prefix(said).unwrap_or_else(|| panic!("{class}: something else was said"));
        assert!(is_inside || rest.is_empty() || rest[0] == 0x16, "{class}: {}", String::from_utf8_lossy(rest));
    }
}

/// Class T: what a man in the middle says before TLS begins is forgotten, whatever it is and wherever it stands.
#[tokio::test]
async fn what_is_said_before_tls_changes_nothing_inside_it() {
    for untagged in [
        "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n",
        "* LIST () \"/\" \"../../etc/passwd\"\r\n* LSUB () \"/\" evil\r\n",
        "* STATUS INBOX (MESSAGES 99 UIDVALIDITY 1)\r\n",
        "* SEARCH 1 2 3\r\n",
        "* FLAGS (\\Deleted)\r\n* OK [PERMANENTFLAGS ()]\r\n",
        "* 99 EXISTS\r\n* 99 RECENT\r\n* 1 EXPUNGE\r\n",
        "* 1 FETCH (UID 66 RFC822.SIZE 6 BODY[] {4}\r\nevil)\r\n",
        "* OK [UIDVALIDITY 1] other\r\n* OK [ALERT] \u{1b}[31m<b>call 555\u{202e}\r\n",
        "* NO [REFERRAL imap://mail.example.org/] elsewhere\r\n",
    ] {
        let before = imap().send(untagged).expect("P1 STARTTLS").send(untagged).send("P1 OK go\r\n");
        let after = imap().expect("P1 STARTTLS").send(untagged).send("P1 OK go\r\n");
        for script in [before, after] {
            let inside = script
                .tls()
                .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nP1 OK\r\n")
                .answer("P2 AUTHENTICATE PLAIN ", "P2 OK\r\n")
                .answer("P3 CAPABILITY", "* CAPABILITY IMAP4rev1 UIDPLUS\r\nP3 OK\r\n")
                .answer("P4 SELECT INBOX", "* OK [UIDVALIDITY 7]\r\n* 1 EXISTS\r\nP4 OK\r\n")
                .answer("P5 UID FETCH", "* 1 FETCH (UID 5 RFC822.SIZE 50)\r\nP5 OK\r\n");
            let peer = Peer::start(inside).await;
            let (mut mailbox, _) = open(patient(), &visit(Protocol::Imap, START_TLS, peer.port)).await.unwrap();
            let key = RemoteKey::Uid { uid_validity: 7, uid: 5 };
            assert_eq!(mailbox.list().await.unwrap().messages, [Listed { key, size: 50 }], "{untagged}");
            drop(mailbox);
            peer.end().await.assert_no_secret();
        }
    }
}

#[tokio::test]
async fn what_pop3_offers_before_tls_is_not_used_inside_it() {
    let script = script()
        .send("+OK \u{1b}[31m<b>SASL PLAIN\u{202e}\r\n")
        .answer("STLS", "+OK go\r\n")
        .tls()
        .answer("CAPA", "+OK\r\nUSER\r\n.\r\n")
        .answer("USER user", "+OK\r\n")
        .answer(PASSWORD, "-ERR [AUTH] wrong\r\n");
    let peer = Peer::start(script).await;
    let result = open(patient(), &visit(Protocol::Pop3, START_TLS, peer.port)).await;
    assert_error(result, ErrorKind::Authentication, Stage::Authenticate);
    peer.end().await.assert_no_secret();
}

/// Classes L and M (RFC 2221, RFC 2193): a referral is somebody's word for where to take the password, so nobody goes there.
#[tokio::test]
async fn referrals_are_not_followed() {
    let elsewhere = Peer::start(imap()).await;
    let url = format!("imap://user;AUTH=*@127.0.0.1:{}/INBOX", elsewhere.port);
    let asked = || imap().answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nP1 OK\r\n");
    let signed_in = || {
        asked()
            .answer("P2 AUTHENTICATE", format!("P2 OK [REFERRAL {url}] there is a better server\r\n"))
            .answer("P3 CAPABILITY", "* CAPABILITY IMAP4rev1 MAILBOX-REFERRALS\r\nP3 OK\r\n")
    };
    for (script, kind, stage) in [
        (script().send(format!("* BYE [REFERRAL {url}] go\r\n")), ErrorKind::Throttled, Stage::Greeting),
        (
            asked().answer("P2 AUTHENTICATE", format!("P2 NO [REFERRAL {url}] go\r\n")),
            ErrorKind::Authentication,
            Stage::Authenticate,
        ),
        (
            signed_in().answer("P4 SELECT INBOX", format!("P4 NO [REFERRAL {url}] go\r\n")),
            ErrorKind::Mailbox,
            Stage::Select,
        ),
    ] {
        let peer = Peer::start(script).await;
        let result = open(patient(), &visit(Protocol::Imap, Security::Plain, peer.port)).await;
        let error = assert_error(result, kind, stage);
        assert!(!error.is_certain, "{error}");
        peer.end().await;
    }
    assert!(elsewhere.is_untouched(), "a referral was followed");
}
