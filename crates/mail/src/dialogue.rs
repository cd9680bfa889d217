//! Tests of whole dialogues: what the transcript shows of them, and what it never does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    account::{Address, Destination, Protocol, Route, Security, Trust},
    check::{ErrorKind, StageRecord},
};
use service::{
    ports::{Listed, MailError, Mailbox, Side, StageLog, Transcript, Visit, Wanted},
    secret::Secret,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    sync::mpsc,
};

use crate::{imap, pop3, stages::Stages, wire::Wire};

const PASSWORD: &str = "pass-ä-Zq81";

/// What the server says first, then after each line.
type Script = Vec<String>;

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Transcript for Notes {
    fn line(&self, side: Side, text: &str) {
        let side = if side == Side::Client { "C" } else { "S" };
        self.0.lock().unwrap().push(format!("{side}: {text}"));
    }
}

struct NoLog;

impl StageLog for NoLog {
    fn ended(&self, _: StageRecord) {}
}

/// Opens a mailbox of this server.
async fn open(protocol: Protocol, script: Script) -> (Result<Box<dyn Mailbox>, MailError>, Arc<Notes>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let mut theirs = BufReader::new(theirs);
        let mut line = Vec::new();
        for (n, text) in script.iter().enumerate() {
            if n > 0 && theirs.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
                return;
            }
            _ = theirs.write_all(text.as_bytes()).await;
        }
        _ = theirs.read_until(0, &mut line).await;
    });
    let notes = Arc::new(Notes::default());
    let visit = Visit {
        protocol,
        destination: Destination {
            address: Address::parse("127.0.0.1").unwrap(),
            port: 993,
            security: Security::Implicit(Trust::SkipCertificate { until: None }),
            route: Route::Direct,
        },
        connector: None,
        authority: None,
        username: "user".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        transcript: Some(Arc::<Notes>::clone(&notes)),
    };
    let wire = Wire::new(Box::new(ours), Duration::from_secs(5), 1 << 20).told_to(visit.transcript.clone());
    let stages = Stages::new(Arc::new(NoLog), Duration::from_secs(5));
    let opened = match protocol {
        Protocol::Imap => imap::open(wire, false, &visit, &stages).await,
        Protocol::Pop3 => pop3::open(wire, false, &visit, &stages).await,
    };
    (opened, notes)
}

/// Every form in which the password crosses the network.
fn forms() -> [String; 3] {
    [PASSWORD.to_owned(), STANDARD.encode(PASSWORD), STANDARD.encode(format!("\0user\0{PASSWORD}"))]
}

fn lines(texts: &[&str]) -> Script {
    texts.iter().map(|it| (*it).to_owned()).collect()
}

/// However the dialogue goes, and whatever the server repeats, the password is not shown.
async fn check_hidden(protocol: Protocol, script: Script) {
    let (opened, notes) = open(protocol, script.clone()).await;
    let notes = notes.0.lock().unwrap().join("\n");
    assert!(notes.contains("(secret, "), "{notes}");
    let error = opened.err().map(|it| it.message).unwrap_or_default();
    for form in forms() {
        assert!(!notes.contains(&form), "{form} in {notes}");
        assert!(!error.contains(&form), "{form} in {error}");
    }
}

#[tokio::test]
async fn no_mechanism_shows_the_password_and_no_refusal_repeats_it() {
    let [plain, encoded, initial] = forms();
    let echo = format!("{plain} {encoded} {initial}, {initial}");
    for greeting in ["AUTH=PLAIN SASL-IR", "AUTH=PLAIN", ""] {
        let greeting = format!("* OK [CAPABILITY IMAP4rev1 {greeting}] ready\r\n");
        let steps = match &*greeting {
            it if it.contains("SASL-IR") => 0,
            it if it.contains("PLAIN") => 1,
            _ => 2,
        };
        for refused_at in 0..=steps {
            for last in ["NO [AUTHENTICATIONFAILED]", "NO", "BAD", "OK"] {
                let mut script = vec![greeting.clone()];
                script.extend((0..refused_at).map(|_| format!("+ {echo}\r\n")));
                script.push(format!("* OK {echo}\r\nP1 {last} {echo}\r\n"));
                script.push(format!("* CAPABILITY X\r\n* OK [UIDVALIDITY 7] {echo}\r\nP2 OK\r\n"));
                script.push(format!("P3 NO {echo}\r\n"));
                // Where the first answer ends it, no secret was sent: then there is none to be masked but in the echo.
                check_hidden(Protocol::Imap, script).await;
            }
        }
    }
    for last in ["+OK", "-ERR", "-ERR [AUTH]"] {
        let end = format!("{last} {echo}\r\n");
        let more = ["-ERR what\r\n", "+OK 0 0\r\n"];
        let capa = "+OK\r\nSASL PLAIN\r\n.\r\n";
        let echoing = format!("+ {echo}\r\n");
        check_hidden(Protocol::Pop3, [lines(&["+OK\r\n", capa, &echoing, &end]), lines(&more)].concat()).await;
        check_hidden(Protocol::Pop3, lines(&["+OK\r\n", capa, &format!("-ERR {echo}\r\n")])).await;
        let user = format!("+OK {echo}\r\n");
        check_hidden(Protocol::Pop3, [lines(&["+OK\r\n", "-ERR\r\n", &user, &end]), lines(&more)].concat()).await;
        check_hidden(Protocol::Pop3, lines(&["+OK\r\n", "-ERR\r\n", &format!("-ERR {echo}\r\n")])).await;
    }
}

