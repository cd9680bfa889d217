//! Mail submission (RFC 6409) by lettre's SMTP client, over our own dialling, egress policy, connectors and TLS.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    account::{Destination, Security},
    check::{ErrorKind, Stage},
    email::EmailAddress,
};
use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, AsyncTokioStream},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::ClientId,
        response::Response,
    },
};
use service::{
    ports::{Fate, MailError, MailSender, Outbox, SendError, StageLog, Submission},
    secret::Secret,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};

use crate::{
    Mail, protocol, said,
    sasl::{self, Mechanism as TokenMechanism},
    stages::Stages,
    tls::Expected,
    wire::{Stream, Tap, Wire},
};

/// All that a server may say in one connection. Its answers are a few hundred bytes; lettre would read an endless line for ever.
const SAID_AT_MOST: usize = 1024 * 1024;
/// Lines of one answer.
const LINES_AT_MOST: usize = 200;
/// A server may think long about a whole message (RFC 5321 section 4.5.3.2.6).
const AFTER_MESSAGE: Duration = Duration::from_mins(10);

#[async_trait]
impl MailSender for Mail {
    async fn open(&self, submission: &Submission, log: Arc<dyn StageLog>) -> Result<Box<dyn Outbox>, SendError> {
        let stages = Stages::new(log, self.settings.step_timeout);
        let (connection, tap) = self.connect(submission, &stages).await.map_err(SendError::before)?;
        Ok(Box::new(Session { connection, stages, tap, sender: submission.sender.clone() }))
    }
}

impl Mail {
    /// Signed in; and what hides the secret wherever the server repeats it.
    async fn connect(&self, submission: &Submission, stages: &Stages) -> Result<(AsyncSmtpConnection, Tap), MailError> {
        let mut tap = Tap::default();
        let destination = &submission.destination;
        let stream = self.dialer.dial(destination, submission.connector.as_ref(), stages).await?;
        let mut wire = Wire::new(stream, self.settings.step_timeout, SAID_AT_MOST as u64);
        let (address, authority) = (&destination.address, submission.authority.as_ref());
        let expected = |trust| Expected { address, trust, authority };
        let me = submission.sender.host();
        let mut is_greeted = false;
        match destination.security {
            Security::Plain => {}
            Security::Implicit(trust) => wire = self.tls.secure(wire, &expected(trust), stages).await?,
            Security::StartTls(trust) => {
                let plain = start_tls(wire, me, stages).await?;
                wire = self.tls.secure(plain, &expected(trust), stages).await?;
                is_greeted = true;
            }
        }
        let (stream, _) = wire.into_stream()?;
        // Inside TLS the server does not greet again, but lettre waits for it.
        let greeting: &'static [u8] = if is_greeted { b"220 \r\n" } else { b"" };
        let carrier = Box::new(Carrier { stream, greeting, left: SAID_AT_MOST });
        let hello = ClientId::Domain(me.to_owned());
        let connect = async {
            let connected = AsyncSmtpConnection::connect_with_transport(carrier, &hello).await;
            let connection = connected.map_err(|it| explain(&it, Stage::Greeting, &tap))?;
            let name = connection.server_info().name().to_owned();
            Ok((connection, said(name.as_bytes())))
        };
        let mut connection = stages.run(Stage::Greeting, connect).await?;
        if let Some((name, secret)) = &submission.credential {
            tap.guard(name, secret.expose());
            let authenticate = async {
                if secret.is_token() {
                    let mechanism = show_token(&mut connection, (name, secret), destination, &mut tap).await?;
                    return Ok(((), mechanism.name().to_owned()));
                }
                let credentials = Credentials::new(name.clone(), secret.expose().to_owned());
                let mechanisms = [Mechanism::Plain, Mechanism::Login];
                let info = connection.server_info();
                let Some(mechanism) = mechanisms.iter().find(|it| info.supports_auth_mechanism(**it)) else {
                    let message = "the server offers no way to sign in with a password (PLAIN or LOGIN)";
                    return Err(MailError::new(ErrorKind::Authentication, Stage::Authenticate, message));
                };
                let mechanism = mechanism.to_string();
                let answer = connection.auth(&mechanisms, &credentials).await;
                answer.map_err(|it| refused_credential(&it, &tap))?;
                Ok(((), mechanism))
            };
            stages.run(Stage::Authenticate, authenticate).await?;
        }
        Ok((connection, tap))
    }
}

