//! Nothing secret leaves in clear: what somebody on the way would read, over every protocol, with SSL and TLS, by password and by token.

use std::sync::{Arc, Mutex};

use domain::account::{Protocol, Security, Trust};
use service::{
    ports::{Submission, Visit},
    secret::Secret,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};

use crate::{
    dialects::{account, messages},
    oauth::{GOOD, issuer, with_token},
    support::{
        PASSWORD, SECURITIES,
        dovecot::Dovecot,
        gives_away, open, open_outbox, patient,
        peer::{Peer, Script},
        server::USER_PASSWORD,
        submission,
    },
};

const PROTOCOLS: [Protocol; 2] = [Protocol::Imap, Protocol::Pop3];

/// Somebody between client and server who only listens.
struct Listener {
    port: u16,
    /// From the client.
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Listener {
    async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<u8>>>::default());
        let ear = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&ear)));
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, ear: Arc<Mutex<Vec<u8>>>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let there = async {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = from_client.read(&mut bytes).await {
            ear.lock().unwrap().extend_from_slice(&bytes[..n]);
            to_server.write_all(&bytes[..n]).await?;
        }
        to_server.shutdown().await
    };
    let back = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    // Whoever leaves first leaves the other nothing to say.
    _ = tokio::join!(there, back);
}

/// The whole visit, as far as the mail.
async fn visited(visit: Visit) -> Vec<u8> {
    let listener = Listener::before(visit.destination.port).await;
    let mut visit = visit;
    visit.destination.port = listener.port;
    let (mut mailbox, _) = open(patient(), &visit).await.unwrap();
    assert_eq!(mailbox.list().await.unwrap().messages.len(), messages().len());
    mailbox.close().await;
    listener.heard()
}

#[tokio::test]
async fn neither_password_nor_token_is_readable_on_the_way_to_a_mailbox() {
    let dovecot = Dovecot::start_with_tokens(&issuer().await).await;
    dovecot.deliver("somebody", &messages());
    for protocol in PROTOCOLS {
        for security in SECURITIES {
            let what = format!("{} {security:?}", protocol.as_str());
            let by_password = visited(account(&dovecot, protocol, security, "somebody")).await;
            let is_readable = gives_away(&by_password, USER_PASSWORD) || gives_away(&by_password, "somebody");
            // Without TLS it is readable: the ear is good.
            assert_eq!(is_readable, security == Security::Plain, "{what}: {}", String::from_utf8_lossy(&by_password));
            if security == Security::Plain {
                continue;
            }
            let by_token = visited(with_token(&dovecot, protocol, security, GOOD)).await;
            let is_readable = gives_away(&by_token, GOOD) || gives_away(&by_token, "somebody");
            assert!(!is_readable, "{what}: {}", String::from_utf8_lossy(&by_token));
        }
    }
}

/// How a server takes the credential, and what is then sent.
struct Taken {
    offers: &'static str,
    steps: &'static [(&'static str, &'static str)],
    is_token: bool,
}

const TAKEN: [Taken; 4] = [
    Taken { offers: "AUTH PLAIN", steps: &[("AUTH PLAIN ", "235 in\r\n")], is_token: false },
    Taken {
        offers: "AUTH LOGIN",
        steps: &[("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"), ("dXNlcg==", "334 UGFzc3dvcmQ6\r\n"), ("", "235 in\r\n")],
        is_token: false,
    },
    Taken { offers: "AUTH XOAUTH2", steps: &[("AUTH XOAUTH2 ", "235 in\r\n")], is_token: true },
    Taken {
        offers: "AUTH OAUTHBEARER",
        steps: &[("AUTH OAUTHBEARER", "334 \r\n"), ("", "235 in\r\n")],
        is_token: true,
    },
];

#[tokio::test]
async fn neither_password_nor_token_is_readable_on_the_way_to_a_server_that_takes_mail() {
    let trust = Trust::SkipCertificate { until: None };
    for security in [Security::Implicit(trust), Security::StartTls(trust), Security::Plain] {
        for Taken { offers, steps, is_token } in TAKEN {
            if is_token && security == Security::Plain {
                continue;
            }
            let hello = format!("250-mail.example.org\r\n250 {offers}\r\n");
            let script = match security {
                Security::Plain => Script::default().send("220 ready\r\n"),
                Security::Implicit(_) => Script::default().tls().send("220 ready\r\n"),
                Security::StartTls(_) => Script::default()
                    .send("220 ready\r\n")
                    .answer("EHLO", "250-mail.example.org\r\n250 STARTTLS\r\n")
                    .answer("STARTTLS", "220 go\r\n")
                    .tls(),
            };
            let script = steps.iter().fold(script.answer("EHLO", hello), |it, (asked, said)| it.answer(asked, said));
            let peer = Peer::start(script.answer("QUIT", "221 bye\r\n")).await;
            let submission = submission(security, peer.port);
            let token = Some(("user".to_owned(), Secret::token(PASSWORD.to_owned())));
            let submission = if is_token { Submission { credential: token, ..submission } } else { submission };
            let (outbox, _) = open_outbox(patient(), &submission).await.unwrap_or_else(|it| panic!("{offers}: {it}"));
            outbox.close().await;
            let recording = peer.end().await;
            if security == Security::Plain {
                assert!(gives_away(&recording.received, PASSWORD), "{offers}: the ear is deaf");
            } else {
                recording.assert_no_secret();
            }
        }
    }
}

/// A token is as good as a password for as long as it lasts, and nothing says that it may go without TLS.
#[tokio::test]
async fn a_token_is_not_handed_to_a_server_without_tls() {
    let script = Script::default().send("220 ready\r\n").answer("EHLO", "250 AUTH XOAUTH2 OAUTHBEARER PLAIN LOGIN\r\n");
    let peer = Peer::start(script).await;
    let submission = Submission {
        credential: Some(("user".to_owned(), Secret::token(PASSWORD.to_owned()))),
        ..submission(Security::Plain, peer.port)
    };
    let error = open_outbox(patient(), &submission).await.err().expect("it is refused");
    assert!(error.message.contains("without TLS"), "{error}");
    peer.end().await.assert_no_secret();
}