#[tokio::test]
async fn an_imap_dialogue_is_taken_down_line_by_line_without_messages() {
    let script = lines(&[
        "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] \u{1b}[31mready\r\n",
        "P1 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n",
        "* 2 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 3]\r\nP2 OK\r\n",
        "* 1 FETCH (UID 1 BODY[] {12}\r\nclassified\r\n)\r\n* 2 FETCH (UID 2 BODY[] \"classified\")\r\nP3 OK\r\n",
    ]);
    let (opened, notes) = open(Protocol::Imap, script).await;
    let mut mailbox = opened.unwrap();
    assert_eq!((mailbox.state().n_messages, mailbox.state().uid_next, mailbox.can_idle()), (2, Some(3), true));
    let (sink, mut source) = mpsc::channel(8);
    let key = |uid| service::ports::RemoteKey::Uid { uid_validity: 7, uid };
    let work = [1, 2].map(|uid| Wanted { listed: Listed { key: key(uid), size: 12 }, staged: 0 });
    mailbox.fetch(work.to_vec(), sink).await.unwrap();
    assert!(source.recv().await.is_some());
    let notes = notes.0.lock().unwrap().clone();
    assert_eq!(
        notes,
        [
            "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR]  [31mready",
            "C: P1 AUTHENTICATE PLAIN (secret, 24 bytes)",
            "S: P1 OK [CAPABILITY IMAP4rev1 IDLE] in",
            "C: P2 SELECT INBOX",
            "S: * 2 EXISTS",
            "S: * OK [UIDVALIDITY 7]",
            "S: * OK [UIDNEXT 3]",
            "S: P2 OK",
            "C: P3 UID FETCH 1:2 (UID BODY.PEEK[])",
            "S: * 1 FETCH (UID 1 BODY[] {12}",
            "S: {12 bytes}",
            "S: )",
            "S: * 2 FETCH (UID 2 BODY[] {10 bytes})",
            "S: P3 OK",
        ]
    );
}

#[tokio::test]
async fn a_pop3_dialogue_is_taken_down_line_by_line_without_messages() {
    let script = lines(&[
        "+OK ready\r\n",
        "+OK\r\nPIPELINING\r\nUIDL\r\n.\r\n",
        "+OK\r\n",
        "+OK\r\n",
        "+OK\r\nPIPELINING\r\n.\r\n",
        "+OK 1 12\r\n",
        "+OK\r\n1 12\r\n.\r\n",
        "+OK\r\n1 one\r\n.\r\n",
        "+OK 12 octets\r\nclassified\r\n.\r\n",
        "+OK\r\n",
    ]);
    let (opened, notes) = open(Protocol::Pop3, script).await;
    let mut mailbox = opened.unwrap();
    assert_eq!(mailbox.state().n_messages, 1);
    let listing = mailbox.list().await.unwrap();
    let (sink, mut source) = mpsc::channel(8);
    let work = listing.messages.into_iter().map(|listed| Wanted { listed, staged: 0 });
    mailbox.fetch(work.collect(), sink).await.unwrap();
    assert!(source.recv().await.is_some());
    mailbox.close().await;
    let notes = notes.0.lock().unwrap().join("\n");
    let expected = "S: +OK ready\nC: CAPA\nS: +OK\nS: PIPELINING\nS: UIDL\nS: .\nC: USER (secret, 4 bytes)\nS: +OK\n\
        C: PASS (secret, 12 bytes)\nS: +OK\nC: CAPA\nC: STAT\nS: +OK\nS: PIPELINING\nS: .\nS: +OK 1 12\nC: LIST\nC: UIDL\n\
        S: +OK\nS: 1 12\nS: .\nS: +OK\nS: 1 one\nS: .\nC: RETR 1\nS: +OK 12 octets\nS: {12 bytes}\nC: QUIT\nS: +OK";
    assert_eq!(notes, expected);
}

#[tokio::test]
async fn a_server_that_is_too_busy_says_for_how_long() {
    let words = "Request is throttled. Suggested Backoff Time: 92415 milliseconds";
    for reply in [format!("P1 BAD {words}\r\n"), format!("P1 NO {words}\r\n"), format!("* BYE {words}\r\n")] {
        let greeting = "* OK [CAPABILITY AUTH=PLAIN SASL-IR]\r\n";
        let (opened, _) = open(Protocol::Imap, lines(&[greeting, &reply])).await;
        let error = opened.err().unwrap();
        assert_eq!((error.kind, error.retry_after), (ErrorKind::Throttled, Some(Duration::from_millis(92_415))));
    }
}
