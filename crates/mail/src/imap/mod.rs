//! IMAP (RFC 9051, RFC 3501): a thin client that asks for little and believes less.
//!
//! It is our own because the crate at hand reports a failed or cut FETCH as success and can be made to abort the process by a
//! deeply nested response. Nothing here recurses, buffers without a limit, or takes silence for an answer.

mod mailbox;
mod response;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    account::Security,
    check::{ErrorKind, Stage},
};
use response::Response;
use service::ports::{MailError, Mailbox, Visit};

use crate::{protocol, stages::Stages, wire::Wire};

/// The most that a reply takes, bytes: the list of a million messages is shorter.
const REPLY_MAX: u64 = 64 * 1024 * 1024;

/// A session before a mailbox is selected.
struct Session {
    wire: Wire,
    n_commands: u32,
    capabilities: Vec<String>,
}

/// Reads the greeting and upgrades: the wire that comes back carries nothing but the beginning of TLS.
pub(crate) async fn start_tls(wire: Wire, stages: &Stages) -> Result<Wire, MailError> {
    let mut session = greet(wire, stages, false).await?;
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
    let is_secure = visit.destination.security != Security::Plain;
    let mut session = if is_greeted {
        Session { wire, n_commands: 0, capabilities: Vec::new() }
    } else {
        greet(wire, stages, is_secure).await?
    };
    let authenticate = async {
        session.wire.stage = Stage::Authenticate;
        // What was said before TLS does not count: ask again (RFC 9051 section 6.2.1).
        session.ask_capabilities().await?;
        let mechanism = session.authenticate(visit).await?;
        session.ask_capabilities().await?;
        Ok((session, mechanism.to_owned()))
    };
    let mut session = stages.run(Stage::Authenticate, authenticate).await?;
    let select = async {
        session.wire.stage = Stage::Select;
        let opened = mailbox::select(session).await?;
        let detail = opened.describe();
        Ok((opened, detail))
    };
    let opened = stages.run(Stage::Select, select).await?;
    Ok(Box::new(opened))
}

async fn greet(mut wire: Wire, stages: &Stages, is_secure: bool) -> Result<Session, MailError> {
    let greeting = async {
        wire.stage = Stage::Greeting;
        wire.allow(REPLY_MAX);
        let response = Response::read(&mut wire).await?;
        if response.tag() != "*" || !(response.is(1, "OK") || response.is(1, "PREAUTH")) {
            let message = format!("this is no greeting of an IMAP server; {}", response.words());
            let kind = if response.is(1, "BYE") { ErrorKind::Throttled } else { ErrorKind::Protocol };
            return Err(MailError::new(kind, Stage::Greeting, message));
        }
        if response.is(1, "PREAUTH") {
            // RFC 9051 section 7.1.4: before TLS this would skip the protection; after it, it is somebody else's mailbox.
            let when = if is_secure { "" } else { " before TLS" };
            return Err(protocol(Stage::Greeting, format!("the server claims to be signed in already{when}")));
        }
        let detail = response.words();
        Ok((Session { wire, n_commands: 0, capabilities: Vec::new() }, detail))
    };
    stages.run(Stage::Greeting, greeting).await
}

impl Session {
    fn tag(&mut self) -> String {
        self.n_commands += 1;
        format!("P{}", self.n_commands)
    }

    /// Sends a command and reads to its tagged reply; untagged responses are given up.
    async fn command(&mut self, command: &str) -> Result<Response, MailError> {
        self.command_with(command, |_| Ok(())).await
    }

    async fn command_with(
        &mut self,
        command: &str,
        untagged: impl FnMut(Response) -> Result<(), MailError> + Send,
    ) -> Result<Response, MailError> {
        let tag = self.tag();
        self.wire.allow(REPLY_MAX);
        self.wire.send(format!("{tag} {command}\r\n").as_bytes()).await?;
        self.reply(&tag, untagged).await
    }

    /// Reads to the reply with this tag.
    async fn reply(
        &mut self,
        tag: &str,
        untagged: impl FnMut(Response) -> Result<(), MailError> + Send,
    ) -> Result<Response, MailError> {
        let reply = self.next_reply(|it| it == tag, untagged).await?;
        if reply.tag() == "+" {
            return Err(protocol(self.wire.stage, "the server waits for more than there is to send"));
        }
        Ok(reply)
    }

    /// Waits for the server's wish that the command goes on; its reply, if that ends the command instead.
    async fn refusal(&mut self, tag: &str) -> Result<Option<Response>, MailError> {
        let reply = self.next_reply(|it| it == tag, |_| Ok(())).await?;
        Ok(Some(reply).filter(|it| it.tag() != "+"))
    }

