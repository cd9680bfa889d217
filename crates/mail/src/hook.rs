//! Webhooks: JSON posted to other people's servers (HTTP/1.1, RFC 9112), over our own dialling, egress policy and TLS.
//!
//! Of the URL only the authority is ever logged or named in an error: whoever knows the rest may post.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    account::{Destination, Route, Security, Trust},
    check::{ErrorKind, Stage, StageRecord},
    notices::Webhook,
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
    http::request,
};
use hyper_util::rt::TokioIo;
use service::ports::{HookSender, MailError, StageLog};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    Mail, dial,
    stages::Stages,
    tls::Expected,
    wire::{Stream, Wire},
};

/// For everything, from the look-up to the answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest header of an answer.
const HEADER_MAX: usize = 64 * 1024;
/// What is read of an answer's body, so that its server can finish; it does not matter what it says.
const BODY_MAX: usize = 64 * 1024;
/// How long that may take: the status is known by then.
const BODY_DEADLINE: Duration = Duration::from_secs(1);
const USER_AGENT: &str = concat!("posthorn/", env!("CARGO_PKG_VERSION"));

#[async_trait]
impl HookSender for Mail {
    async fn post(&self, hook: &Webhook, body: &[u8]) -> Result<u16, MailError> {
        self.post_within(hook, body, DEADLINE).await
    }
}

impl Mail {
    async fn post_within(&self, hook: &Webhook, body: &[u8], deadline: Duration) -> Result<u16, MailError> {
        within(deadline, hook, async { exchange(self.reach(hook, deadline).await?, hook, body).await }).await
    }

    /// Connected to an address that passed the policy, and secured if the URL says so.
    pub(crate) async fn reach(&self, hook: &Webhook, deadline: Duration) -> Result<Box<dyn Stream>, MailError> {
        // One deadline for all stages: the one of a single stage would only cut what this one cuts anyway.
        let stages = &Stages::new(Arc::new(Unheard), deadline.saturating_mul(2));
        let security = if hook.is_secure { Security::Implicit(Trust::System) } else { Security::Plain };
        let destination =
            Destination { address: hook.address.clone(), port: hook.port, security, route: Route::Direct };
        let stream = dial::direct(&destination, &self.dialer.egress.for_hooks(), stages).await?;
        if !hook.is_secure {
            return Ok(stream);
        }
        let wire = Wire::new(stream, stages.step_timeout, HEADER_MAX as u64);
        let expected = Expected { address: &hook.address, trust: Trust::System, authority: None };
        let (stream, ..) = self.tls.secure(wire, &expected, stages).await?.into_stream()?;
        Ok(stream)
    }
}

/// The whole exchange, or an error that says who was silent.
pub(crate) async fn within<T>(
    deadline: Duration,
    url: &Webhook,
    work: impl Future<Output = Result<T, MailError>>,
) -> Result<T, MailError> {
    timeout(deadline, work).await.unwrap_or_else(|_| {
        let message = format!("{} did not answer within {} s", url.authority(), deadline.as_secs());
        Err(MailError::new(ErrorKind::Timeout, Stage::Send, message))
    })
}

/// Nobody watches the stages: what failed is in its error.
pub(crate) struct Unheard;

impl StageLog for Unheard {
    fn ended(&self, record: StageRecord) {
        tracing::debug!(?record, "a stage that nobody watches");
    }
}

/// Posts, and answers with the status, whatever it is: a redirect could lead to where the policy does not allow.
async fn exchange(stream: Box<dyn Stream>, hook: &Webhook, body: &[u8]) -> Result<u16, MailError> {
    let answer = send(stream, hook, "application/json", Bytes::copy_from_slice(body)).await?;
    _ = timeout(BODY_DEADLINE, drain(answer.body)).await;
    tracing::debug!(authority = hook.authority(), status = answer.status, "a webhook answered");
    Ok(answer.status)
}

/// The beginning of an answer. The rest comes for as long as this is kept.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Where a redirect leads, as the server wrote it.
    pub(crate) location: Option<String>,
    pub(crate) body: Incoming,
    /// The connection moves while its future is polled; the set ends it when it is dropped.
    _tasks: JoinSet<hyper::Result<()>>,
}

/// Posts this, on a connection of its own.
pub(crate) async fn send(
    stream: Box<dyn Stream>,
    url: &Webhook,
    content_type: &'static str,
    body: Bytes,
) -> Result<Answer, MailError> {
    let request =
        Request::post(&url.path).header(header::ACCEPT, "application/json").header(header::CONTENT_TYPE, content_type);
    ask(stream, url, request, body).await
}

/// One request on a connection of its own.
pub(crate) async fn ask(
    stream: Box<dyn Stream>,
    url: &Webhook,
    request: request::Builder,
    body: Bytes,
) -> Result<Answer, MailError> {
    let request = request
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|_| MailError::new(ErrorKind::Internal, Stage::Send, "the URL cannot be sent"))?;
    let broken = |it| broken(url, &it);
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEADER_MAX).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let location = answer.headers().get(header::LOCATION).and_then(|it| it.to_str().ok()).map(str::to_owned);
    Ok(Answer { status: answer.status().as_u16(), location, body: answer.into_body(), _tasks: tasks })
}

