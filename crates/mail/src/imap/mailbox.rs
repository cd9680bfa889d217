//! A selected INBOX.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    check::{ErrorKind, Stage},
    connection_test::{Fact, MailboxFacts, Phase},
};
use service::ports::{Fetched, Listed, Listing, MailError, Mailbox, MailboxState, RemoteKey, Wanted};
use tokio::sync::mpsc;

use super::session::Session;
use crate::{outlet::Outlet, stages::Stages};

pub(super) struct Inbox {
    pub(super) session: Session,
    pub(super) uid_validity: u32,
    /// Whether nothing was asked since the server last told what is there.
    pub(super) is_fresh: bool,
}

/// Selects INBOX for reading and writing; nothing is written but deletions that were asked for.
pub(super) async fn select(mut session: Session) -> Result<Inbox, MailError> {
    session.wire.stage = Stage::Select;
    let commands: &[&str] =
        if session.knows_capabilities { &["SELECT INBOX"] } else { &["CAPABILITY", "SELECT INBOX"] };
    session.ask_all(commands, |_| ()).await?;
    let uid_validity = session.state.uid_validity.ok_or_else(|| {
        MailError::new(
            ErrorKind::Mailbox,
            Stage::Select,
            "the server gives no UIDVALIDITY: its messages have no lasting names",
        )
    })?;
    Ok(Inbox { session, uid_validity, is_fresh: true })
}

/// Looks at INBOX without the right to change it (RFC 9051 section 6.3.3), for a test.
pub(super) async fn examine(mut session: Session, stages: &Stages) -> Result<(Session, String), MailError> {
    session.wire.stage = Stage::Select;
    session.tell_capabilities(Phase::SignedIn, stages).await?;
    let mut n_unseen = None;
    // A courtesy of the server; nothing depends on it.
    let counted =
        session.ask_all(&["STATUS INBOX (UNSEEN)"], |it| n_unseen = it.number_item("UNSEEN").or(n_unseen)).await;
    if let Err(error) = counted {
        tracing::debug!(%error, "the server does not count what is unseen");
    }
    session.ask("EXAMINE INBOX").await?;
    let MailboxState { n_messages, uid_validity, .. } = session.state;
    stages.found(|| Fact::Mailbox(MailboxFacts { n_messages, n_unseen, size: None, uid_validity }));
    Ok((session, format!("INBOX, {n_messages} messages")))
}

impl Inbox {
    pub(super) fn describe(&self) -> String {
        format!("INBOX, {} messages", self.session.state.n_messages)
    }

    pub(super) fn key(&self, uid: u32) -> RemoteKey {
        RemoteKey::Uid { uid_validity: self.uid_validity, uid }
    }

    /// The UID that a key names in this life of the mailbox.
    pub(super) fn uid(&self, key: &RemoteKey) -> Option<u32> {
        match key {
            RemoteKey::Uid { uid_validity, uid } if *uid_validity == self.uid_validity => Some(*uid),
            _ => None,
        }
    }

    /// UIDs and sizes of the messages up to this UID.
    async fn list_up_to(&mut self, last: &str, messages: &mut Vec<Listed>) -> Result<Option<u32>, MailError> {
        let uid_validity = self.uid_validity;
        let mut lowest = None;
        let command = format!("UID FETCH 1:{last} (UID RFC822.SIZE)");
        let tag = self.session.tag();
        self.session.wire.allow(super::REPLY_MAX);
        self.session.wire.send(format!("{tag} {command}\r\n").as_bytes()).await?;
        let take = |response: super::Response| {
            let uid = response.number_item("UID").and_then(|it| u32::try_from(it).ok()).filter(|it| *it > 0);
            if let (true, Some(uid)) = (response.is(2, "FETCH"), uid) {
                let size = response.number_item("RFC822.SIZE").unwrap_or(0);
                messages.push(Listed { key: RemoteKey::Uid { uid_validity, uid }, size });
            }
        };
        let reply = self.session.next_reply(|it| it == tag, take).await?;
        // RFC 9738 section 3.1: the server lists so many at a time, from the highest UID down to the one that it names.
        if let Some(rest) = reply.code().as_deref().and_then(|it| it.strip_prefix("MESSAGELIMIT ")) {
            lowest = rest.split(' ').nth(1).and_then(|it| it.parse::<u32>().ok());
        }
        if lowest.is_none() {
            self.session.expect_ok(&reply)?;
        }
        Ok(lowest)
    }
}

#[async_trait]
impl Mailbox for Inbox {
    fn state(&self) -> MailboxState {
        self.session.state
    }

    async fn list(&mut self) -> Result<Listing, MailError> {
        self.session.wire.stage = Stage::List;
        if !self.is_fresh {
            self.session.ask("NOOP").await?;
        }
        self.is_fresh = false;
        if self.session.state.n_messages == 0 {
            return Ok(Listing::default());
        }
        let mut messages = Vec::new();
        let mut before = self.list_up_to("*", &mut messages).await?;
        while let Some(lowest) = before.filter(|it| *it > 1) {
            before = self.list_up_to(&(lowest - 1).to_string(), &mut messages).await?.filter(|it| *it < lowest);
        }
        messages.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        messages.dedup_by(|a, b| a.key == b.key);
        // What came since the mailbox was opened has raised it.
        let after_last = messages.last().and_then(|it| self.uid(&it.key)).and_then(|it| it.checked_add(1));
        if let Some(uid_next) = &mut self.session.state.uid_next {
            *uid_next = after_last.unwrap_or(0).max(*uid_next);
        }
        Ok(Listing { messages, n_unidentified: 0 })
    }

    async fn fetch(&mut self, work: Vec<Wanted>, sink: mpsc::Sender<Fetched>) -> Result<(), MailError> {
        self.session.wire.stage = Stage::Fetch;
        self.is_fresh = false;
        let mut outlet = Outlet::new(sink);
        let result = self.fetch_all(work, &mut outlet).await;
        self.session.literal_max = super::LITERAL_MAX;
        outlet.end(result).await
    }

    async fn delete(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError> {
        self.session.wire.stage = Stage::Delete;
        self.is_fresh = false;
        self.delete_all(keys).await
    }

    fn can_idle(&self) -> bool {
        self.session.has("IDLE")
    }

    async fn idle(&mut self, at_most: Duration) -> Result<bool, MailError> {
        self.session.wire.stage = Stage::List;
        self.is_fresh = false;
        let is_told = self.wait_for_change(at_most).await?;
        self.is_fresh = true;
        Ok(is_told)
    }

    async fn close(mut self: Box<Self>) {
        self.session.leave().await;
    }
}
