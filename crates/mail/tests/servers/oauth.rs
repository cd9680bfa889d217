//! Signing in with OAuth 2.0 tokens to a real Dovecot, which asks a token's issuer about each.

use std::sync::{Arc, Mutex};

use domain::{
    account::{Protocol, Security, Trust},
    check::{ErrorKind, Stage},
};
use service::{
    ports::{Side, Transcript, Visit},
    secret::Secret,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    dialects::{account, messages},
    support::{SECURITIES, assert_error, dovecot::Dovecot, open, patient, server::Server as _},
};

pub(crate) const GOOD: &str = "ya29.a-token-that-the-issuer-knows";
const REVOKED: &str = "ya29.a-token-that-was-revoked";
const PROTOCOLS: [Protocol; 2] = [Protocol::Imap, Protocol::Pop3];

/// The issuer's introspection endpoint (RFC 7662): one token is good, and it is somebody's.
pub(crate) async fn issuer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(introspect(stream));
        }
    });
    format!("http://127.0.0.1:{port}/introspect")
}

async fn introspect(mut stream: TcpStream) {
    let mut asked = String::new();
    loop {
        let mut some = [0; 4096];
        let Ok(n) = stream.read(&mut some).await else { return };
        if n == 0 {
            return;
        }
        asked.push_str(&String::from_utf8_lossy(&some[..n]));
        if !asked.contains("token=") {
            continue;
        }
        let body = if asked.contains(GOOD) {
            r#"{"status":"active","username":"somebody"}"#
        } else {
            r#"{"status":"inactive"}"#
        };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
}

pub(crate) fn with_token(dovecot: &Dovecot, protocol: Protocol, security: Security, token: &str) -> Visit {
    Visit { password: Secret::token(token.to_owned()), ..account(dovecot, protocol, security, "somebody") }
}

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Transcript for Notes {
    fn line(&self, _: Side, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[tokio::test]
async fn a_token_opens_the_mailbox_and_stays_out_of_the_transcript() {
    let dovecot = Dovecot::start_with_tokens(&issuer().await).await;
    dovecot.deliver("somebody", &messages());
    for protocol in PROTOCOLS {
        for security in SECURITIES.into_iter().filter(|it| *it != Security::Plain) {
            let notes = Arc::new(Notes::default());
            let visit = Visit {
                transcript: Some(Arc::<Notes>::clone(&notes)),
                ..with_token(&dovecot, protocol, security, GOOD)
            };
            let (mut mailbox, _) = open(patient(), &visit).await.unwrap();
            assert_eq!(mailbox.list().await.unwrap().messages.len(), messages().len());
            mailbox.close().await;
            let notes = notes.0.lock().unwrap().join("\n");
            assert!(notes.contains("OAUTHBEARER") && notes.contains("(secret, "), "{notes}");
            assert!(!notes.contains("Bearer") && !notes.contains(GOOD), "{notes}");
        }
    }
}

#[tokio::test]
async fn a_token_that_was_revoked_is_refused_with_its_status() {
    let dovecot = Dovecot::start_with_tokens(&issuer().await).await;
    for protocol in PROTOCOLS {
        let visit = with_token(&dovecot, protocol, Security::Implicit(Trust::SkipCertificate { until: None }), REVOKED);
        let error = assert_error(open(patient(), &visit).await, ErrorKind::Authentication, Stage::Authenticate);
        assert!(error.message.contains("(OAuth 2.0 status: "), "{}", error.message);
        assert!(!error.message.contains(REVOKED), "{}", error.message);
    }
}

#[tokio::test]
async fn a_token_is_not_sent_in_clear_nor_to_a_server_that_takes_passwords_only() {
    let dovecot = Dovecot::start_with_tokens(&issuer().await).await;
    let plain = Dovecot::start().await;
    let secure = Security::Implicit(Trust::SkipCertificate { until: None });
    for protocol in PROTOCOLS {
        let visit = with_token(&dovecot, protocol, Security::Plain, GOOD);
        let error = assert_error(open(patient(), &visit).await, ErrorKind::Protocol, Stage::Authenticate);
        assert!(error.message.contains("without TLS"), "{}", error.message);
        let visit = with_token(&plain, protocol, secure, GOOD);
        let error = assert_error(open(patient(), &visit).await, ErrorKind::Protocol, Stage::Authenticate);
        assert!(error.message.contains("OAUTHBEARER or XOAUTH2"), "{}", error.message);
    }
}
