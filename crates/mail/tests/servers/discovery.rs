//! Autodiscovery against a real DNS server and a web server with a certificate, and against those that do not behave.

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use async_trait::async_trait;
use domain::{
    check::ErrorKind,
    discovery::{DatabaseUrl, LookUp, LookUpOutcome, Offered, Proposal, Source, propose},
    email::EmailAddress,
};
use futures::future::join_all;
use mail::{DnsServers, Mail, MailSettings, Resolver, SrvRecord};
use service::ports::Discovery as _;
use tokio::{
    net::TcpListener,
    time::{Duration, timeout},
};

use crate::support::{
    dns::{Dnsmasq, Play, play},
    patient,
    web::{Reply, Web, trusting},
};

const FILE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="example.test">
    <domain>example.test</domain>
    <incomingServer type="imap">
      <hostname>imap.%EMAILDOMAIN%</hostname><port>993</port><socketType>SSL</socketType>
      <username>%EMAILLOCALPART%</username>
      <authentication>OAuth2</authentication><authentication>password-cleartext</authentication>
    </incomingServer>
    <incomingServer type="pop3">
      <hostname>pop.hosting.test</hostname><port>110</port><socketType>plain</socketType><username>%EMAILADDRESS%</username>
    </incomingServer>
    <outgoingServer type="smtp">
      <hostname>smtp.example.test</hostname><port>465</port><socketType>SSL</socketType>
    </outgoingServer>
  </emailProvider>
</clientConfig>"#;

/// A DNS server's answers, with the ports that nobody but root may listen on turned to others.
#[derive(Debug)]
struct Lab {
    dns: DnsServers,
    ports: Vec<(u16, u16)>,
}

#[async_trait]
impl Resolver for Lab {
    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let turned = self.ports.iter().find(|it| it.0 == port).map_or(port, |it| it.1);
        self.dns.look_up(name, turned).await
    }

    async fn services(&self, name: &str) -> io::Result<Vec<SrvRecord>> {
        self.dns.services(name).await
    }
}

fn mail(settings: MailSettings, dns: SocketAddr, ports: &[(u16, u16)]) -> Mail {
    let lab = Lab { dns: DnsServers::new(&[dns]).unwrap(), ports: ports.to_vec() };
    Mail::new(settings).unwrap().resolved_by(Arc::new(lab))
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn outcome<'a>(look_ups: &'a [LookUp], target: &str) -> &'a LookUpOutcome {
    let found = look_ups.iter().find(|it| it.target.starts_with(target));
    &found.unwrap_or_else(|| panic!("{target} was not asked for: {look_ups:?}")).outcome
}

#[track_caller]
fn assert_failed(outcome: &LookUpOutcome, kind: ErrorKind, message: &str) {
    assert!(
        matches!(outcome, LookUpOutcome::Failed(it) if it.kind == kind && it.message.contains(message)),
        "{kind:?} {message}: {outcome:?}"
    );
}

fn shown(it: &Proposal) -> String {
    let kind = it.security.kind().unwrap_or("plain");
    let outside = if it.outside_domain { " outside" } else { "" };
    let sources: Vec<_> = it.sources.iter().map(|it| it.as_str()).collect();
    let service = it.service.as_str();
    format!("{service} {}:{} {kind} {} by {}{outside}", it.address, it.port, it.user_name, sources.join("+"))
}

