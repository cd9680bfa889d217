//! What the tests stand on: peers that misbehave on cue, real servers, proxies, and visits to them.

pub(crate) mod cyrus;
pub(crate) mod dns;
pub(crate) mod dovecot;
pub(crate) mod jump;
pub(crate) mod peer;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod pymap;
pub(crate) mod server;
pub(crate) mod web;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    account::{Address, Destination, Protocol, Route, Security, Trust},
    check::{ErrorKind, Stage, StageRecord},
    email::EmailAddress,
    ids::ConnectorId,
};
use mail::{Mail, MailSettings};
use service::{
    ports::{
        Fetched as Sent, Listed, MailError, MailSender, MailServer, Mailbox, Outbox, RemoteKey, StageLog, Submission,
        ViaConnector, Visit, Wanted,
    },
    secret::Secret,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

/// The account's password towards scripted peers: a text that occurs nowhere by accident.
pub(crate) const PASSWORD: &str = "pass-ä-Zq81";
/// The longest message that the tests' clients take.
pub(crate) const SIZE_LIMIT: u64 = 2 * 1024 * 1024;
/// Long enough that only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(20);

/// Settings that allow loopback, with a wait that a test never reaches unless it is about waiting.
pub(crate) fn patient() -> MailSettings {
    MailSettings {
        egress_allow: vec!["127.0.0.0/8".parse().unwrap()],
        size_limit: SIZE_LIMIT,
        step_timeout: Duration::from_secs(15),
        ..MailSettings::default()
    }
}

/// The same with a short wait, for peers that keep silent.
pub(crate) fn hasty() -> MailSettings {
    MailSettings { step_timeout: Duration::from_millis(300), ..patient() }
}

pub(crate) const SECURITIES: [Security; 3] = [
    Security::Plain,
    Security::StartTls(Trust::SkipCertificate { until: None }),
    Security::Implicit(Trust::SkipCertificate { until: None }),
];

pub(crate) fn visit(protocol: Protocol, security: Security, port: u16) -> Visit {
    Visit {
        protocol,
        destination: Destination {
            address: Address::parse("127.0.0.1").unwrap(),
            port,
            security,
            route: Route::Direct,
        },
        connector: None,
        authority: None,
        username: "user".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        transcript: None,
    }
}

pub(crate) fn through(connector: ViaConnector, visit: Visit) -> Visit {
    let route = Route::Connector(ConnectorId(1));
    Visit { connector: Some(connector), destination: Destination { route, ..visit.destination }, ..visit }
}

/// A submission as the visit would be: the same user, the same password.
pub(crate) fn submission(security: Security, port: u16) -> Submission {
    let Visit { destination, username, password, .. } = visit(Protocol::Imap, security, port);
    let sender = EmailAddress::parse("posthorn@example.org").unwrap();
    Submission {
        destination,
        connector: None,
        authority: None,
        credential: Some((username, password)),
        credential_id: None,
        sender,
    }
}

/// Whether these bytes hold the secret readably: as it is, or somewhere in Base64, whatever stands around it there.
pub(crate) fn gives_away(bytes: &[u8], secret: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let in_base64 = (0..3).map(|n_before| {
        let encoded = STANDARD.encode([&[0; 2][..n_before], secret.as_bytes()].concat());
        // The first and the last characters depend on what stands beside it.
        encoded[(n_before * 8).div_ceil(6)..(n_before + secret.len()) * 8 / 6].to_owned()
    });
    text.contains(secret) || in_base64.into_iter().any(|it| text.contains(&it))
}

/// Keeps the stages that were reported.
#[derive(Default)]
struct Log(Mutex<Vec<StageRecord>>);

impl StageLog for Log {
    fn ended(&self, record: StageRecord) {
        self.0.lock().unwrap().push(record);
    }
}

/// Opens a mailbox; what the log was told must agree with the result.
pub(crate) async fn open(settings: MailSettings, visit: &Visit) -> Result<(Box<dyn Mailbox>, Vec<Stage>), MailError> {
    let log = Arc::new(Log::default());
    let mail = Mail::new(settings).unwrap();
    let told = Arc::<Log>::clone(&log);
    let result = timeout(HANG, MailServer::open(&mail, visit, told)).await.expect("opening hangs");
    log.agrees(result)
}

/// The same for a connection that takes mail.
pub(crate) async fn open_outbox(
    settings: MailSettings,
    submission: &Submission,
) -> Result<(Box<dyn Outbox>, Vec<Stage>), MailError> {
    let log = Arc::new(Log::default());
    let mail = Mail::new(settings).unwrap();
    let told = Arc::<Log>::clone(&log);
    let result = timeout(HANG, MailSender::open(&mail, submission, told)).await.expect("opening hangs");
    log.agrees(result.map_err(|it| it.error))
}

impl Log {
    fn agrees<T>(&self, result: Result<T, MailError>) -> Result<(T, Vec<Stage>), MailError> {
        let records = std::mem::take(&mut *self.0.lock().unwrap());
        for record in &records {
            assert_presentable(&record.detail);
        }
        match result {
            Ok(opened) => {
                assert!(records.iter().all(|it| it.ok), "a failed stage is no success: {records:?}");
                Ok((opened, records.into_iter().map(|it| it.stage).collect()))
            }
            Err(error) => {
                let (last, before) = records.split_last().expect("the failed stage is not in the log");
                assert!(before.iter().all(|it| it.ok), "only the last stage fails: {records:?}");
                assert_eq!((last.stage, last.ok, &last.detail), (error.stage, false, &error.message));
                assert_presentable(&error.message);
                Err(error)
            }
        }
    }
}

/// What the sink got: every complete message, and every failed one.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) messages: Vec<(RemoteKey, Vec<u8>)>,
    pub(crate) failed: Vec<(RemoteKey, String)>,
}

