//! IMAP (RFC 9051, RFC 3501): a thin client that asks for little and believes less.
//!
//! It is our own because the crate at hand reports a failed or cut FETCH as success and can be made to abort the process by a
//! deeply nested response. Nothing here recurses, buffers without a limit, or takes silence for an answer.

mod delete;
mod fetch;
mod idle;
mod large;
mod mailbox;
mod response;
mod session;
mod set;
mod sign_in;

use domain::{
    check::{ErrorKind, Stage},
    connection_test::{Fact, Phase},
};
use response::Response;
use service::ports::{Depth, MailError, Mailbox, Visit};
use session::{LITERAL_MAX, REPLY_MAX, Session};

use crate::{protocol, refusal, stages::Stages, wire::Wire};

/// The most characters of a greeting that a test keeps.
const GREETING_MAX: usize = 200;

/// Reads the greeting and upgrades: the wire that comes back carries nothing but the beginning of TLS.
pub(crate) async fn start_tls(wire: Wire, stages: &Stages) -> Result<Wire, MailError> {
    let mut session = greet(wire, stages, Phase::Plain).await?;
    let upgrade = async {
        session.wire.stage = Stage::Tls;
        let reply = session.command("STARTTLS").await?;
        if !reply.is(1, "OK") {
            let message = format!("the server refuses STARTTLS; nothing was sent in clear; {}", reply.words());
            return Err(MailError::new(ErrorKind::Tls, Stage::Tls, message));
        }
        Ok((session.wire, "STARTTLS".to_owned()))
    };
    stages.run(Stage::Tls, upgrade).await
}

/// Greets (unless that came before TLS), authenticates and selects.
pub(crate) async fn open(
    wire: Wire,
    is_greeted: bool,
    visit: &Visit,
    stages: &Stages,
) -> Result<Box<dyn Mailbox>, MailError> {
    let session = begin(wire, is_greeted, visit, stages).await?;
    let session = authenticate(session, visit, stages).await?;
    let select = async {
        let opened = mailbox::select(session).await?;
        let detail = opened.describe();
        Ok((opened, detail))
    };
    let opened = stages.run(Stage::Select, select).await?;
    Ok(Box::new(opened))
}

/// The same for a test, which changes nothing and leaves.
pub(crate) async fn look(
    wire: Wire,
    is_greeted: bool,
    visit: &Visit,
    depth: Depth,
    stages: &Stages,
) -> Result<(), MailError> {
    let mut session = begin(wire, is_greeted, visit, stages).await?;
    if is_greeted {
        let again = async {
            session.wire.stage = Stage::Greeting;
            session.tell_capabilities(Phase::Secured, stages).await?;
            Ok((session, "asked again inside TLS".to_owned()))
        };
        session = stages.run(Stage::Greeting, again).await?;
    }
    if depth == Depth::Mailbox {
        session = authenticate(session, visit, stages).await?;
        session = stages.run(Stage::Select, mailbox::examine(session, stages)).await?;
    }
    session.leave().await;
    Ok(())
}

/// Greets, unless that came before TLS.
async fn begin(wire: Wire, is_greeted: bool, visit: &Visit, stages: &Stages) -> Result<Session, MailError> {
    if is_greeted {
        // What was said before TLS does not count: the session begins anew (RFC 9051 section 6.2.1).
        return Ok(Session::new(wire));
    }
    let is_secure = visit.destination.security.is_secure();
    greet(wire, stages, if is_secure { Phase::Secured } else { Phase::Plain }).await
}

async fn authenticate(mut session: Session, visit: &Visit, stages: &Stages) -> Result<Session, MailError> {
    let authenticate = async {
        session.wire.stage = Stage::Authenticate;
        session.wire.tap.guard(&visit.username, visit.password.expose());
        if !session.knows_capabilities {
            session.ask("CAPABILITY").await?;
        }
        // They change by signing in (RFC 9051 section 7.2.2).
        session.knows_capabilities = false;
        let mechanism = session.sign_in(visit).await?;
        stages.found(|| Fact::Mechanism(mechanism.to_owned()));
        Ok((session, mechanism.to_owned()))
    };
    stages.run(Stage::Authenticate, authenticate).await
}

async fn greet(mut wire: Wire, stages: &Stages, phase: Phase) -> Result<Session, MailError> {
    let greeting = async {
        wire.stage = Stage::Greeting;
        wire.allow(REPLY_MAX);
        let response = Response::read(&mut wire, LITERAL_MAX).await?;
        if response.tag() == "*" && response.is(1, "BYE") {
            let error = refusal::error(Stage::Greeting, ErrorKind::Throttled, response.said());
            let message = format!("the server does not let us in; {}", error.message);
            return Err(MailError { message, ..error });
        }
        if response.tag() != "*" || !(response.is(1, "OK") || response.is(1, "PREAUTH")) {
            return Err(protocol(
                Stage::Greeting,
                format!("this is no greeting of an IMAP server; {}", response.words()),
            ));
        }
        if response.is(1, "PREAUTH") {
            // RFC 9051 section 7.1.4: before TLS this would skip the protection; after it, it is somebody else's mailbox.
            let when = if phase == Phase::Secured { "" } else { " before TLS" };
            return Err(protocol(Stage::Greeting, format!("the server claims to be signed in already{when}")));
        }
        let detail = response.words();
        stages.found(|| Fact::Greeting(crate::clean(response.said(), GREETING_MAX)));
        let mut session = Session::new(wire);
        session.learn(&response);
        session.tell_capabilities(phase, stages).await?;
        Ok((session, detail))
    };
    stages.run(Stage::Greeting, greeting).await
}