#[tokio::test]
async fn what_a_domain_says_in_its_dns_and_in_its_file_is_proposed() {
    const TEST: &str = "discovery::what_a_domain_says_in_its_dns_and_in_its_file_is_proposed";
    let Some(folder) = trusting(TEST, &["autoconfig.example.test", "config.hosting.test", "db.test"]) else { return };
    let dns = Dnsmasq::start(&[
        "--srv-host=_imaps._tcp.example.test,imap.example.test,993,10,0",
        "--srv-host=_imaps._tcp.example.test,backup.hosting.test,1993,20,0",
        "--srv-host=_imap._tcp.example.test,imap.example.test,143,10,0",
        "--srv-host=_pop3s._tcp.example.test",
        "--address=/autoconfig.example.test/127.0.0.1",
        "--address=/config.hosting.test/127.0.0.1",
        "--address=/db.test/127.0.0.1",
        "--address=/mail.example.test/127.0.0.1",
    ])
    .await;
    let web = Web::start(&folder, |host, path| match (host, path.split('?').next().unwrap_or_default()) {
        ("autoconfig.example.test", "/mail/config-v1.1.xml") => {
            Reply::status(302, "location: https://config.hosting.test/of/example.xml\r\n", "")
        }
        ("config.hosting.test", "/of/example.xml") => Reply::status(200, "", FILE),
        _ => Reply::status(404, "", ""),
    })
    .await;
    let imaps = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [(443, web.port), (993, imaps.local_addr().unwrap().port())];
    let database = DatabaseUrl::parse("https://db.test/v1.1/%EMAILDOMAIN%").unwrap();
    let settings = MailSettings { autoconfig_database: Some(database), ..patient() };
    let ana = address("ana@example.test");
    let look_ups = mail(settings, dns.address, &ports).look_up(&ana).await;

    let proposals: Vec<_> = propose(&ana, &look_ups).iter().map(shown).collect();
    assert_eq!(
        proposals,
        [
            "imap imap.example.test:993 ssl ana by srv+autoconfig",
            "imap backup.hosting.test:1993 ssl ana@example.test by srv outside",
            "imap imap.example.test:143 tls ana@example.test by srv",
            "submission smtp.example.test:465 ssl ana@example.test by autoconfig",
            "imap mail.example.test:993 ssl ana@example.test by guess",
            "pop3 pop.hosting.test:110 plain ana@example.test by autoconfig outside",
        ]
    );
    assert_eq!(outcome(&look_ups, "_pop3s._tcp.example.test"), &LookUpOutcome::NotOffered);
    assert_eq!(outcome(&look_ups, "_pop3._tcp.example.test"), &LookUpOutcome::Nothing);
    assert_eq!(outcome(&look_ups, "https://db.test/v1.1/example.test"), &LookUpOutcome::Nothing);
    assert_eq!(outcome(&look_ups, "imap.example.test"), &LookUpOutcome::Nothing);
    let mut asked = web.asked();
    asked.sort();
    assert_eq!(
        asked,
        [
            "autoconfig.example.test /mail/config-v1.1.xml?emailaddress=ana%40example.test",
            "config.hosting.test /of/example.xml",
            "db.test /v1.1/example.test",
        ]
    );
}

