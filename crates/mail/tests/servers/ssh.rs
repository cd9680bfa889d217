//! The way through SSH jump hosts: all that a mailbox needs, one session for many, and nothing to a server that is not the one
//! that was approved.

use std::sync::{Arc, Mutex};

use domain::{
    account::{Address, Protocol, Security},
    check::{ErrorKind, Stage, StageRecord},
    connector::{HostKey, TestTarget},
};
use mail::{Mail, MailSettings};
use service::{
    ports::{ConnectorProbe as _, MailServer as _, Probed, StageLog, ViaConnector, Visit},
    secret::Secret,
};
use tokio::task::JoinSet;

use crate::{
    dialects::{account, check_visits, messages},
    support::{
        SECURITIES, assert_error, assert_presentable,
        dovecot::Dovecot,
        eventually, fetch,
        jump::{JUMP_PASSWORD, JUMP_USER, Jump, Sshd, keygen},
        open, patient,
        program::free_port,
        proxy::Proxy,
        server::Server as _,
        through, visit,
    },
};

#[derive(Default)]
struct Log(Mutex<Vec<StageRecord>>);

impl Log {
    fn stages(&self) -> Vec<Stage> {
        self.0.lock().unwrap().iter().map(|it| it.stage).collect()
    }
}

impl StageLog for Log {
    fn ended(&self, record: StageRecord) {
        assert_presentable(&record.detail);
        self.0.lock().unwrap().push(record);
    }
}

async fn check_all(connector: &ViaConnector, name: &str) {
    let dovecot = Dovecot::start().await;
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        for (n, security) in SECURITIES.into_iter().enumerate() {
            let user = format!("{name}-{}-{n}", protocol.as_str());
            check_visits(&dovecot, &through(connector.clone(), account(&dovecot, protocol, security, &user))).await;
        }
    }
}

#[tokio::test]
async fn ssh_carries_all_of_it_with_either_kind_of_key() {
    let sshd = Sshd::start("").await;
    check_all(&sshd.connector(), "ed25519").await;
    check_all(&sshd.by_other_key(), "ecdsa").await;
}

#[tokio::test]
async fn ssh_carries_all_of_it_with_a_password_however_it_is_asked_for() {
    for asks in [false, true] {
        check_all(&Jump::start(asks).await.connector(), if asks { "asked" } else { "password" }).await;
    }
}

#[tokio::test]
async fn a_server_that_nobody_has_approved_gets_nothing() {
    let jump = Jump::start(false).await;
    let shown = jump.host_key.to_string();
    let visit = visit(Protocol::Imap, Security::Plain, free_port());
    let unknown = ViaConnector { host_key: None, ..jump.connector() };
    let error =
        assert_error(open(patient(), &through(unknown, visit.clone())).await, ErrorKind::Connector, Stage::Connector);
    assert!(error.message.contains(&shown) && error.message.contains("approve"), "{}", error.message);

    let before = HostKey::parse(&format!("SHA256:{}", "x".repeat(43))).unwrap();
    let changed = ViaConnector { host_key: Some(before.clone()), ..jump.connector() };
    let error = assert_error(open(patient(), &through(changed, visit)).await, ErrorKind::Connector, Stage::Connector);
    assert!(error.message.contains(&shown) && error.message.contains(before.as_str()), "{}", error.message);
    assert_eq!((jump.n_sessions(), jump.n_passwords()), (0, 0));
}

