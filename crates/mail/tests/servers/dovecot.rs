//! A real Dovecot, by every way there is: through proxies, with certificates that hold or do not, past the egress policy.

use std::process::Command;

use domain::{
    account::{Address, Destination, Protocol, Security, Trust},
    check::{ErrorKind, Stage},
    connector::ConnectorKind,
    ids::ConnectorId,
};
use mail::MailSettings;
use service::{
    ports::{ViaConnector, Visit},
    secret::Secret,
};

use crate::{
    dialects::{account, check_visits, messages},
    support::{
        SECURITIES, assert_error,
        dovecot::Dovecot,
        open, patient,
        peer::{Peer, Script},
        proxy::Proxy,
        server::Server as _,
        through, visit,
    },
};

const PROTOCOLS: [Protocol; 2] = [Protocol::Imap, Protocol::Pop3];

async fn check_connector(kind: ConnectorKind, credential: Option<(&'static str, &'static str)>) {
    let (dovecot, proxy) = (Dovecot::start().await, Proxy::start(kind, credential).await);
    for protocol in PROTOCOLS {
        for (n, security) in SECURITIES.into_iter().enumerate() {
            let user = format!("{}-{n}", protocol.as_str());
            let visit = through(proxy.connector(), account(&dovecot, protocol, security, &user));
            check_visits(&dovecot, &visit).await;
        }
    }
    if let Some((name, _)) = credential {
        let visit = account(&dovecot, Protocol::Imap, Security::Plain, "nobody");
        for wrong in [None, Some((name.to_owned(), Secret::new("wrong".to_owned())))] {
            let connector = ViaConnector { credential: wrong, ..proxy.connector() };
            let visit = through(connector, visit.clone());
            assert_error(open(patient(), &visit).await, ErrorKind::Connector, Stage::Connector);
        }
    }
}

#[tokio::test]
async fn socks5_carries_all_of_it() {
    check_connector(ConnectorKind::Socks5, None).await;
}

#[tokio::test]
async fn socks5_with_a_credential_carries_all_of_it() {
    check_connector(ConnectorKind::Socks5, Some(("vault", "door"))).await;
}

#[tokio::test]
async fn http_connect_carries_all_of_it() {
    check_connector(ConnectorKind::HttpConnect, None).await;
}

#[tokio::test]
async fn http_connect_with_a_credential_carries_all_of_it() {
    check_connector(ConnectorKind::HttpConnect, Some(("vault", "door"))).await;
}

#[tokio::test]
async fn a_connector_that_does_not_reach_the_server_is_the_one_to_blame() {
    for kind in [ConnectorKind::Socks5, ConnectorKind::HttpConnect] {
        let proxy = Proxy::start(kind, None).await;
        let nobody = crate::support::program::free_port();
        let visit = through(proxy.connector(), visit(Protocol::Imap, Security::Plain, nobody));
        assert_error(open(patient(), &visit).await, ErrorKind::Connector, Stage::Connector);
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_for_certain() {
    let dovecot = Dovecot::start().await;
    for protocol in PROTOCOLS {
        for security in SECURITIES {
            let visit = Visit {
                password: Secret::new("wrong".to_owned()),
                ..account(&dovecot, protocol, security, "somebody")
            };
            let error = assert_error(open(patient(), &visit).await, ErrorKind::Authentication, Stage::Authenticate);
            assert!(error.is_certain, "{}: {}", protocol.as_str(), error.message);
        }
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let dovecot = Dovecot::start().await;
    for protocol in PROTOCOLS {
        for security in [Security::StartTls(Trust::System), Security::Implicit(Trust::System)] {
            let visit = account(&dovecot, protocol, security, "somebody");
            let error = assert_error(open(patient(), &visit).await, ErrorKind::Certificate, Stage::Tls);
            assert!(
                error.message.contains("it is signed by itself and not one of the system's roots"),
                "{}",
                error.message
            );
        }
    }
}

/// The trust roots are the process's: this test runs itself once more where Dovecot's certificate is one of them.
#[tokio::test]
async fn a_certificate_that_the_system_trusts_is_accepted_for_its_name_only() {
    const PORTS: &str = "POSTHORN_TEST_TRUSTED_PORTS";
    if let Ok(ports) = std::env::var(PORTS) {
        let ports: Vec<u16> = ports.split(' ').map(|it| it.parse().unwrap()).collect();
        return check_trusted_ports(&ports).await;
    }
    let dovecot = Dovecot::start().await;
    dovecot.deliver("somebody", &messages());
    let securities = [Security::StartTls(Trust::System), Security::Implicit(Trust::System)];
    let ports = PROTOCOLS.iter().flat_map(|it| securities.map(|security| dovecot.port(*it, security).to_string()));
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dovecot::a_certificate_that_the_system_trusts_is_accepted_for_its_name_only"])
        .env(PORTS, ports.collect::<Vec<_>>().join(" "))
        .env("SSL_CERT_FILE", &dovecot.certificate)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
}

async fn check_trusted_ports(ports: &[u16]) {
    let [imap, imaps, pop3, pop3s] = ports.try_into().unwrap();
    for (protocol, security, port) in [
        (Protocol::Imap, Security::StartTls(Trust::System), imap),
        (Protocol::Imap, Security::Implicit(Trust::System), imaps),
        (Protocol::Pop3, Security::StartTls(Trust::System), pop3),
        (Protocol::Pop3, Security::Implicit(Trust::System), pop3s),
    ] {
        let visit = visit(protocol, security, port);
        let by_number = Visit { password: Secret::new("pass".to_owned()), username: "somebody".to_owned(), ..visit };
        let error = assert_error(open(patient(), &by_number).await, ErrorKind::Certificate, Stage::Tls);
        assert!(error.message.contains("it is for localhost and not for 127.0.0.1"), "{}", error.message);
        let destination = Destination { address: Address::parse("localhost").unwrap(), ..by_number.destination };
        let by_name = Visit { destination, ..by_number };
        let (mut mailbox, _) = open(patient(), &by_name).await.unwrap();
        assert_eq!(mailbox.list().await.unwrap().messages.len(), messages().len());
        mailbox.close().await;
    }
}

#[tokio::test]
async fn what_the_policy_forbids_is_not_contacted() {
    let peer = Peer::start(Script::default().send("* OK here\r\n")).await;
    let closed = MailSettings { egress_allow: Vec::new(), ..patient() };
    let direct = visit(Protocol::Imap, Security::Plain, peer.port);
    assert_error(open(closed.clone(), &direct).await, ErrorKind::Egress, Stage::Resolve);

    // The connector's own address is judged like any other.
    let connector = ViaConnector {
        id: ConnectorId(1),
        version: 1,
        host_key: None,
        kind: ConnectorKind::Socks5,
        address: Address::parse("127.0.0.1").unwrap(),
        port: peer.port,
        credential: None,
    };
    let mut behind = through(connector, visit(Protocol::Imap, Security::Plain, 143));
    behind.destination.address = Address::parse("198.51.100.7").unwrap();
    assert_error(open(closed, &behind).await, ErrorKind::Egress, Stage::Resolve);

    // A connector is no way around the policy for an address that is written out, nor for a port that is not mail's.
    for (address, port) in [("169.254.169.254", 143), ("::1", 993), ("198.51.100.7", 6379)] {
        behind.destination.address = Address::parse(address).unwrap();
        behind.destination.port = port;
        assert_error(open(patient(), &behind).await, ErrorKind::Egress, Stage::Resolve);
    }
    assert!(peer.is_untouched(), "somebody was contacted");
}
