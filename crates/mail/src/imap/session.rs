//! Commands and their replies, and what the server tells of itself and of the mailbox meanwhile.

use std::time::Duration;

use domain::{
    check::{ErrorKind, Stage},
    connection_test::{Fact, Phase},
};
use service::ports::{MailError, MailboxState};
use tokio::time::timeout;

use super::response::Response;
use crate::{clean, protocol, refusal, stages::Stages, wire::Wire};

/// The most that a reply takes, bytes: the list of a million messages is shorter.
pub(super) const REPLY_MAX: u64 = 64 * 1024 * 1024;
/// The longest literal that is taken where no message is asked for.
pub(super) const LITERAL_MAX: u64 = 256 * 1024;
/// The capabilities that make a difference.
const USED: [&str; 7] =
    ["AUTH=PLAIN", "AUTH=OAUTHBEARER", "AUTH=XOAUTH2", "SASL-IR", "LOGINDISABLED", "UIDPLUS", "IDLE"];

/// The most capabilities that a test is told, and the most characters of one.
const TOLD_MAX: usize = 100;
const NAME_MAX: usize = 60;
/// How long the answer to a good-bye is waited for.
const GOODBYE: Duration = Duration::from_millis(500);

pub(super) struct Session {
    pub(super) wire: Wire,
    n_commands: u32,
    capabilities: Vec<&'static str>,
    /// All of them as the server spells them, for a test of the connection.
    told: Option<Vec<String>>,
    /// Whether the server has told its capabilities, asked or by itself.
    pub(super) knows_capabilities: bool,
    /// Tags of commands whose replies nobody waits for any more.
    abandoned: Vec<String>,
    /// How much of a literal is taken.
    pub(super) literal_max: u64,
    /// What the server last said of the selected mailbox.
    pub(super) state: MailboxState,
    /// How often it told of a change.
    pub(super) n_changes: u64,
    /// Whether it is waited for without a question.
    pub(super) is_idle: bool,
}