#[tokio::test]
async fn a_refused_credential_is_not_tried_again_by_every_account() {
    let jump = Jump::start(false).await;
    let mail = Mail::new(patient()).unwrap();
    let wrong = (JUMP_USER.to_owned(), Secret::new("wrong-jump-password".to_owned()));
    let connector = ViaConnector { credential: Some(wrong), ..jump.connector() };
    let visit = through(connector.clone(), visit(Protocol::Imap, Security::Plain, free_port()));
    for _ in 0..5 {
        let error =
            assert_error(mail.open(&visit, Arc::<Log>::default()).await, ErrorKind::Connector, Stage::Connector);
        assert!(error.message.contains("does not accept the credential"), "{}", error.message);
        assert!(!error.message.contains("wrong-jump-password"));
    }
    assert_eq!(jump.n_passwords(), 1);
    // Another credential is another matter.
    let right = (JUMP_USER.to_owned(), Secret::new(JUMP_PASSWORD.to_owned()));
    let visit = through(ViaConnector { credential: Some(right), ..connector }, visit);
    let error = assert_error(mail.open(&visit, Arc::<Log>::default()).await, ErrorKind::Connector, Stage::Connector);
    assert!(error.message.contains("does not reach"), "{}", error.message);
}

#[tokio::test]
async fn keys_that_cannot_be_used_say_why() {
    let (jump, folder) = (Jump::start(false).await, tempfile::tempdir().unwrap());
    let locked = keygen(folder.path(), "locked", &["-t", "ed25519", "-N", "a passphrase"]);
    let rsa = keygen(folder.path(), "rsa", &["-t", "rsa"]);
    for (key, why) in [(locked, "passphrase"), (rsa, "Ed25519 and ECDSA")] {
        let credential = Some((JUMP_USER.to_owned(), Secret::new(key)));
        let connector = ViaConnector { credential, ..jump.connector() };
        let visit = through(connector, visit(Protocol::Imap, Security::Plain, free_port()));
        let error = assert_error(open(patient(), &visit).await, ErrorKind::Connector, Stage::Connector);
        assert!(error.message.contains(why), "{}", error.message);
    }
}

#[tokio::test]
async fn a_way_that_the_server_forbids_or_does_not_find_is_told() {
    let sshd = Sshd::start("PermitOpen 127.0.0.1:1").await;
    let visit = visit(Protocol::Imap, Security::Plain, free_port());
    let error =
        assert_error(open(patient(), &through(sshd.connector(), visit)).await, ErrorKind::Connector, Stage::Connector);
    assert!(error.message.contains("forbids the way to 127.0.0.1 port"), "{}", error.message);
}

#[tokio::test]
async fn many_visits_share_one_session_and_a_broken_one_is_replaced() {
    let (dovecot, jump) = (Dovecot::start().await, Jump::start(false).await);
    dovecot.deliver("many", &messages());
    let mail = Mail::new(patient()).unwrap();
    let visit = through(jump.connector(), account(&dovecot, Protocol::Imap, SECURITIES[2], "many"));
    let mut visits = JoinSet::new();
    for _ in 0..8 {
        let (mail, visit) = (mail.clone(), visit.clone());
        visits.spawn(async move {
            let mut mailbox = mail.open(&visit, Arc::<Log>::default()).await.unwrap();
            let work = mailbox.list().await.unwrap().messages;
            let (fetched, result) = fetch(&mut *mailbox, work).await;
            result.unwrap();
            assert_eq!(fetched.messages.len(), messages().len());
            mailbox.close().await;
        });
    }
    while let Some(result) = visits.join_next().await {
        result.unwrap();
    }
    assert_eq!((jump.n_sessions(), jump.n_passwords(), jump.n_channels()), (1, 1, 8));

    // Cut in the middle of a visit: that one fails, and the next one has a session again.
    let mut mailbox = mail.open(&visit, Arc::<Log>::default()).await.unwrap();
    jump.cut();
    mailbox.list().await.map(|_| ()).unwrap_err();
    drop(mailbox);
    let log = Arc::<Log>::default();
    eventually("a visit over a new session", async || mail.open(&visit, Arc::<Log>::clone(&log)).await.is_ok()).await;
    assert_eq!(jump.n_sessions(), 2);
    assert!(log.stages().contains(&Stage::Connect), "{:?}", log.stages());
    // What was changed about the connector does not go by what was open before.
    let changed = Visit { connector: Some(ViaConnector { version: 2, ..jump.connector() }), ..visit };
    mail.open(&changed, Arc::<Log>::default()).await.unwrap().close().await;
    assert_eq!(jump.n_sessions(), 3);
}

