//! POP3 (RFC 1939, capabilities RFC 2449, STLS RFC 2595, SASL PLAIN RFC 5034): our own client, since no crate fits.

mod fetch;
mod list;
mod maildrop;
mod reply;
mod sign_in;

use std::collections::HashMap;

use domain::{
    check::{ErrorKind, Stage},
    connection_test::{Fact, MailboxFacts, Phase},
};
use service::ports::{Depth, MailError, Mailbox, Visit};

use self::{
    maildrop::Maildrop,
    reply::{Reply, command, lines, reply},
};
use crate::{clean, refusal, said, stages::Stages, wire::Wire};

/// The most that a test keeps: characters of a greeting, capabilities, characters of one.
const GREETING_MAX: usize = 200;
const TOLD_MAX: usize = 100;
const NAME_MAX: usize = 120;

/// Reads the greeting and upgrades: the wire that comes back carries nothing but the beginning of TLS.
pub(crate) async fn start_tls(wire: Wire, stages: &Stages) -> Result<Wire, MailError> {
    let mut wire = greet(wire, stages, Phase::Plain).await?;
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
    let wire = begin(wire, is_greeted, visit, stages).await?;
    let (mut wire, before) = authenticate(wire, visit, stages).await?;
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
        let reply = counted(&mut wire).await?;
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

/// The same for a test, which counts and leaves: nothing is marked, so QUIT deletes nothing (RFC 1939 section 6).
pub(crate) async fn look(
    wire: Wire,
    is_greeted: bool,
    visit: &Visit,
    depth: Depth,
    stages: &Stages,
) -> Result<(), MailError> {
    let mut wire = begin(wire, is_greeted, visit, stages).await?;
    if is_greeted {
        let again = async {
            wire.stage = Stage::Greeting;
            tell_capabilities(&mut wire, Phase::Secured, stages).await?;
            Ok((wire, "asked again inside TLS".to_owned()))
        };
        wire = stages.run(Stage::Greeting, again).await?;
    }
    if depth == Depth::Mailbox {
        wire = authenticate(wire, visit, stages).await?.0;
        let count = async {
            wire.stage = Stage::Select;
            tell_capabilities(&mut wire, Phase::SignedIn, stages).await?;
            wire.send(b"STAT\r\n").await?;
            let reply = counted(&mut wire).await?;
            let text = String::from_utf8_lossy(&reply.text).into_owned();
            let mut numbers = text.split(' ').map(|it| it.parse().ok());
            let (n_messages, size) = (numbers.next().flatten().unwrap_or(0), numbers.next().flatten());
            stages.found(|| Fact::Mailbox(MailboxFacts { n_messages, size, ..MailboxFacts::default() }));
            Ok((wire, format!("{n_messages} messages")))
        };
        wire = stages.run(Stage::Select, count).await?;
    }
    maildrop::leave(&mut wire).await;
    Ok(())
}

/// Greets, unless that came before TLS.
async fn begin(wire: Wire, is_greeted: bool, visit: &Visit, stages: &Stages) -> Result<Wire, MailError> {
    if is_greeted {
        return Ok(wire);
    }
    let is_secure = visit.destination.security.is_secure();
    greet(wire, stages, if is_secure { Phase::Secured } else { Phase::Plain }).await
}

/// Answers with the capabilities before the sign-in, too.
async fn authenticate(mut wire: Wire, visit: &Visit, stages: &Stages) -> Result<(Wire, Vec<String>), MailError> {
    let authenticate = async {
        wire.stage = Stage::Authenticate;
        wire.tap.guard(&visit.username, visit.password.expose());
        let capabilities = capabilities(&mut wire).await?;
        let mechanism = sign_in::sign_in(&mut wire, &capabilities, visit).await?;
        stages.found(|| Fact::Mechanism(mechanism.to_owned()));
        Ok(((wire, capabilities), mechanism.to_owned()))
    };
    stages.run(Stage::Authenticate, authenticate).await
}

/// The answer to STAT.
async fn counted(wire: &mut Wire) -> Result<Reply, MailError> {
    let reply = reply(wire).await?;
    if reply.is_ok { Ok(reply) } else { Err(refusal::error(Stage::Select, ErrorKind::Mailbox, &reply.words)) }
}

/// The number, or nothing that a server could write into a stage.
fn opened_count(text: &str) -> &str {
    if text.bytes().all(|it| it.is_ascii_digit()) && text.len() < 20 { text } else { "?" }
}

async fn greet(mut wire: Wire, stages: &Stages, phase: Phase) -> Result<Wire, MailError> {
    let greeting = async {
        wire.stage = Stage::Greeting;
        let reply = reply(&mut wire).await?;
        if !reply.is_ok {
            return Err(refusal::error(Stage::Greeting, ErrorKind::Throttled, &reply.words));
        }
        stages.found(|| Fact::Greeting(clean(&reply.words, GREETING_MAX)));
        tell_capabilities(&mut wire, phase, stages).await?;
        Ok((wire, said(&reply.words)))
    };
    stages.run(Stage::Greeting, greeting).await
}

/// A test asks what the server can and tells all of it.
async fn tell_capabilities(wire: &mut Wire, phase: Phase, stages: &Stages) -> Result<(), MailError> {
    if stages.is_probing {
        let told = capabilities(wire).await?;
        let told = told.iter().take(TOLD_MAX);
        let told = told.map(|it| clean(&wire.tap.redacted(it.as_bytes()), NAME_MAX)).collect();
        stages.found(|| Fact::Capabilities(phase, told));
    }
    Ok(())
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