#[tokio::test]
async fn no_web_server_leads_astray_or_holds_up() {
    const TEST: &str = "discovery::no_web_server_leads_astray_or_holds_up";
    const CASES: [(&str, ErrorKind, &str); 10] = [
        ("doctype", ErrorKind::Protocol, "document type"),
        ("deep", ErrorKind::Protocol, "nested too deeply"),
        ("long", ErrorKind::Protocol, "longer than"),
        ("loop", ErrorKind::Protocol, "redirects"),
        ("downgrade", ErrorKind::Protocol, "which is no https URL"),
        ("metadata", ErrorKind::Egress, "169.254.169.254"),
        ("broken", ErrorKind::Protocol, "status 500"),
        ("stranger", ErrorKind::Certificate, ""),
        ("hang", ErrorKind::Timeout, ""),
        ("drip", ErrorKind::Timeout, ""),
    ];
    let hosts: Vec<_> = CASES.iter().map(|it| format!("autoconfig.{}.test", it.0)).collect();
    let known: Vec<_> = hosts.iter().map(String::as_str).filter(|it| !it.contains("stranger")).collect();
    let Some(folder) = trusting(TEST, &known) else { return };
    let names: Vec<_> = hosts.iter().map(|it| format!("--address=/{it}/127.0.0.1")).collect();
    let mut options: Vec<_> = names.iter().map(String::as_str).collect();
    options.push("--address=/meta.test/169.254.169.254");
    let dns = Dnsmasq::start(&options).await;
    let web = Web::start(&folder, |host, _| match host.split('.').nth(1).unwrap_or_default() {
        "doctype" => Reply::status(200, "", r#"<!DOCTYPE x [<!ENTITY a "b">]><clientConfig>&a;</clientConfig>"#),
        "deep" => Reply::status(200, "", &"<clientConfig>".repeat(4000)),
        "long" => Reply::status(200, "", &" ".repeat(65 * 1024)),
        "loop" => Reply::status(302, "location: /again\r\n", ""),
        "downgrade" => Reply::status(301, "location: http://autoconfig.downgrade.test/\r\n", ""),
        "metadata" => Reply::status(302, "location: https://meta.test/latest/\r\n", ""),
        "hang" => Reply::Hang,
        "drip" => Reply::Drip,
        _ => Reply::status(500, "", ""),
    })
    .await;
    let mail = mail(patient(), dns.address, &[(443, web.port)]);
    let began = Instant::now();
    let all = join_all(CASES.map(|(name, kind, message)| {
        let mail = mail.clone();
        async move { (name, kind, message, mail.look_up(&address(&format!("ana@{name}.test"))).await) }
    }))
    .await;
    assert!(began.elapsed() < Duration::from_secs(12), "it took {:?}", began.elapsed());
    for (name, kind, message, look_ups) in all {
        assert_failed(outcome(&look_ups, &format!("https://autoconfig.{name}.test/")), kind, message);
        assert_eq!(propose(&address(&format!("ana@{name}.test")), &look_ups), [], "{name}");
    }
    assert!(!web.asked().iter().any(|it| it.contains("stranger") || it.contains("meta.test")), "{:?}", web.asked());
}

#[tokio::test]
async fn a_forbidden_address_is_not_contacted_whatever_it_is_called() {
    let dns = Dnsmasq::start(&["--address=/example.test/127.0.0.1", "--address=/cloud.test/169.254.169.254"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ports = [443, 993, 143, 995, 110].map(|it| (it, port));
    for domain in ["example.test", "cloud.test"] {
        let mail = mail(MailSettings::default(), dns.address, &ports);
        let look_ups = mail.look_up(&address(&format!("ana@{domain}"))).await;
        for target in [
            format!("https://autoconfig.{domain}/"),
            format!("https://{domain}/.well-known/"),
            format!("imap.{domain}"),
            format!("mail.{domain}"),
            format!("pop.{domain}"),
            format!("pop3.{domain}"),
        ] {
            assert_failed(outcome(&look_ups, &target), ErrorKind::Egress, "the egress policy does not allow");
        }
    }
    let accepted = timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(accepted.is_err(), "the forbidden address was connected to");
}

#[tokio::test]
async fn no_dns_server_leads_astray_or_holds_up() {
    let ana = address("ana@example.test");
    let began = Instant::now();
    let plays = [Play::Silence, Play::Garbage, Play::Failure, Play::OddBytes, Play::Records(800)];
    let all = join_all(plays.map(|it| async move {
        let mail = mail(patient(), play(it).await, &[]);
        mail.look_up(&address("ana@example.test")).await
    }))
    .await;
    assert!(began.elapsed() < Duration::from_secs(12), "it took {:?}", began.elapsed());
    let [silence, garbage, failure, odd, many] = all.try_into().unwrap();
    for look_ups in [&silence, &garbage, &failure] {
        let records = look_ups.iter().filter(|it| it.source == Source::Srv);
        let failed = records.filter(|it| matches!(it.outcome, LookUpOutcome::Failed(_))).count();
        assert_eq!((failed, propose(&ana, look_ups).len()), (6, 0), "{look_ups:?}");
    }
    let hosts = |look_ups: &[LookUp]| {
        let incoming = propose(&ana, look_ups).into_iter().filter(|it| it.service == Offered::Imap);
        incoming.map(|it| it.address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(hosts(&odd), ["mail.example.test"; 2]);
    let best = hosts(&many);
    assert_eq!(best.first().map(String::as_str), Some("m799.example.test"), "{many:?}");
    assert!(best.len() <= 20, "{best:?}");
}