impl Session {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            n_commands: 0,
            capabilities: Vec::new(),
            told: None,
            knows_capabilities: false,
            abandoned: Vec::new(),
            literal_max: LITERAL_MAX,
            state: MailboxState::default(),
            n_changes: 0,
            is_idle: false,
        }
    }

    pub(super) fn tag(&mut self) -> String {
        self.n_commands += 1;
        format!("P{}", self.n_commands)
    }

    /// Of the command that was sent last.
    pub(super) fn last_tag(&self) -> String {
        format!("P{}", self.n_commands)
    }

    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.contains(&capability)
    }

    /// A test asks what the server can, and tells all of it.
    pub(super) async fn tell_capabilities(&mut self, phase: Phase, stages: &Stages) -> Result<(), MailError> {
        if !stages.is_probing {
            return Ok(());
        }
        self.told = Some(Vec::new());
        self.ask("CAPABILITY").await?;
        let told = self.told.take().unwrap_or_default();
        stages.found(|| Fact::Capabilities(phase, told));
        Ok(())
    }

    /// Sends a command and reads to its tagged reply, whatever it is.
    pub(super) async fn command(&mut self, command: &str) -> Result<Response, MailError> {
        let tag = self.tag();
        self.wire.allow(REPLY_MAX);
        self.wire.send(format!("{tag} {command}\r\n").as_bytes()).await?;
        self.reply(&tag).await
    }

    /// The same for a command that must succeed.
    pub(super) async fn ask(&mut self, command: &str) -> Result<(), MailError> {
        self.ask_all(&[command], |_| ()).await
    }

    /// Sends commands in one write; all must succeed. After one that did not, the others' replies are passed over as they come.
    pub(super) async fn ask_all(
        &mut self,
        commands: &[&str],
        mut untagged: impl FnMut(Response) + Send,
    ) -> Result<(), MailError> {
        let mut tags = Vec::with_capacity(commands.len());
        let mut text = String::new();
        for command in commands {
            let tag = self.tag();
            text.extend([&*tag, " ", command, "\r\n"]);
            tags.push(tag);
        }
        self.wire.allow(REPLY_MAX);
        self.wire.send(text.as_bytes()).await?;
        while !tags.is_empty() {
            let reply = self.next_reply(|it| tags.iter().any(|tag| tag == it), &mut untagged).await?;
            tags.retain(|it| it != reply.tag());
            if let Err(error) = self.expect_ok(&reply) {
                self.abandon(tags);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Replies to these commands are passed over when they come.
    pub(super) fn abandon(&mut self, tags: impl IntoIterator<Item = String>) {
        self.abandoned.extend(tags);
    }

    /// Reads to the reply with this tag; untagged responses are given up.
    pub(super) async fn reply(&mut self, tag: &str) -> Result<Response, MailError> {
        let reply = self.next_reply(|it| it == tag, |_| ()).await?;
        if reply.tag() == "+" {
            return Err(self.waits_for_more());
        }
        Ok(reply)
    }

    /// Reads to the next reply with one of our tags, or to `+`. Another tag is a server that lost count; `BYE` is its end.
    pub(super) async fn next_reply(
        &mut self,
        is_ours: impl Fn(&str) -> bool + Send,
        mut untagged: impl FnMut(Response) + Send,
    ) -> Result<Response, MailError> {
        loop {
            let response = self.next_response().await?;
            match response.tag() {
                "*" => untagged(response),
                "+" => return Ok(response),
                found if is_ours(found) => return Ok(response),
                found => {
                    let at = self.abandoned.iter().position(|it| it == found);
                    let lost = || protocol(self.wire.stage, "the server answers a command that was not given");
                    let at = at.ok_or_else(lost)?;
                    self.abandoned.swap_remove(at);
                }
            }
        }
    }

    /// Reads whatever comes next, and notes what it tells.
    pub(super) async fn next_response(&mut self) -> Result<Response, MailError> {
        let response = Response::read(&mut self.wire, self.literal_max).await?;
        if response.tag() == "*" && response.is(1, "BYE") {
            // Whoever is idle for too long for a server's taste has not asked for too much.
            let otherwise = if self.is_idle { ErrorKind::Protocol } else { ErrorKind::Throttled };
            let error = refusal::error(self.wire.stage, otherwise, response.said());
            let message = format!("the server ends the connection; {}", error.message);
            return Err(MailError { message, ..error });
        }
        self.learn(&response);
        Ok(response)
    }

    /// What a response tells of the server and the mailbox, whatever it answers.
    pub(super) fn learn(&mut self, response: &Response) {
        if response.tag() == "*" {
            if response.is(1, "CAPABILITY") {
                self.set_capabilities(response.words_from(2));
            } else if response.is(2, "EXISTS") {
                let n_messages = response.atom_at(1).and_then(|it| it.parse::<u32>().ok()).map(u64::from);
                if n_messages.is_some_and(|it| it != self.state.n_messages) {
                    self.state.n_messages = n_messages.unwrap_or_default();
                    self.n_changes += 1;
                }
            } else if response.is(2, "EXPUNGE") {
                self.state.n_messages = self.state.n_messages.saturating_sub(1);
                self.n_changes += 1;
            }
        }
        // Only a status response has a code.
        let Some(code) = ["OK", "PREAUTH"].iter().any(|it| response.is(1, it)).then(|| response.code()).flatten()
        else {
            return;
        };
        if let Some(names) = code.strip_prefix("CAPABILITY ") {
            self.set_capabilities(names.split(' '));
        } else if let Some(number) = code.strip_prefix("UIDNEXT ") {
            self.state.uid_next = number.parse().ok().or(self.state.uid_next);
        } else if let Some(number) = code.strip_prefix("UIDVALIDITY ").filter(|_| self.wire.stage == Stage::Select) {
            self.state.uid_validity = number.parse().ok().or(self.state.uid_validity);
        }
    }

    fn set_capabilities<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let is_used = |it: &str| USED.into_iter().find(|used| used.eq_ignore_ascii_case(it));
        self.capabilities.clear();
        let mut shown = Vec::new();
        for name in names {
            self.capabilities.extend(is_used(name));
            if self.told.is_some() && shown.len() < TOLD_MAX {
                shown.push(clean(&self.wire.tap.redacted(name.as_bytes()), NAME_MAX));
            }
        }
        self.told = self.told.take().map(|_| shown);
        self.knows_capabilities = true;
    }

    /// Says good-bye.
    pub(super) async fn leave(&mut self) {
        let tag = self.tag();
        if self.wire.send(format!("{tag} LOGOUT\r\n").as_bytes()).await.is_ok() {
            // The answer is a courtesy; not to wait for it would leave some servers with a broken connection in their log.
            _ = timeout(GOODBYE, self.reply(&tag)).await;
        }
    }

    pub(super) fn expect_ok(&self, reply: &Response) -> Result<(), MailError> {
        if reply.tag() == "+" {
            return Err(self.waits_for_more());
        }
        if reply.is(1, "OK") {
            return Ok(());
        }
        let concerns_mailbox =
            matches!(self.wire.stage, Stage::Select | Stage::List | Stage::Fetch | Stage::Delete) && reply.is(1, "NO");
        let kind = if concerns_mailbox { ErrorKind::Mailbox } else { ErrorKind::Protocol };
        Err(refusal::error(self.wire.stage, kind, reply.said()))
    }

    pub(super) fn waits_for_more(&self) -> MailError {
        protocol(self.wire.stage, "the server waits for more than there is to send")
    }
}