/// The whole body, which may have so many bytes; what is no UTF-8 in it is replaced.
pub(crate) async fn read(url: &Webhook, body: &mut Incoming, most: usize) -> Result<String, MailError> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|it| broken(url, &it))?;
        let Some(data) = frame.data_ref() else { continue };
        if text.len() + data.len() > most {
            let message = format!("the answer of {} is longer than {most} bytes", url.authority());
            return Err(MailError::new(ErrorKind::Protocol, Stage::Send, message));
        }
        text.extend_from_slice(data);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub(crate) fn broken(url: &Webhook, error: &hyper::Error) -> MailError {
    let message = format!("the connection to {} broke: {error}", url.authority());
    MailError::new(ErrorKind::Protocol, Stage::Send, message)
}

async fn drain(mut body: Incoming) {
    let mut left = BODY_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let n = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(n) {
            Some(less) => left = less,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        task::JoinHandle,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::MailSettings;

    fn mail(allow: &[&str]) -> Mail {
        let egress_allow = allow.iter().map(|it| it.parse().unwrap()).collect();
        Mail::new(MailSettings { egress_allow, ..MailSettings::default() }).unwrap()
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn hook(scheme: &str, port: u16) -> Webhook {
        Webhook::parse(&format!("{scheme}://127.0.0.1:{port}/hooks/s3cret?x=1")).unwrap()
    }

    /// Reads one whole request.
    async fn request(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"}") {
            let mut some = [0; 1024];
            let n = stream.read(&mut some).await.unwrap();
            assert!(n > 0, "{}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&some[..n]);
        }
        String::from_utf8(text).unwrap()
    }

    /// Answers the first request with this, and gives back what was asked.
    fn serve(listener: TcpListener, answer: impl Into<Vec<u8>>) -> JoinHandle<String> {
        let answer = answer.into();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = request(&mut stream).await;
            // Whoever does not read all of it closes.
            _ = stream.write_all(&answer).await;
            asked
        })
    }

    #[tokio::test]
    async fn json_is_posted_and_the_status_comes_back() {
        let (listener, port) = listener().await;
        let server = serve(listener, "HTTP/1.1 204 No Content\r\n\r\n");
        let status = mail(&["127.0.0.0/8"]).post(&hook("http", port), b"{\"event\":\"test\"}").await;
        assert_eq!(status.unwrap(), 204);
        let asked = server.await.unwrap();
        assert!(asked.starts_with("POST /hooks/s3cret?x=1 HTTP/1.1\r\n"), "{asked}");
        let lower = asked.to_lowercase();
        for expected in [
            format!("host: 127.0.0.1:{port}\r\n"),
            format!("user-agent: posthorn/{}\r\n", env!("CARGO_PKG_VERSION")),
            "content-type: application/json\r\n".to_owned(),
            "content-length: 16\r\n".to_owned(),
        ] {
            assert!(lower.contains(&expected), "{expected}: {asked}");
        }
        assert!(asked.ends_with("\r\n\r\n{\"event\":\"test\"}"), "{asked}");
    }

    #[tokio::test]
    async fn a_server_that_fails_is_heard() {
        let (listener, port) = listener().await;
        let server = serve(listener, "HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno");
        assert_eq!(mail(&["127.0.0.0/8"]).post(&hook("http", port), b"{}").await.unwrap(), 500);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (listener, port) = listener().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            let answer = format!("HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:{port}/\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            timeout(Duration::from_millis(200), listener.accept()).await.is_ok()
        });
        assert_eq!(mail(&["127.0.0.0/8"]).post(&hook("http", port), b"{}").await.unwrap(), 307);
        assert!(!server.await.unwrap(), "the redirect was followed");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_meets_the_deadline() {
        let (listener, port) = listener().await;
        let posted = mail(&["127.0.0.0/8"]).post_within(&hook("http", port), b"{}", Duration::from_millis(100)).await;
        let error = posted.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout);
        assert!(!error.message.contains("s3cret"), "{error}");
        drop(listener);
    }

    #[tokio::test]
    async fn an_endless_body_does_not_hold_the_status_up() {
        let (listener, port) = listener().await;
        let body = vec![b'x'; 1024 * 1024];
        let server =
            serve(listener, [b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n", body.as_slice()].concat());
        assert_eq!(mail(&["127.0.0.0/8"]).post(&hook("http", port), b"{}").await.unwrap(), 200);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_http_is_an_error_without_the_path() {
        let (listener, port) = listener().await;
        let server = serve(listener, "220 mail.example.org ESMTP\r\n");
        let error = mail(&["127.0.0.0/8"]).post(&hook("http", port), b"{}").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol);
        assert!(error.message.contains(&format!("127.0.0.1:{port}")) && !error.message.contains("s3cret"), "{error}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn loopback_is_refused_unless_it_is_listed() {
        let (listener, port) = listener().await;
        for text in [format!("http://127.0.0.1:{port}/"), "http://127.0.0.1/".to_owned(), "https://[::1]/".to_owned()] {
            let error = mail(&[]).post(&Webhook::parse(&text).unwrap(), b"{}").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Egress, "{text}");
        }
        assert!(timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "it was connected to");
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_trusts_gets_no_request() {
        let (listener, port) = listener().await;
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            TlsAcceptor::from(Arc::new(config)).accept(stream).await.is_ok()
        });
        let error = mail(&["127.0.0.0/8"]).post(&hook("https", port), b"{}").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Certificate, "{error}");
        assert!(!server.await.unwrap());
    }
}