pub(crate) async fn fetch(mailbox: &mut dyn Mailbox, work: Vec<Listed>) -> (Fetched, Result<(), MailError>) {
    let work = work.into_iter().map(|listed| Wanted { listed, staged: 0 }).collect();
    let (sender, mut sink) = mpsc::channel(1);
    let collect = async {
        let mut fetched = Fetched::default();
        let mut staged = Vec::new();
        while let Some(sent) = sink.recv().await {
            match sent {
                Sent::Batch(batch) => {
                    fetched.messages.extend(batch.messages);
                    fetched.failed.extend(batch.failed.into_iter().map(|it| (it.key, it.reason)));
                }
                Sent::Part(part) => {
                    assert!(part.offset == 0 || part.offset == staged.len() as u64, "a gap before {}", part.offset);
                    staged.truncate(usize::try_from(part.offset).unwrap());
                    staged.extend(part.bytes);
                    if part.is_last {
                        fetched.messages.push((part.key, std::mem::take(&mut staged)));
                    }
                }
            }
        }
        fetched
    };
    let both = async { tokio::join!(collect, mailbox.fetch(work, sender)) };
    let (fetched, result) = timeout(HANG, both).await.expect("fetching hangs");
    if let Err(error) = &result {
        assert_presentable(&error.message);
    }
    (fetched, result)
}

/// Whatever the server did, the words for administrators are short, without controls and without the password.
pub(crate) fn assert_presentable(message: &str) {
    assert!(!domain::text::has_control(message), "controls: {message:?}");
    assert!(message.chars().count() < 400, "long: {message}");
    assert!(!gives_away(message.as_bytes(), PASSWORD), "the password: {message}");
}

/// The error must be of this kind and stage.
pub(crate) fn assert_error<T>(result: Result<T, MailError>, kind: ErrorKind, stage: Stage) -> MailError {
    let Err(error) = result else { panic!("this should fail as {kind:?} in {stage:?}") };
    assert_presentable(&error.message);
    assert_eq!((error.kind, error.stage), (kind, stage), "{}", error.message);
    error
}

/// Asks again and again until the answer is yes; gives up after a while.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + HANG;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: not within {HANG:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