/// Lettre knows XOAUTH2 only, and takes the reason of a refusal for a fault. A server that does not offer that one is shown the
/// token by the standard's.
async fn show_token(
    connection: &mut AsyncSmtpConnection,
    (name, token): (&str, &Secret),
    destination: &Destination,
    tap: &mut Tap,
) -> Result<TokenMechanism, MailError> {
    sasl::must_be_secure(destination)?;
    let has_old = connection.server_info().supports_auth_mechanism(Mechanism::Xoauth2);
    let mechanism = if has_old { TokenMechanism::Xoauth2 } else { TokenMechanism::OauthBearer };
    let initial = mechanism.initial(name, token, destination);
    tap.guard_form(&initial);
    let answer = match mechanism {
        TokenMechanism::Xoauth2 => connection.command(format!("AUTH XOAUTH2 {initial}\r\n")).await,
        // Whether it is offered is not known: a server that does not understand would repeat the token.
        TokenMechanism::OauthBearer => match connection.command("AUTH OAUTHBEARER\r\n".to_owned()).await {
            Ok(asked) if asked.has_code(334) => connection.command(format!("{initial}\r\n")).await,
            Ok(_) => return Err(protocol(Stage::Authenticate, "the server takes a token before it was shown any")),
            refused => refused,
        },
    };
    let answer = answer.map_err(|it| refused_credential(&it, tap))?;
    if !answer.has_code(334) {
        return Ok(mechanism);
    }
    let status = answer.first_line().and_then(|it| sasl::status(it.as_bytes()));
    let refused = match connection.command(format!("{}\r\n", mechanism.abort())).await {
        Ok(_) => protocol(Stage::Authenticate, "the server refuses the token and goes on as if it did not"),
        Err(error) => refused_credential(&error, tap),
    };
    Err(sasl::with_status(refused, status))
}

/// The dialogue before TLS (RFC 3207): greeting, EHLO, STARTTLS, and nothing after it.
async fn start_tls(mut wire: Wire, me: &str, stages: &Stages) -> Result<Wire, MailError> {
    let greet = async {
        wire.stage = Stage::Greeting;
        let (code, text) = answer(&mut wire).await?;
        if code != 220 {
            return Err(MailError::new(ErrorKind::Throttled, Stage::Greeting, said(&text)));
        }
        Ok((wire, said(&text)))
    };
    let mut wire = stages.run(Stage::Greeting, greet).await?;
    let upgrade = async {
        wire.stage = Stage::Tls;
        wire.send(format!("EHLO {me}\r\n").as_bytes()).await?;
        let (code, text) = answer(&mut wire).await?;
        let offers = text.split(|it| *it == b'\n').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"STARTTLS"));
        if code != 250 || !offers {
            let message = "the server does not offer STARTTLS; nothing was sent in clear";
            return Err(MailError::new(ErrorKind::Tls, Stage::Tls, message));
        }
        wire.send(b"STARTTLS\r\n").await?;
        let (code, text) = answer(&mut wire).await?;
        if code != 220 {
            let message = format!("the server refuses STARTTLS; nothing was sent in clear; {}", said(&text));
            return Err(MailError::new(ErrorKind::Tls, Stage::Tls, message));
        }
        Ok((wire, "STARTTLS".to_owned()))
    };
    stages.run(Stage::Tls, upgrade).await
}

/// Code and text of one answer, its lines joined by line feeds (RFC 5321 section 4.2).
async fn answer(wire: &mut Wire) -> Result<(u16, Vec<u8>), MailError> {
    let mut text = Vec::new();
    for _ in 0..LINES_AT_MOST {
        let line = wire.line().await?;
        let code = line.get(..3).and_then(|it| std::str::from_utf8(it).ok()).and_then(|it| it.parse().ok());
        let Some(code) = code else { return Err(protocol(wire.stage, format!("no SMTP answer; {}", said(&line)))) };
        text.extend_from_slice(line.get(4..).unwrap_or_default());
        if line.get(3) != Some(&b'-') {
            return Ok((code, text));
        }
        text.push(b'\n');
    }
    Err(protocol(wire.stage, "the server's answer has no end"))
}

