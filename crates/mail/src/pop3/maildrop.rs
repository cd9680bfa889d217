//! An open maildrop.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use async_trait::async_trait;
use domain::check::{ErrorKind, Stage};
use service::ports::{Fetched, Listing, MailError, Mailbox, MailboxState, RemoteKey, Wanted};
use tokio::{sync::mpsc, time::timeout};

use super::reply::{command, reply};
use crate::{outlet::Outlet, refusal, wire::Wire};

/// How long the answer to a good-bye is waited for.
const GOODBYE: Duration = Duration::from_millis(500);

pub(super) struct Maildrop {
    pub(super) wire: Wire,
    pub(super) has_pipelining: bool,
    pub(super) n_messages: u64,
    /// This session's numbers of the messages.
    pub(super) numbers: HashMap<RemoteKey, u32>,
    /// QUIT was sent.
    pub(super) is_over: bool,
}

#[async_trait]
impl Mailbox for Maildrop {
    fn state(&self) -> MailboxState {
        MailboxState { n_messages: self.n_messages, uid_validity: None, uid_next: None }
    }

    async fn list(&mut self) -> Result<Listing, MailError> {
        self.wire.stage = Stage::List;
        self.list_all().await
    }

    async fn fetch(&mut self, work: Vec<Wanted>, sink: mpsc::Sender<Fetched>) -> Result<(), MailError> {
        self.wire.stage = Stage::Fetch;
        let mut outlet = Outlet::new(sink);
        let result = self.fetch_all(work, &mut outlet).await;
        outlet.end(result).await
    }

    async fn delete(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError> {
        self.wire.stage = Stage::Delete;
        let given = keys.iter().filter(|it| it.is_given());
        let doomed: Vec<(&RemoteKey, u32)> = given.filter_map(|it| Some((it, *self.numbers.get(it)?))).collect();
        let mut window = Window::new(self.has_pipelining);
        let mut marked = Vec::new();
        let (mut to_ask, mut asked) = (doomed.into_iter().collect::<VecDeque<_>>(), VecDeque::new());
        loop {
            let mut commands = Vec::new();
            while let Some((key, number)) = to_ask.front().copied().filter(|_| window.opens(0)) {
                to_ask.pop_front();
                commands.push(format!("DELE {number}\r\n"));
                asked.push_back(key);
            }
            if !commands.is_empty() {
                self.wire.send(commands.concat().as_bytes()).await?;
            }
            let Some(key) = asked.pop_front() else { break };
            if reply(&mut self.wire).await?.is_ok {
                marked.push(key.clone());
            }
            window.closes(0);
        }
        // Only QUIT makes it final (RFC 1939 section 6); without its answer the next listing tells.
        self.is_over = true;
        let end = command(&mut self.wire, "QUIT").await?;
        if end.is_ok { Ok(marked) } else { Err(refusal::error(Stage::Delete, ErrorKind::Mailbox, &end.words)) }
    }

    fn can_idle(&self) -> bool {
        false
    }

    async fn idle(&mut self, _: Duration) -> Result<bool, MailError> {
        Err(MailError::new(ErrorKind::Protocol, Stage::List, "POP3 does not tell of changes"))
    }

    async fn close(mut self: Box<Self>) {
        if !self.is_over {
            leave(&mut self.wire).await;
        }
    }
}

/// Says good-bye.
pub(super) async fn leave(wire: &mut Wire) {
    _ = timeout(GOODBYE, command(wire, "QUIT")).await;
}

/// How much may be asked for before it is answered. It opens again when half of it has come, so that commands travel together.
pub(super) struct Window {
    has_pipelining: bool,
    n: usize,
    bytes: u64,
    is_open: bool,
}

/// Commands, and bytes by the list, that are in flight at most where the server offers PIPELINING (RFC 2449 section 6.6).
const COMMANDS: usize = 100;
const BYTES: u64 = 4 * 1024 * 1024;

impl Window {
    pub(super) fn new(has_pipelining: bool) -> Self {
        Self { has_pipelining, n: 0, bytes: 0, is_open: true }
    }

    /// Whether one more may be asked for, which then counts.
    pub(super) fn opens(&mut self, bytes: u64) -> bool {
        let is_free = self.n == 0
            || (self.has_pipelining && self.is_open && self.n < COMMANDS && self.bytes.saturating_add(bytes) <= BYTES);
        if is_free {
            self.n += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        } else {
            self.is_open = false;
        }
        is_free
    }

    /// One was answered.
    pub(super) fn closes(&mut self, bytes: u64) {
        self.n = self.n.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_open |= self.n <= COMMANDS / 2 && self.bytes <= BYTES / 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_pipelining_there_is_one_at_a_time() {
        let mut window = Window::new(false);
        assert!(window.opens(10) && !window.opens(10));
        window.closes(10);
        assert!(window.opens(u64::MAX));
    }

    #[test]
    fn the_window_is_bounded_by_bytes_and_by_number_and_opens_at_half() {
        let mut window = Window::new(true);
        assert_eq!((0..500).filter(|_| window.opens(1)).count(), COMMANDS);
        window.closes(1);
        assert!(!window.opens(1));
        (1..COMMANDS / 2).for_each(|_| window.closes(1));
        assert_eq!((0..500).filter(|_| window.opens(BYTES / 10)).count(), 9);
    }
}
