//! Signing in with a password: AUTHENTICATE PLAIN or LOGIN.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::check::{ErrorKind, Stage};
use service::ports::{MailError, Visit};

use super::{
    response::Response,
    session::{REPLY_MAX, Session},
};
use crate::{protocol, refusal, wire::secret_of};

impl Session {
    /// AUTHENTICATE PLAIN (RFC 4616) where it is offered, else LOGIN; answers with the mechanism.
    pub(super) async fn sign_in(&mut self, visit: &Visit) -> Result<&'static str, MailError> {
        let (name, password) = (&visit.username, visit.password.expose());
        self.wire.allow(REPLY_MAX);
        if self.has("AUTH=PLAIN") {
            let initial = STANDARD.encode(format!("\0{name}\0{password}"));
            let reply = self.plain(&initial).await?;
            return judge(&reply).map(|()| "AUTHENTICATE PLAIN");
        }
        if self.has("LOGINDISABLED") {
            let message = "the server takes no password on this connection (LOGINDISABLED): use a secure one";
            return Err(MailError::new(ErrorKind::Protocol, Stage::Authenticate, message));
        }
        let reply = self.login(name, password).await?;
        judge(&reply).map(|()| "LOGIN")
    }

    async fn plain(&mut self, initial: &str) -> Result<Response, MailError> {
        let tag = self.tag();
        let secret = secret_of(initial.len());
        if self.has("SASL-IR") {
            let command = format!("{tag} AUTHENTICATE PLAIN {initial}\r\n");
            self.wire.send_secret(command.as_bytes(), &format!("{tag} AUTHENTICATE PLAIN {secret}")).await?;
            return self.reply(&tag).await;
        }
        self.wire.send(format!("{tag} AUTHENTICATE PLAIN\r\n").as_bytes()).await?;
        if let Some(refusal) = self.refusal(&tag).await? {
            return Ok(refusal);
        }
        self.wire.send_secret(format!("{initial}\r\n").as_bytes(), &secret).await?;
        self.reply(&tag).await
    }

    /// Each argument as a literal, which can carry any byte but NUL (RFC 9051 section 4.3).
    async fn login(&mut self, name: &str, password: &str) -> Result<Response, MailError> {
        let tag = self.tag();
        self.wire.send(format!("{tag} LOGIN {{{}}}\r\n", name.len()).as_bytes()).await?;
        if let Some(refusal) = self.refusal(&tag).await? {
            return Ok(refusal);
        }
        let secret = secret_of(name.len());
        let argument = format!("{name} {{{}}}\r\n", password.len());
        self.wire.send_secret(argument.as_bytes(), &format!("{secret} {{{}}}", password.len())).await?;
        if let Some(refusal) = self.refusal(&tag).await? {
            return Ok(refusal);
        }
        self.wire.send_secret(format!("{password}\r\n").as_bytes(), &secret_of(password.len())).await?;
        self.reply(&tag).await
    }

    /// Waits for the server's wish that the command goes on; its reply, if that ends the command instead.
    async fn refusal(&mut self, tag: &str) -> Result<Option<Response>, MailError> {
        let reply = self.next_reply(|it| it == tag, |_| ()).await?;
        Ok(Some(reply).filter(|it| it.tag() != "+"))
    }
}

/// What the reply to an authentication means (RFC 5530).
fn judge(reply: &Response) -> Result<(), MailError> {
    if reply.is(1, "OK") {
        return Ok(());
    }
    let mut error = refusal::error(Stage::Authenticate, ErrorKind::Authentication, reply.said());
    if error.kind == ErrorKind::Authentication && !reply.is(1, "NO") {
        return Err(protocol(Stage::Authenticate, format!("the server did not understand; {}", reply.words())));
    }
    let certain = ["AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED"];
    error.is_certain = reply.code().is_some_and(|it| certain.contains(&it.as_str()));
    Err(error)
}