struct Session {
    connection: AsyncSmtpConnection,
    stages: Stages,
    tap: Tap,
    sender: EmailAddress,
}

#[async_trait]
impl Outbox for Session {
    async fn address(&mut self, to: &EmailAddress) -> Result<(), SendError> {
        let step = self.stages.step_timeout;
        let address = |it: &EmailAddress| it.as_str().parse::<Address>().map_err(|it| internal(&it.to_string()));
        let from = MailFrom::new(Some(address(&self.sender)?), Vec::new());
        within(step, &self.tap, self.connection.command(from)).await?;
        within(step, &self.tap, self.connection.command(Rcpt::new(address(to)?, Vec::new()))).await?;
        Ok(())
    }

    async fn transmit(&mut self, message: &[u8]) -> Result<String, SendError> {
        let began = std::time::Instant::now();
        within(self.stages.step_timeout, &self.tap, self.connection.command(Data)).await?;
        let sent = within(AFTER_MESSAGE, &self.tap, self.connection.message(message)).await;
        let answer = sent.map_err(|it| {
            // A reply settles it; without one nobody knows whether the server has the message.
            let is_lost = it.fate == Fate::Later && it.error.kind != ErrorKind::Throttled;
            if is_lost { SendError { fate: Fate::Unknown, ..it } } else { it }
        })?;
        let words: Vec<&str> = answer.message().collect();
        let text = said(&self.tap.redacted(words.join(" ").as_bytes()));
        self.stages.note(Stage::Send, began.elapsed(), text.clone());
        Ok(text)
    }

    async fn close(mut self: Box<Self>) {
        _ = timeout(self.stages.step_timeout, self.connection.quit()).await;
    }
}

async fn within(
    most: Duration,
    tap: &Tap,
    work: impl Future<Output = Result<Response, Error>>,
) -> Result<Response, SendError> {
    match timeout(most, work).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => {
            let fate = if error.is_permanent() { Fate::Never } else { Fate::Later };
            Err(SendError::new(fate, explain(&error, Stage::Send, tap)))
        }
        Err(_) => {
            let message = format!("no answer within {} s", most.as_secs());
            Err(SendError::new(Fate::Later, MailError::new(ErrorKind::Timeout, Stage::Send, message)))
        }
    }
}

fn internal(message: &str) -> SendError {
    SendError::new(Fate::Never, MailError::new(ErrorKind::Internal, Stage::Send, message))
}

/// The server's own words where there are any, without the secret that it may have repeated.
fn explain(error: &Error, stage: Stage, tap: &Tap) -> MailError {
    let words = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let Some(code) = error.status() else {
        let kind = if error.is_timeout() { ErrorKind::Timeout } else { ErrorKind::Protocol };
        return MailError::new(kind, stage, format!("the connection broke: {words}"));
    };
    let kind = if error.is_transient() { ErrorKind::Throttled } else { ErrorKind::Mailbox };
    MailError::new(kind, stage, format!("{code}; {}", said(&tap.redacted(words.as_bytes()))))
}

/// 535 (RFC 4954 section 6) leaves no doubt; a temporary code does.
fn refused_credential(error: &Error, tap: &Tap) -> MailError {
    let explained = explain(error, Stage::Authenticate, tap);
    if !error.is_permanent() {
        return explained;
    }
    let is_certain = error.status().is_some_and(|it| it.to_string() == "535");
    MailError { kind: ErrorKind::Authentication, is_certain, ..explained }
}

/// Our stream in the form that lettre takes: with a greeting where the server gives none, and an end to what the server says.
struct Carrier {
    stream: Box<dyn Stream>,
    greeting: &'static [u8],
    left: usize,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier")
    }
}

impl AsyncTokioStream for Carrier {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl AsyncRead for Carrier {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let n = self.greeting.len().min(buffer.remaining());
            buffer.put_slice(&self.greeting[..n]);
            self.greeting = &self.greeting[n..];
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some(left) = self.left.checked_sub(buffer.filled().len() - before) else {
            return Poll::Ready(Err(io::Error::other("the server says too much")));
        };
        self.left = left;
        read
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
