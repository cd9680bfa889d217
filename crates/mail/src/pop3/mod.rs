//! POP3 (RFC 1939, capabilities RFC 2449, STLS RFC 2595, SASL PLAIN RFC 5034): our own client, since no crate fits.

mod fetch;
mod list;
mod maildrop;
mod reply;
mod sign_in;

use std::collections::HashMap;

use domain::check::{ErrorKind, Stage};
use service::ports::{MailError, Mailbox, Visit};

use self::{
    maildrop::Maildrop,
    reply::{command, lines, reply},
};
use crate::{refusal, said, stages::Stages, wire::Wire};

/// Reads the greeting and upgrades: the wire that comes back carries nothing but the beginning of TLS.
pub(crate) async fn start_tls(wire: Wire, stages: &Stages) -> Result<Wire, MailError> {
    let mut wire = greet(wire, stages).await?;
    let upgrade = async {
        wire.stage = Stage::Tls;
        let reply = command(&mut wire, "STLS").await?;
        if !reply.is_ok {
            let message = format!("the server refuses STLS; nothing was sent in clear; {}", said(&reply.words));
            return Err(MailError::new(ErrorKind::Tls, Stage::Tls, message));
        }
        Ok((wire, "STLS".to_owned()))
    };
    stages.run(Stage::Tls, upgrade).await
}

/// Greets (unless that came before TLS) and authenticates.
pub(crate) async fn open(
    wire: Wire,
    is_greeted: bool,
    visit: &Visit,
    stages: &Stages,
) -> Result<Box<dyn Mailbox>, MailError> {
    let mut wire = if is_greeted { wire } else { greet(wire, stages).await? };
    let authenticate = async {
        wire.stage = Stage::Authenticate;
        wire.tap.guard(&visit.username, visit.password.expose());
        let capabilities = capabilities(&mut wire).await?;
        let mechanism = sign_in::sign_in(&mut wire, &capabilities, visit).await?;
        Ok(((wire, capabilities), mechanism.to_owned()))
    };
    let (mut wire, before) = stages.run(Stage::Authenticate, authenticate).await?;
    let select = async {
        wire.stage = Stage::Select;
        // Some capabilities show only now (RFC 2449 section 5); to ask costs no round trip of its own where that can be saved.
        let is_together = has(&before, "PIPELINING");
        if is_together {
            wire.send(b"CAPA\r\nSTAT\r\n").await?;
        } else {
            wire.send(b"CAPA\r\n").await?;
        }
        let capabilities = read_capabilities(&mut wire).await?;
        if !is_together {
            wire.send(b"STAT\r\n").await?;
        }
        let reply = reply(&mut wire).await?;
        if !reply.is_ok {
            return Err(refusal::error(Stage::Select, ErrorKind::Mailbox, &reply.words));
        }
        let text = String::from_utf8_lossy(&reply.text).into_owned();
        let n = text.split(' ').next().unwrap_or_default();
        let opened = Maildrop {
            wire,
            has_pipelining: is_together || has(&capabilities, "PIPELINING"),
            n_messages: n.parse().unwrap_or(0),
            numbers: HashMap::new(),
            is_over: false,
        };
        Ok((opened, format!("{} messages", opened_count(n))))
    };
    Ok(Box::new(stages.run(Stage::Select, select).await?))
}

/// The number, or nothing that a server could write into a stage.
fn opened_count(text: &str) -> &str {
    if text.bytes().all(|it| it.is_ascii_digit()) && text.len() < 20 { text } else { "?" }
}

async fn greet(mut wire: Wire, stages: &Stages) -> Result<Wire, MailError> {
    let greeting = async {
        wire.stage = Stage::Greeting;
        let reply = reply(&mut wire).await?;
        if !reply.is_ok {
            return Err(refusal::error(Stage::Greeting, ErrorKind::Throttled, &reply.words));
        }
        Ok((wire, said(&reply.words)))
    };
    stages.run(Stage::Greeting, greeting).await
}

async fn capabilities(wire: &mut Wire) -> Result<Vec<String>, MailError> {
    wire.send(b"CAPA\r\n").await?;
    read_capabilities(wire).await
}

async fn read_capabilities(wire: &mut Wire) -> Result<Vec<String>, MailError> {
    if !reply(wire).await?.is_ok {
        return Ok(Vec::new());
    }
    Ok(lines(wire).await?.into_iter().map(|it| it.trim().to_ascii_uppercase()).collect())
}

fn has(capabilities: &[String], name: &str) -> bool {
    capabilities.iter().any(|it| it == name)
}
