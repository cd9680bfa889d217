//! Tests of connections: what they see of a real server by every protocol and every security, what they leave behind, and how far
//! they get with what is broken.

use std::sync::{Arc, Mutex};

use domain::{
    account::{Protocol, Security, Trust},
    check::{ErrorKind, Stage, StageRecord},
    connection_test::{Evidence, Fact, Phase, Verdict},
    connector::ConnectorKind,
};
use mail::{Mail, MailSettings};
use service::{
    ports::{ConnectionProbe as _, Depth, MailError, StageLog, Visit},
    secret::Secret,
};
use tokio::time::timeout;

use crate::{
    dialects::account,
    support::{
        HANG, PASSWORD, SECURITIES, assert_error, assert_presentable,
        dovecot::Dovecot,
        hasty, patient,
        peer::{Peer, Script},
        proxy::Proxy,
        server::{Onlooker, Server as _},
        through, visit,
    },
};

#[derive(Default)]
struct Log {
    /// The stage that began last.
    under_way: Mutex<Option<Stage>>,
    stages: Mutex<Vec<StageRecord>>,
    evidence: Mutex<Evidence>,
}

impl StageLog for Log {
    fn began(&self, stage: Stage) {
        *self.under_way.lock().unwrap() = Some(stage);
    }

    fn ended(&self, record: StageRecord) {
        assert_eq!(self.under_way.lock().unwrap().take(), Some(record.stage), "something else was under way");
        self.stages.lock().unwrap().push(record);
    }

    fn found(&self, fact: Fact) {
        self.evidence.lock().unwrap().note(fact);
    }
}

pub(crate) struct Probed {
    pub(crate) stages: Vec<Stage>,
    pub(crate) evidence: Evidence,
    pub(crate) result: Result<(), MailError>,
}

/// Tests a connection; whatever was seen is fit to be shown.
pub(crate) async fn probe(settings: MailSettings, visit: &Visit, depth: Depth) -> Probed {
    let (log, mail) = (Arc::new(Log::default()), Mail::new(settings).unwrap());
    let told = Arc::<Log>::clone(&log);
    let result = timeout(HANG, mail.probe_connection(visit, depth, told)).await.expect("the test hangs");
    let evidence = log.evidence.lock().unwrap().clone();
    let stages = log.stages.lock().unwrap().clone();
    for stage in &stages {
        assert_presentable(&stage.detail);
    }
    let shown = format!("{evidence:?}");
    assert!(!shown.contains(PASSWORD), "the password: {shown}");
    Probed { stages: stages.into_iter().map(|it| it.stage).collect(), evidence, result }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Imap, Protocol::Pop3];

fn phases(evidence: &Evidence) -> Vec<Phase> {
    Phase::ALL.into_iter().filter(|it| evidence.capabilities.of(*it).is_some()).collect()
}

#[tokio::test]
async fn everything_that_a_check_meets_is_seen() {
    let dovecot = Dovecot::start().await;
    for protocol in PROTOCOLS {
        for (n, security) in SECURITIES.into_iter().enumerate() {
            let case = format!("{} {security:?}", protocol.as_str());
            let user = format!("seen-{}-{n}", protocol.as_str());
            dovecot.deliver(&user, &[b"Subject: one\r\n\r\n1\r\n".to_vec(), b"Subject: two\r\n\r\n2\r\n".to_vec()]);
            let probed = probe(patient(), &account(&dovecot, protocol, security, &user), Depth::Mailbox).await;
            probed.result.unwrap_or_else(|it| panic!("{case}: {it}"));
            let evidence = probed.evidence;
            assert_eq!(evidence.resolved[0].address, "127.0.0.1", "{case}");
            assert!(evidence.connected.as_ref().is_some_and(|it| it.starts_with("127.0.0.1:")), "{case}");
            assert!(evidence.greeting.as_ref().is_some_and(|it| it.contains("Dovecot")), "{case}: {evidence:?}");
            assert!(evidence.mechanisms().contains(&"PLAIN".to_owned()), "{case}: {evidence:?}");
            let mechanism = if protocol == Protocol::Imap { "AUTHENTICATE PLAIN" } else { "AUTH PLAIN" };
            assert_eq!(evidence.mechanism.as_deref(), Some(mechanism), "{case}");
            let mailbox = evidence.mailbox.unwrap();
            assert_eq!(mailbox.n_messages, 2, "{case}");
            assert_eq!(mailbox.n_unseen, (protocol == Protocol::Imap).then_some(2), "{case}");
            assert_eq!(mailbox.uid_validity.is_some(), protocol == Protocol::Imap, "{case}");
            assert_eq!(mailbox.size.is_some_and(|it| it > 0), protocol == Protocol::Pop3, "{case}");
            let expected: &[Phase] = match security {
                Security::Plain => &[Phase::Plain, Phase::SignedIn],
                Security::Implicit(_) => &[Phase::Secured, Phase::SignedIn],
                Security::StartTls(_) => &Phase::ALL,
            };
            assert_eq!(phases(&evidence), expected, "{case}");
            check_tls(&evidence, security, &case);
        }
    }
}