    /// Reads to the next reply with one of our tags, or to `+`. Another tag is a server that lost count; `BYE` is its end.
    async fn next_reply(
        &mut self,
        is_ours: impl Fn(&str) -> bool + Send,
        mut untagged: impl FnMut(Response) -> Result<(), MailError> + Send,
    ) -> Result<Response, MailError> {
        loop {
            let response = Response::read(&mut self.wire).await?;
            match response.tag() {
                "*" if response.is(1, "BYE") => {
                    let message = format!("the server ends the connection; {}", response.words());
                    return Err(MailError::new(ErrorKind::Throttled, self.wire.stage, message));
                }
                "*" => untagged(response)?,
                "+" => return Ok(response),
                found if is_ours(found) => return Ok(response),
                _ => return Err(protocol(self.wire.stage, "the server answers a command that was not given")),
            }
        }
    }

    async fn ask_capabilities(&mut self) -> Result<(), MailError> {
        let mut capabilities = Vec::new();
        let reply = self
            .command_with("CAPABILITY", |response| {
                if response.is(1, "CAPABILITY") {
                    let names = (2..response.tokens.len()).filter_map(|it| response.atom_at(it));
                    capabilities.extend(names.map(str::to_ascii_uppercase));
                }
                Ok(())
            })
            .await?;
        self.expect_ok(&reply)?;
        self.capabilities = capabilities;
        Ok(())
    }

    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|it| it == capability)
    }

    fn expect_ok(&self, reply: &Response) -> Result<(), MailError> {
        if reply.is(1, "OK") {
            return Ok(());
        }
        let concerns_mailbox = matches!(self.wire.stage, Stage::Select | Stage::List | Stage::Fetch | Stage::Delete)
            && !reply.is(1, "BAD");
        let kind = if concerns_mailbox { ErrorKind::Mailbox } else { ErrorKind::Protocol };
        Err(MailError::new(code_kind(reply).unwrap_or(kind), self.wire.stage, reply.words()))
    }

    /// AUTHENTICATE PLAIN (RFC 4616) where it is offered, else LOGIN; answers with the mechanism.
    async fn authenticate(&mut self, visit: &Visit) -> Result<&'static str, MailError> {
        let (name, password) = (&visit.username, visit.password.expose());
        if self.has("AUTH=PLAIN") {
            let initial = STANDARD.encode(format!("\0{name}\0{password}"));
            let tag = self.tag();
            let reply = if self.has("SASL-IR") {
                self.wire.send(format!("{tag} AUTHENTICATE PLAIN {initial}\r\n").as_bytes()).await?;
                self.reply(&tag, |_| Ok(())).await?
            } else {
                self.wire.send(format!("{tag} AUTHENTICATE PLAIN\r\n").as_bytes()).await?;
                if let Some(refusal) = self.refusal(&tag).await? {
                    refusal
                } else {
                    self.wire.send(format!("{initial}\r\n").as_bytes()).await?;
                    self.reply(&tag, |_| Ok(())).await?
                }
            };
            return judge(&reply).map(|()| "AUTHENTICATE PLAIN");
        }
        if self.has("LOGINDISABLED") {
            let message = "the server takes no password on this connection (LOGINDISABLED): use a secure one";
            return Err(MailError::new(ErrorKind::Protocol, Stage::Authenticate, message));
        }
        let reply = self.login(name, password).await?;
        judge(&reply).map(|()| "LOGIN")
    }

    /// Each argument as a literal, which can carry any byte but NUL (RFC 9051 section 4.3).
    async fn login(&mut self, name: &str, password: &str) -> Result<Response, MailError> {
        let tag = self.tag();
        self.wire.send(format!("{tag} LOGIN {{{}}}\r\n", name.len()).as_bytes()).await?;
        if let Some(refusal) = self.refusal(&tag).await? {
            return Ok(refusal);
        }
        self.wire.send(format!("{name} {{{}}}\r\n", password.len()).as_bytes()).await?;
        if let Some(refusal) = self.refusal(&tag).await? {
            return Ok(refusal);
        }
        self.wire.send(format!("{password}\r\n").as_bytes()).await?;
        self.reply(&tag, |_| Ok(())).await
    }
}

/// What the reply to an authentication means (RFC 5530).
fn judge(reply: &Response) -> Result<(), MailError> {
    if reply.is(1, "OK") {
        return Ok(());
    }
    let code = reply.code().unwrap_or_default();
    if let Some(kind) = code_kind(reply) {
        return Err(MailError::new(kind, Stage::Authenticate, reply.words()));
    }
    if !reply.is(1, "NO") {
        return Err(protocol(Stage::Authenticate, format!("the server did not understand; {}", reply.words())));
    }
    let certain = ["AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED"];
    let mut error = MailError::new(ErrorKind::Authentication, Stage::Authenticate, reply.words());
    error.is_certain = certain.contains(&code.as_str());
    Err(error)
}

/// Codes that say "not now" (RFC 5530, RFC 9738).
fn code_kind(reply: &Response) -> Option<ErrorKind> {
    let code = reply.code()?;
    let temporary = ["UNAVAILABLE", "LIMIT", "INUSE", "SERVERBUG", "OVERQUOTA", "CONTACTADMIN", "MESSAGELIMIT"];
    temporary.contains(&code.split(' ').next()?).then_some(ErrorKind::Throttled)
}
