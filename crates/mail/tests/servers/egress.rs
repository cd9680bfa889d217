//! Every spelling of an address that must not be contacted, and a resolver that changes its mind.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use domain::{
    account::{Address, Protocol, Security},
    check::{ErrorKind, Stage, StageRecord},
};
use mail::{Mail, MailSettings, Resolver};
use service::ports::{MailError, MailServer as _, StageLog};
use tokio::{net::TcpListener, time::timeout};

use crate::support::{
    HANG,
    peer::{Peer, Script},
    visit,
};

/// What somebody could type, and what it means. The second is what a resolver makes of the first, if it is a name at all.
const FORBIDDEN: [(&str, &str); 86] = [
    // This machine.
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1.", "127.0.0.1"),
    ("127.255.255.254", "127.255.255.254"),
    ("127.1", "127.0.0.1"),
    ("127.0.1", "127.0.0.1"),
    ("2130706433", "127.0.0.1"),
    ("017700000001", "127.0.0.1"),
    ("0x7f000001", "127.0.0.1"),
    ("0x7F000001", "127.0.0.1"),
    ("0x7f.0.0.1", "127.0.0.1"),
    ("0x7f.0.0.0x1", "127.0.0.1"),
    ("0x7f.1", "127.0.0.1"),
    ("0177.0.0.1", "127.0.0.1"),
    ("0177.0.0.0x1", "127.0.0.1"),
    ("00000177.0.0.1", "127.0.0.1"),
    ("\u{ff11}\u{ff12}\u{ff17}.0.0.1", "127.0.0.1"),
    ("127\u{3002}0\u{3002}0\u{3002}1", "127.0.0.1"),
    ("\u{2460}\u{2461}\u{2466}.0.0.1", "127.0.0.1"),
    ("localhost", "127.0.0.1"),
    ("localhost.", "127.0.0.1"),
    ("LOCALHOST", "::1"),
    ("ip6-localhost", "::1"),
    ("localtest.example", "127.0.0.1"),
    ("127.0.0.1.nip.example", "127.0.0.1"),
    ("7f000001.nip.example", "127.0.0.1"),
    ("::1", "::1"),
    ("[::1]", "::1"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("0000:0000:0000:0000:0000:0000:0000:0001", "::1"),
    ("::0001", "::1"),
    ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ("::ffff:7f00:1", "::ffff:7f00:1"),
    ("::FFFF:7F00:0001", "::ffff:7f00:1"),
    ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
    ("::ffff:0:127.0.0.1", "::ffff:0:7f00:1"),
    ("::127.0.0.1", "::127.0.0.1"),
    ("64:ff9b::127.0.0.1", "64:ff9b::7f00:1"),
    ("64:ff9b::7f00:1", "64:ff9b::7f00:1"),
    ("64:ff9b:1::127.0.0.1", "64:ff9b:1::7f00:1"),
    ("64:ff9b:1:7f00:0:100::", "64:ff9b:1:7f00:0:100::"),
    ("2002:7f00:1::", "2002:7f00:1::"),
    ("2002:7f00:1::1", "2002:7f00:1::1"),
    ("2001:0:0:0:0:0:80ff:fffe", "2001::80ff:fffe"),
    ("fe80::5efe:127.0.0.1", "fe80::5efe:7f00:1"),
    ("2001:db8::5efe:7f00:1", "2001:db8::5efe:7f00:1"),
    ("2001:db8::200:5efe:127.0.0.1", "2001:db8::200:5efe:7f00:1"),
    ("::1%lo", "::1"),
    // Nowhere in particular.
    ("0.0.0.0", "0.0.0.0"),
    ("0", "0.0.0.0"),
    ("0x0", "0.0.0.0"),
    ("0.1.2.3", "0.1.2.3"),
    ("::", "::"),
    ("[::]", "::"),
    ("::ffff:0.0.0.0", "::ffff:0.0.0.0"),
    ("::2", "::2"),
    // The link, and on it what clouds tell.
    ("169.254.169.254", "169.254.169.254"),
    ("169.254.169.254.", "169.254.169.254"),
    ("169.254.170.2", "169.254.170.2"),
    ("169.254.0.1", "169.254.0.1"),
    ("2852039166", "169.254.169.254"),
    ("0xa9fea9fe", "169.254.169.254"),
    ("0xA9.0xFE.0xA9.0xFE", "169.254.169.254"),
    ("0251.0376.0251.0376", "169.254.169.254"),
    ("169.254.43518", "169.254.169.254"),
    ("metadata.google.internal", "169.254.169.254"),
    ("instance-data", "169.254.169.254"),
    ("::ffff:169.254.169.254", "::ffff:169.254.169.254"),
    ("::ffff:a9fe:a9fe", "::ffff:a9fe:a9fe"),
    ("::169.254.169.254", "::169.254.169.254"),
    ("64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe"),
    ("2002:a9fe:a9fe::1", "2002:a9fe:a9fe::1"),
    ("fe80::1", "fe80::1"),
    ("fe80::1%eth0", "fe80::1"),
    ("fe80::a9fe:a9fe", "fe80::a9fe:a9fe"),
    ("febf:ffff::1", "febf:ffff::1"),
    // Metadata elsewhere.
    ("100.100.100.200", "100.100.100.200"),
    ("::ffff:100.100.100.200", "::ffff:100.100.100.200"),
    ("168.63.129.16", "168.63.129.16"),
    ("192.0.0.192", "192.0.0.192"),
    ("fd00:ec2::254", "fd00:ec2::254"),
    ("fd00:ec2::23", "fd00:ec2::23"),
    ("fd20:ce::254", "fd20:ce::254"),
    ("fd00:c1::a9fe:a9fe", "fd00:c1::a9fe:a9fe"),
    // Everybody, and nobody yet.
    ("224.0.0.1", "224.0.0.1"),
    ("255.255.255.255", "255.255.255.255"),
    ("ff02::1", "ff02::1"),
];

/// Answers one look-up after the other; the last answer for ever.
#[derive(Debug)]
struct Fickle {
    answers: Mutex<VecDeque<Vec<SocketAddr>>>,
    n_asked: AtomicU32,
}

impl Fickle {
    fn new(answers: &[&[(IpAddr, u16)]]) -> Arc<Self> {
        let answers = answers.iter().map(|it| it.iter().map(|it| SocketAddr::from(*it)).collect()).collect();
        Arc::new(Self { answers: Mutex::new(answers), n_asked: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Resolver for Fickle {
    async fn look_up(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok(next.unwrap())
    }
}

/// The stages that were reported.
#[derive(Default)]
struct Log(Mutex<Vec<StageRecord>>);

impl StageLog for Log {
    fn ended(&self, record: StageRecord) {
        self.0.lock().unwrap().push(record);
    }
}

async fn go(
    settings: MailSettings,
    resolver: Arc<Fickle>,
    address: Address,
    port: u16,
) -> (MailError, Vec<StageRecord>) {
    let mail = Mail::new(settings).unwrap().resolved_by(resolver);
    let mut visit = visit(Protocol::Imap, Security::Plain, port);
    visit.destination.address = address;
    let log = Arc::new(Log::default());
    let told = Arc::<Log>::clone(&log);
    let error = timeout(HANG, mail.open(&visit, told)).await.expect("opening hangs").err().expect("nobody answers");
    let stages = std::mem::take(&mut *log.0.lock().unwrap());
    (error, stages)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_contacted() {
    let mut n_typed = 0;
    for (typed, meant) in FORBIDDEN {
        let resolver = Fickle::new(&[&[(ip(meant), 993)]]);
        // What is no address is refused by the form, before anybody looks it up.
        if let Ok(address) = Address::parse(typed) {
            n_typed += 1;
            let (error, stages) = go(MailSettings::default(), Arc::clone(&resolver), address, 993).await;
            assert_eq!((error.kind, error.stage), (ErrorKind::Egress, Stage::Resolve), "{typed}: {error}");
            assert!(stages.iter().all(|it| it.stage == Stage::Resolve), "{typed}: {stages:?}");
        }
        // And whoever owns a name can have it mean anything.
        let name = Address::parse("mail.example.org").unwrap();
        let (error, stages) = go(MailSettings::default(), resolver, name, 993).await;
        assert_eq!((error.kind, error.stage), (ErrorKind::Egress, Stage::Resolve), "{meant}: {error}");
        assert!(stages.iter().all(|it| it.stage == Stage::Resolve), "{meant}: {stages:?}");
    }
    assert!(n_typed > 50, "only {n_typed} spellings got as far as the policy");
}

/// Two listeners on one port: one on an address that is allowed, one on an address that is not.
async fn allowed_and_forbidden() -> (Peer, TcpListener) {
    let good = Peer::start_on("127.0.0.2", Script::default().send("* BYE later\r\n")).await;
    let bad = TcpListener::bind(("127.0.0.1", good.port)).await.unwrap();
    (good, bad)
}

fn only_the_second() -> MailSettings {
    MailSettings { egress_allow: vec!["127.0.0.2/32".parse().unwrap()], ..MailSettings::default() }
}

async fn assert_untouched(listener: &TcpListener) {
    let accepted = timeout(std::time::Duration::from_millis(100), listener.accept()).await;
    assert!(accepted.is_err(), "the forbidden address was connected to");
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let (good, bad) = allowed_and_forbidden().await;
    let port = good.port;
    // A second look-up would lead to the forbidden address.
    let resolver = Fickle::new(&[&[(ip("127.0.0.2"), port)], &[(ip("127.0.0.1"), port)]]);
    let name = Address::parse("mail.example.org").unwrap();
    let (error, stages) = go(only_the_second(), Arc::clone(&resolver), name, port).await;
    assert_eq!(error.stage, Stage::Greeting, "{error}");
    assert_eq!(resolver.n_asked.load(Ordering::SeqCst), 1, "a name is looked up once");
    let connected = stages.iter().find(|it| it.stage == Stage::Connect).unwrap();
    assert_eq!(connected.detail, format!("127.0.0.2:{port}"));
    assert!(!good.is_untouched());
    assert_untouched(&bad).await;
}

#[tokio::test]
async fn of_several_answers_only_the_permitted_is_connected_to() {
    let (good, bad) = allowed_and_forbidden().await;
    let port = good.port;
    let resolver = Fickle::new(&[&[(ip("127.0.0.1"), port), (ip("::1"), port), (ip("127.0.0.2"), port)]]);
    let (error, stages) = go(only_the_second(), resolver, Address::parse("mail.example.org").unwrap(), port).await;
    assert_eq!(error.stage, Stage::Greeting, "{error}");
    assert_eq!(stages[0].detail, "127.0.0.2");
    assert!(!good.is_untouched());
    assert_untouched(&bad).await;
}

#[tokio::test]
async fn a_denied_range_is_not_contacted_even_if_it_is_allowed() {
    let (good, bad) = allowed_and_forbidden().await;
    let settings = MailSettings {
        egress_allow: vec!["127.0.0.0/8".parse().unwrap()],
        egress_deny: vec!["127.0.0.1/32".parse().unwrap()],
        ..MailSettings::default()
    };
    let port = good.port;
    let (error, _) = go(settings.clone(), Fickle::new(&[&[]]), Address::parse("127.0.0.1").unwrap(), port).await;
    assert_eq!(error.kind, ErrorKind::Egress);
    let (error, _) = go(settings, Fickle::new(&[&[]]), Address::parse("127.0.0.2").unwrap(), port).await;
    assert_eq!(error.stage, Stage::Greeting, "{error}");
    assert_untouched(&bad).await;
}