fn check_tls(evidence: &Evidence, security: Security, case: &str) {
    if !security.is_secure() {
        assert_eq!((&evidence.tls, evidence.chain.len(), &evidence.verdict), (&None, 0, &None), "{case}");
        return;
    }
    let tls = evidence.tls.as_ref().unwrap();
    assert_eq!(tls.version, "TLSv1.3", "{case}");
    assert!(tls.cipher.starts_with("TLS13_"), "{case}: {}", tls.cipher);
    let [leaf] = evidence.chain.as_slice() else { panic!("{case}: {:?}", evidence.chain) };
    assert_eq!((leaf.names.as_slice(), leaf.key.as_str()), (["localhost".to_owned()].as_slice(), "EC, 256 bits"));
    assert!(leaf.not_before < leaf.not_after && leaf.subject == leaf.issuer, "{case}: {leaf:?}");
    assert!(leaf.fingerprint.starts_with("SHA256:") && leaf.pin.starts_with("SHA256:"), "{case}: {leaf:?}");
    // Nothing is checked, and it is told all the same what the system would say.
    let Some(Verdict::Accepted { why }) = &evidence.verdict else { panic!("{case}: {:?}", evidence.verdict) };
    assert!(why.contains("it is signed by itself"), "{case}: {why}");
}

#[tokio::test]
async fn a_test_changes_nothing_on_the_server() {
    let dovecot = Dovecot::start().await;
    for protocol in PROTOCOLS {
        let user = format!("left-{}", protocol.as_str());
        dovecot.deliver(&user, &[b"Subject: one\r\n\r\n1\r\n".to_vec()]);
        let visit = account(&dovecot, protocol, Security::Plain, &user);
        for _ in 0..2 {
            probe(patient(), &visit, Depth::Mailbox).await.result.unwrap();
        }
        let mut onlooker = Onlooker::sign_in(dovecot.port(Protocol::Imap, Security::Plain), &user).await;
        let inbox = onlooker.inbox().await;
        assert_eq!(inbox.len(), 1);
        assert!(!inbox[0].is_seen && !inbox[0].is_deleted);
    }
}

/// `\Recent` goes from a message once a session has selected its mailbox; EXAMINE leaves it.
#[tokio::test]
async fn imap_is_told_that_nothing_will_be_written() {
    let script = Script::default()
        .send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n")
        .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nP1 OK\r\n")
        .answer("P2 AUTHENTICATE PLAIN", "P2 OK in\r\n")
        .answer("P3 CAPABILITY", "* CAPABILITY IMAP4rev1 IDLE\r\nP3 OK\r\n")
        .answer("P4 STATUS INBOX (UNSEEN)", "P4 NO not today\r\n")
        .answer("P5 EXAMINE INBOX", "* 7 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\nP5 OK [READ-ONLY] done\r\n")
        .answer("P6 LOGOUT", "* BYE\r\nP6 OK\r\n");
    let peer = Peer::start(script).await;
    let probed = probe(patient(), &visit(Protocol::Imap, Security::Plain, peer.port), Depth::Mailbox).await;
    probed.result.unwrap();
    let mailbox = probed.evidence.mailbox.unwrap();
    assert_eq!((mailbox.n_messages, mailbox.n_unseen, mailbox.uid_validity), (7, None, Some(9)));
    assert_eq!(probed.evidence.capabilities.signed_in.unwrap(), ["IMAP4rev1", "IDLE"]);
    peer.end().await;
}

