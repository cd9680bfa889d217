//! Signing in: with a password by AUTHENTICATE PLAIN or LOGIN, with an access token by OAUTHBEARER or XOAUTH2.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::check::{ErrorKind, Stage};
use service::ports::{MailError, Visit};

use super::{
    response::Response,
    session::{REPLY_MAX, Session},
};
use crate::{
    protocol, refusal,
    sasl::{self, Mechanism},
    wire::secret_of,
};

impl Session {
    /// AUTHENTICATE PLAIN (RFC 4616) where it is offered, else LOGIN; answers with the mechanism.
    pub(super) async fn sign_in(&mut self, visit: &Visit) -> Result<&'static str, MailError> {
        let (name, password) = (&visit.username, visit.password.expose());
        self.wire.allow(REPLY_MAX);
        if visit.password.is_token() {
            return self.show_token(visit).await;
        }
        if self.has("AUTH=PLAIN") {
            let initial = STANDARD.encode(format!("\0{name}\0{password}"));
            let reply = match self.authenticate("PLAIN", &initial).await? {
                it if it.tag() == "+" => return Err(self.waits_for_more()),
                it => it,
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

    /// Shows the token; a refusal comes in two steps, the reason and then the end.
    async fn show_token(&mut self, visit: &Visit) -> Result<&'static str, MailError> {
        sasl::must_be_secure(&visit.destination)?;
        let mechanism = Mechanism::choose(|it| self.has(&format!("AUTH={it}")))?;
        let initial = mechanism.initial(&visit.username, &visit.password, &visit.destination);
        self.wire.tap.guard_form(&initial);
        let mut reply = self.authenticate(mechanism.name(), &initial).await?;
        let mut status = None;
        if reply.tag() == "+" {
            status = reply.atom_at(1).and_then(|it| sasl::status(it.as_bytes()));
            self.wire.send(format!("{}\r\n", mechanism.abort()).as_bytes()).await?;
            reply = self.reply(&self.last_tag()).await?;
        }
        judge(&reply).map(|()| mechanism.name()).map_err(|it| sasl::with_status(it, status))
    }

    /// With the initial response where the server takes it on the command's line (RFC 4959). Answers with the tagged reply, or
    /// with a challenge that came after the response.
    async fn authenticate(&mut self, mechanism: &str, initial: &str) -> Result<Response, MailError> {
        let tag = self.tag();
        let secret = secret_of(initial.len());
        let is_ours = |it: &str| it == tag;
        if self.has("SASL-IR") {
            let command = format!("{tag} AUTHENTICATE {mechanism} {initial}\r\n");
            self.wire.send_secret(command.as_bytes(), &format!("{tag} AUTHENTICATE {mechanism} {secret}")).await?;
            return self.next_reply(is_ours, |_| ()).await;
        }
        self.wire.send(format!("{tag} AUTHENTICATE {mechanism}\r\n").as_bytes()).await?;
        if let Some(refusal) = self.refusal(&tag).await? {
            return Ok(refusal);
        }
        self.wire.send_secret(format!("{initial}\r\n").as_bytes(), &secret).await?;
        self.next_reply(is_ours, |_| ()).await
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
