//! Token endpoints (RFC 6749 section 3.2): a form posted the way webhooks are, whose answer is read.

use std::time::Duration;

use async_trait::async_trait;
use domain::notices::Webhook;
use hyper::body::Bytes;
use service::{
    ports::{MailError, TokenEndpoint},
    secret::Secret,
};

use crate::{
    Mail,
    hook::{read, send, within},
};

/// For everything, from the look-up to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// The longest answer that is taken.
const BODY_MAX: usize = 64 * 1024;

#[async_trait]
impl TokenEndpoint for Mail {
    async fn post_form(&self, url: &Webhook, form: &Secret) -> Result<(u16, Secret), MailError> {
        self.post_form_within(url, form, DEADLINE).await
    }
}

impl Mail {
    async fn post_form_within(
        &self,
        url: &Webhook,
        form: &Secret,
        deadline: Duration,
    ) -> Result<(u16, Secret), MailError> {
        within(deadline, url, async {
            let stream = self.reach(url, deadline).await?;
            let body = Bytes::copy_from_slice(form.expose().as_bytes());
            let mut answer = send(stream, url, "application/x-www-form-urlencoded", body).await?;
            let body = read(url, &mut answer.body, BODY_MAX).await?;
            tracing::debug!(authority = url.authority(), status = answer.status, "a token endpoint answered");
            Ok((answer.status, Secret::new(body)))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use domain::check::ErrorKind;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;
    use crate::MailSettings;

    fn mail(allow: &[&str]) -> Mail {
        let egress_allow = allow.iter().map(|it| it.parse().unwrap()).collect();
        Mail::new(MailSettings { egress_allow, ..MailSettings::default() }).unwrap()
    }

    /// Answers the first request with this; gives back what was asked.
    async fn serve(answer: Vec<u8>) -> (Webhook, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/token", listener.local_addr().unwrap().port());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"secret=s%26t") {
                let mut some = [0; 1024];
                let n = stream.read(&mut some).await.unwrap();
                assert!(n > 0, "{}", String::from_utf8_lossy(&asked));
                asked.extend_from_slice(&some[..n]);
            }
            // Whoever does not read all of it closes.
            _ = stream.write_all(&answer).await;
            String::from_utf8(asked).unwrap()
        });
        (Webhook::parse(&url).unwrap(), asked)
    }

    async fn post(answer: impl Into<Vec<u8>>) -> Result<(u16, Secret), MailError> {
        let (url, asked) = serve(answer.into()).await;
        let posted = mail(&["127.0.0.0/8"]).post_form(&url, &Secret::new("secret=s%26t".to_owned())).await;
        let asked = asked.await.unwrap().to_lowercase();
        assert!(asked.starts_with("post /token http/1.1\r\n"), "{asked}");
        assert!(asked.contains("content-type: application/x-www-form-urlencoded\r\n"), "{asked}");
        posted
    }

    #[tokio::test]
    async fn a_form_is_posted_and_the_answer_comes_back() {
        let (status, body) = post("HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        assert_eq!((status, body.expose()), (400, "{}"));
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_not_read_to_it() {
        let answer = [b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n".as_slice(), &vec![b'x'; 1 << 20]];
        let error = post(answer.concat()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains("longer than"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_is_an_error() {
        let error = post("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol);
    }

    #[tokio::test]
    async fn a_provider_that_says_nothing_meets_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/token", listener.local_addr().unwrap().port());
        let url = Webhook::parse(&url).unwrap();
        let form = Secret::new("secret=s".to_owned());
        let posted = mail(&["127.0.0.0/8"]).post_form_within(&url, &form, Duration::from_millis(100)).await;
        assert_eq!(posted.unwrap_err().kind, ErrorKind::Timeout);
        drop(listener);
    }

    #[tokio::test]
    async fn the_policy_judges_a_provider_like_anybody() {
        let url = Webhook::parse("http://127.0.0.1:9/token").unwrap();
        let error = mail(&[]).post_form(&url, &Secret::new(String::new())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Egress);
    }
}