#[tokio::test]
async fn without_a_credential_a_test_ends_before_the_sign_in() {
    let dovecot = Dovecot::start().await;
    for protocol in PROTOCOLS {
        for security in SECURITIES {
            let nobody = Visit {
                username: String::new(),
                password: Secret::new(String::new()),
                ..account(&dovecot, protocol, security, "nobody")
            };
            let probed = probe(patient(), &nobody, Depth::Greeting).await;
            probed.result.unwrap();
            assert!(!probed.stages.contains(&Stage::Authenticate), "{:?}", probed.stages);
            assert!(probed.evidence.mechanisms().contains(&"PLAIN".to_owned()), "{:?}", probed.evidence);
            assert_eq!((probed.evidence.mechanism, probed.evidence.mailbox), (None, None));
        }
    }
}

#[tokio::test]
async fn a_connector_is_gone_by_and_its_own_address_is_what_resolves() {
    let (dovecot, proxy) = (Dovecot::start().await, Proxy::start(ConnectorKind::Socks5, None).await);
    let direct = account(&dovecot, Protocol::Imap, Security::Plain, "behind");
    let probed = probe(patient(), &through(proxy.connector(), direct), Depth::Mailbox).await;
    probed.result.unwrap();
    assert!(probed.stages.contains(&Stage::Connector), "{:?}", probed.stages);
    let port = proxy.connector().port;
    assert_eq!(probed.evidence.connected, Some(format!("127.0.0.1:{port}")));
}

#[tokio::test]
async fn what_fails_keeps_what_was_seen_before() {
    let dovecot = Dovecot::start().await;
    let wrong = Visit {
        password: Secret::new("wrong".to_owned()),
        ..account(&dovecot, Protocol::Imap, SECURITIES[2], "somebody")
    };
    let probed = probe(patient(), &wrong, Depth::Mailbox).await;
    assert_error(probed.result, ErrorKind::Authentication, Stage::Authenticate);
    assert!(probed.evidence.tls.is_some() && probed.evidence.greeting.is_some(), "{:?}", probed.evidence);
    assert_eq!(probed.evidence.mechanism, None);

    let refused = account(&dovecot, Protocol::Pop3, Security::StartTls(Trust::System), "somebody");
    let probed = probe(patient(), &refused, Depth::Mailbox).await;
    assert_error(probed.result, ErrorKind::Certificate, Stage::Tls);
    assert_eq!((probed.evidence.chain.len(), &probed.evidence.tls), (1, &None));
    assert_eq!(phases(&probed.evidence), [Phase::Plain]);
    assert!(matches!(probed.evidence.verdict, Some(Verdict::Refused { .. })), "{:?}", probed.evidence.verdict);

    let silent = Peer::start(Script::default()).await;
    let probed = probe(hasty(), &visit(Protocol::Imap, Security::Plain, silent.port), Depth::Mailbox).await;
    assert_error(probed.result, ErrorKind::Timeout, Stage::Greeting);
    assert!(probed.evidence.connected.is_some());

    let closed = MailSettings { egress_allow: Vec::new(), ..patient() };
    let probed = probe(closed, &visit(Protocol::Imap, Security::Plain, silent.port), Depth::Mailbox).await;
    assert_error(probed.result, ErrorKind::Egress, Stage::Resolve);
    assert!(!probed.evidence.resolved[0].reason.permits(), "{:?}", probed.evidence);
}

#[tokio::test]
async fn a_password_that_a_server_repeats_is_no_evidence() {
    let script = Script::default()
        .send("* OK ready\r\n")
        .answer("P1 CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nP1 OK\r\n")
        .answer("P2 AUTHENTICATE PLAIN", "P2 OK in\r\n")
        .answer("P3 CAPABILITY", format!("* CAPABILITY IMAP4rev1 X-{PASSWORD}\r\nP3 OK\r\n"))
        .answer("P4 STATUS", "P4 OK\r\n")
        .answer("P5 EXAMINE", "* 0 EXISTS\r\nP5 OK done\r\n");
    let peer = Peer::start(script).await;
    let probed = probe(patient(), &visit(Protocol::Imap, Security::Plain, peer.port), Depth::Mailbox).await;
    probed.result.unwrap();
    let told = probed.evidence.capabilities.signed_in.unwrap();
    assert!(told[1].contains("(secret, "), "{told:?}");
}