#[tokio::test]
async fn the_jump_host_is_judged_by_the_policy_like_any_other() {
    let jump = Jump::start(false).await;
    let closed = MailSettings { egress_allow: Vec::new(), ..patient() };
    let mut visit = through(jump.connector(), visit(Protocol::Imap, Security::Plain, 143));
    visit.destination.address = Address::parse("198.51.100.7").unwrap();
    assert_error(open(closed, &visit).await, ErrorKind::Egress, Stage::Resolve);
    visit.destination.port = 6379;
    assert_error(open(patient(), &visit).await, ErrorKind::Egress, Stage::Resolve);
    assert_eq!(jump.n_sessions(), 0);
}

async fn probe(connector: &ViaConnector, target: Option<TestTarget>) -> (Probed, Vec<StageRecord>) {
    let log = Arc::<Log>::default();
    let told = Arc::<Log>::clone(&log);
    let probed = Mail::new(patient()).unwrap().probe(connector, target.as_ref(), told).await;
    let stages = std::mem::take(&mut *log.0.lock().unwrap());
    (probed, stages)
}

fn target(port: u16, waits_for_tls: bool) -> TestTarget {
    TestTarget { address: Address::parse("127.0.0.1").unwrap(), port, waits_for_tls }
}

#[tokio::test]
async fn a_test_shows_the_key_before_anybody_is_let_in_and_the_greeting_after() {
    let (dovecot, jump) = (Dovecot::start().await, Jump::start(false).await);
    let plain = dovecot.port(Protocol::Imap, Security::Plain);
    let unknown = ViaConnector { host_key: None, ..jump.connector() };
    let (probed, _) = probe(&unknown, Some(target(plain, false))).await;
    assert_eq!(probed.host_key, Some(jump.host_key.clone()));
    assert_eq!(probed.error.unwrap().kind, ErrorKind::Connector);
    assert_eq!(jump.n_passwords(), 0);

    let (probed, stages) = probe(&jump.connector(), Some(target(plain, false))).await;
    assert!(probed.error.is_none(), "{:?}", probed.error);
    let said = &stages.last().unwrap();
    assert!(said.stage == Stage::Greeting && said.detail.contains("* OK"), "{stages:?}");

    let secure = target(dovecot.port(Protocol::Imap, SECURITIES[2]), true);
    let (probed, stages) = probe(&jump.connector(), Some(secure)).await;
    assert!(probed.error.is_none() && stages.last().unwrap().detail.contains("TLS"), "{stages:?}");

    let (probed, stages) = probe(&jump.connector(), None).await;
    assert!(probed.error.is_none() && stages.last().unwrap().detail.contains("authenticated"), "{stages:?}");
}

#[tokio::test]
async fn proxies_are_tested_alone_and_through_to_the_greeting() {
    let dovecot = Dovecot::start().await;
    let plain = dovecot.port(Protocol::Pop3, Security::Plain);
    for kind in [domain::connector::ConnectorKind::Socks5, domain::connector::ConnectorKind::HttpConnect] {
        let proxy = Proxy::start(kind, None).await;
        let (probed, stages) = probe(&proxy.connector(), None).await;
        assert!(probed.error.is_none() && probed.host_key.is_none(), "{:?}", probed.error);
        assert_eq!(stages.iter().map(|it| it.stage).collect::<Vec<_>>(), [Stage::Resolve, Stage::Connect]);
        let (probed, stages) = probe(&proxy.connector(), Some(target(plain, false))).await;
        assert!(probed.error.is_none() && stages.last().unwrap().detail.contains("+OK"), "{stages:?}");
        let (probed, stages) = probe(&proxy.connector(), Some(target(free_port(), false))).await;
        assert_eq!(probed.error.unwrap().kind, ErrorKind::Connector);
        assert!(!stages.last().unwrap().ok);
    }
}
