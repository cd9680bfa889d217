//! A selected INBOX: list, fetch in pipelined batches, delete.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use domain::check::{ErrorKind, Stage};
use service::ports::{FetchedBatch, Listed, Listing, MailError, Mailbox, RemoteKey};
use tokio::sync::mpsc;

use super::{
    Session,
    response::{Response, Token},
};
use crate::{protocol, wire::Wire};

/// A batch ends at so many bytes, by the sizes that the server listed.
const BATCH_BYTES: u64 = 1024 * 1024;
/// Or at so many messages.
const BATCH_MESSAGES: usize = 100;
/// Batches that are asked for before the first is complete.
const IN_FLIGHT: usize = 2;
/// UIDs a command for deletion names at most.
const DELETE_AT_ONCE: usize = 500;

pub(super) struct Inbox {
    session: Session,
    uid_validity: u32,
    n_messages: u64,
}

/// Selects INBOX for reading and writing; nothing is written but deletions that were asked for.
pub(super) async fn select(mut session: Session) -> Result<Inbox, MailError> {
    let (mut uid_validity, mut n_messages) = (None, 0);
    let reply = session
        .command_with("SELECT INBOX", |response| {
            if response.is(2, "EXISTS") {
                n_messages = response.atom_at(1).and_then(|it| it.parse().ok()).unwrap_or(0);
            } else if let Some(code) = response.code() {
                let value = code.strip_prefix("UIDVALIDITY ").and_then(|it| it.parse().ok());
                uid_validity = value.or(uid_validity);
            }
            Ok(())
        })
        .await?;
    session.expect_ok(&reply)?;
    let uid_validity = uid_validity.ok_or_else(|| {
        MailError::new(
            ErrorKind::Mailbox,
            Stage::Select,
            "the server gives no UIDVALIDITY: its messages have no lasting names",
        )
    })?;
    Ok(Inbox { session, uid_validity, n_messages })
}

impl Inbox {
    pub(super) fn describe(&self) -> String {
        format!("INBOX, {} messages", self.n_messages)
    }

    fn key(&self, uid: u32) -> RemoteKey {
        RemoteKey::Uid { uid_validity: self.uid_validity, uid }
    }

    /// Sends the command for a batch without waiting.
    async fn ask(&mut self, batch: &[u32]) -> Result<String, MailError> {
        let tag = self.session.tag();
        let command = format!("{tag} UID FETCH {} (UID BODY.PEEK[])\r\n", sequence_set(batch));
        self.session.wire.send(command.as_bytes()).await?;
        Ok(tag)
    }

    /// Reads to the reply to any command in flight, and takes that out. A server may work on several commands at once (RFC 9051
    /// section 5.5), so what it sends meanwhile may belong to any of them, and replies may come in any order.
    async fn answer(
        &mut self,
        in_flight: &mut Vec<Flight>,
        arrived: &mut HashMap<u32, Body>,
    ) -> Result<(Flight, Response), MailError> {
        let is_ours = |tag: &str| in_flight.iter().any(|it| it.tag == tag);
        let is_wanted = |uid: &u32| in_flight.iter().any(|it| it.wanted.contains(uid));
        let take = |response: Response| {
            if response.is(2, "FETCH") {
                take_body(response, is_wanted, arrived);
            }
            Ok(())
        };
        let reply = self.session.next_reply(is_ours, take).await?;
        let at = in_flight.iter().position(|it| it.tag == reply.tag());
        let at = at.ok_or_else(|| protocol(Stage::Fetch, "the server waits for more than there is to send"))?;
        Ok((in_flight.remove(at), reply))
    }

    fn batch(&self, arrived: impl IntoIterator<Item = (u32, Body)>) -> FetchedBatch {
        let mut arrived: Vec<_> = arrived.into_iter().collect();
        arrived.sort_unstable_by_key(|(uid, _)| *uid);
        let mut batch = FetchedBatch::default();
        for (uid, body) in arrived {
            match body {
                Body::Whole(raw) => batch.messages.push((self.key(uid), raw)),
                Body::TooLong(length) => {
                    let reason = format!("it has {length} bytes, more than is taken and than the server listed");
                    batch.failed.push((self.key(uid), reason));
                }
            }
        }
        batch
    }
}

/// What came of a message.
enum Body {
    Whole(Vec<u8>),
    /// So many bytes, which were passed over.
    TooLong(u64),
}

/// A command for a batch that was sent.
struct Flight {
    tag: String,
    wanted: Vec<u32>,
}

fn take_body(response: Response, is_wanted: impl Fn(&u32) -> bool, arrived: &mut HashMap<u32, Body>) {
    let Some(uid) = response.number_item("UID").and_then(|it| u32::try_from(it).ok()) else { return };
    if !is_wanted(&uid) {
        return;
    }
    let is_body = |name: &str| name.eq_ignore_ascii_case("BODY[]") || name.eq_ignore_ascii_case("RFC822");
    match response.into_item(is_body) {
        Some(Token::Text(raw)) => _ = arrived.insert(uid, Body::Whole(raw)),
        Some(Token::TooLong(length)) => _ = arrived.insert(uid, Body::TooLong(length)),
        _ => {}
    }
}

#[async_trait]
impl Mailbox for Inbox {
    async fn list(&mut self) -> Result<Listing, MailError> {
        self.session.wire.stage = Stage::List;
        let mut messages = Vec::new();
        if self.n_messages == 0 {
            return Ok(Listing::default());
        }
        let uid_validity = self.uid_validity;
        let reply = self
            .session
            .command_with("UID FETCH 1:* (UID RFC822.SIZE)", |response| {
                let uid = response.number_item("UID").and_then(|it| u32::try_from(it).ok()).filter(|it| *it > 0);
                if let (true, Some(uid)) = (response.is(2, "FETCH"), uid) {
                    let size = response.number_item("RFC822.SIZE").unwrap_or(0);
                    messages.push(Listed { key: RemoteKey::Uid { uid_validity, uid }, size });
                }
                Ok(())
            })
            .await?;
        self.session.expect_ok(&reply)?;
        messages.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        messages.dedup_by(|a, b| a.key == b.key);
        Ok(Listing { messages, n_unidentified: 0 })
    }

    async fn fetch(&mut self, work: Vec<Listed>, sink: mpsc::Sender<FetchedBatch>) -> Result<(), MailError> {
        self.session.wire.stage = Stage::Fetch;
        let mut batches = into_batches(&work);
        let sizes: HashMap<u32, u64> = work.iter().filter_map(|it| Some((uid_of(&it.key)?, it.size))).collect();
        let mut in_flight: Vec<Flight> = Vec::new();
        let mut arrived = HashMap::new();
        loop {
            while in_flight.len() < IN_FLIGHT
                && let Some(wanted) = batches.pop_front()
            {
                let tag = self.ask(&wanted).await?;
                in_flight.push(Flight { tag, wanted });
            }
            if in_flight.is_empty() {
                return Ok(());
            }
            // Twice what was listed and one message more: sizes may be wrong, but nobody fills the memory with small ones.
            let listed: u64 = in_flight.iter().flat_map(|it| &it.wanted).filter_map(|it| sizes.get(it)).sum();
            let wire = &mut self.session.wire;
            wire.allow(listed.saturating_mul(2).saturating_add(wire.size_limit).saturating_add(BATCH_BYTES));
            let (Flight { wanted, .. }, reply) = match self.answer(&mut in_flight, &mut arrived).await {
                Ok(answer) => answer,
                Err(error) => {
                    // Complete messages count even though the rest is lost; nobody listening any more changes nothing.
                    _ = sink.send(self.batch(arrived)).await;
                    return Err(error);
                }
            };
            let missing: Vec<u32> = wanted.iter().copied().filter(|it| !arrived.contains_key(it)).collect();
            let came = wanted.iter().filter_map(|it| arrived.remove_entry(it)).collect::<Vec<_>>();
            let mut batch = self.batch(came);
            if wanted.len() > 1 {
                // One bad message spoils its batch only: its members are asked for again, each alone.
                batches.extend(missing.into_iter().map(|it| vec![it]));
            } else if let Some(uid) = missing.first() {
                let gone = "the server did not send it; it may have been removed meanwhile".to_owned();
                let reason = if reply.is(1, "OK") { gone } else { reply.words() };
                batch.failed.push((self.key(*uid), reason));
            }
            if sink.send(batch).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn delete(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError> {
        self.session.wire.stage = Stage::Delete;
        let uids: Vec<u32> = keys
            .iter()
            .filter_map(|it| match it {
                RemoteKey::Uid { uid_validity, uid } if *uid_validity == self.uid_validity => Some(*uid),
                _ => None,
            })
            .collect();
        let has_uidplus = self.session.has("UIDPLUS");
        if !has_uidplus {
            self.refuse_foreign_deletions(&uids).await?;
        }
        let mut gone = Vec::new();
        for chunk in uids.chunks(DELETE_AT_ONCE) {
            let set = sequence_set(chunk);
            let reply = self.session.command(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)")).await?;
            self.session.expect_ok(&reply)?;
            let expunge = if has_uidplus { format!("UID EXPUNGE {set}") } else { "EXPUNGE".to_owned() };
            let reply = self.session.command(&expunge).await?;
            self.session.expect_ok(&reply)?;
            gone.extend(chunk.iter().map(|it| self.key(*it)));
        }
        Ok(gone)
    }

    async fn close(mut self: Box<Self>) {
        let tag = self.session.tag();
        let wire: &mut Wire = &mut self.session.wire;
        if wire.send(format!("{tag} LOGOUT\r\n").as_bytes()).await.is_ok() {
            // The answer is a courtesy; not to wait for it would leave some servers with a broken connection in their log.
            _ = self.session.reply(&tag, |_| Ok(())).await;
        }
    }
}

impl Inbox {
    /// Without UIDPLUS (RFC 4315) an EXPUNGE removes whatever carries `\Deleted`: not while others' messages do.
    async fn refuse_foreign_deletions(&mut self, ours: &[u32]) -> Result<(), MailError> {
        let mut foreign = 0;
        let reply = self
            .session
            .command_with("UID SEARCH DELETED", |response| {
                if response.is(1, "SEARCH") {
                    let uids = (2..response.tokens.len()).filter_map(|it| response.atom_at(it)?.parse().ok());
                    foreign += uids.filter(|it: &u32| !ours.contains(it)).count();
                }
                Ok(())
            })
            .await?;
        self.session.expect_ok(&reply)?;
        if foreign == 0 {
            return Ok(());
        }
        let message = format!(
            "the server lacks UIDPLUS, and {foreign} messages that somebody else marked as deleted would go too; nothing was deleted"
        );
        Err(protocol(Stage::Delete, message)).map_err(|it| MailError { kind: ErrorKind::Mailbox, ..it })
    }
}

fn uid_of(key: &RemoteKey) -> Option<u32> {
    if let RemoteKey::Uid { uid, .. } = key { Some(*uid) } else { None }
}

/// Cuts the work into batches by bytes and number, in its order.
fn into_batches(work: &[Listed]) -> VecDeque<Vec<u32>> {
    let mut batches = VecDeque::new();
    let mut batch = Vec::new();
    let mut bytes = 0;
    for listed in work {
        let RemoteKey::Uid { uid, .. } = listed.key else { continue };
        if !batch.is_empty() && (bytes + listed.size > BATCH_BYTES || batch.len() == BATCH_MESSAGES) {
            batches.push_back(std::mem::take(&mut batch));
            bytes = 0;
        }
        batch.push(uid);
        bytes += listed.size;
    }
    if !batch.is_empty() {
        batches.push_back(batch);
    }
    batches
}

/// `1:3,7`: numbers only, so that nothing can be smuggled into the command.
fn sequence_set(uids: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut sorted = uids.to_vec();
    sorted.sort_unstable();
    for uid in sorted {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    let texts = ranges.into_iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}:{b}") });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    use super::*;

    fn listed(uid: u32, size: u64) -> Listed {
        Listed { key: RemoteKey::Uid { uid_validity: 1, uid }, size }
    }

    #[test]
    fn batches_are_bounded_by_bytes_and_a_large_message_stands_alone() {
        let work = [listed(1, 600_000), listed(2, 600_000), listed(3, 9_000_000), listed(4, 1)];
        assert_eq!(into_batches(&work), [vec![1], vec![2], vec![3], vec![4]]);
        let small: Vec<_> = (1..=250).map(|it| listed(it, 1)).collect();
        assert_eq!(into_batches(&small).iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
    }

    /// Two batches are asked for; the server sends the second's message before it has replied to the first, and replies to the
    /// second first. People saw "messages could not be fetched" on a busy server.
    #[tokio::test]
    async fn what_comes_before_its_turn_is_kept() {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let wire = Wire::new(Box::new(ours), Duration::from_secs(5), 1 << 20);
        let session = Session { wire, n_commands: 0, capabilities: Vec::new() };
        let mut inbox = Inbox { session, uid_validity: 1, n_messages: 3 };
        let server = tokio::spawn(async move {
            let mut theirs = BufReader::new(theirs);
            let mut line = String::new();
            theirs.read_line(&mut line).await.unwrap();
            theirs.read_line(&mut line).await.unwrap();
            let said = b"* 3 FETCH (UID 3 BODY[] {5}\r\nthree)\r\nP2 OK done\r\n\
                * 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n* 2 FETCH (UID 2 BODY[] {3}\r\ntwo)\r\nP1 OK done\r\n";
            theirs.write_all(said).await.unwrap();
            line
        });
        let (sink, mut batches) = mpsc::channel(9);
        let work = vec![listed(1, 400_000), listed(2, 400_000), listed(3, 400_000)];
        inbox.fetch(work, sink).await.unwrap();
        let mut found = Vec::new();
        while let Some(batch) = batches.recv().await {
            assert!(batch.failed.is_empty(), "{:?}", batch.failed);
            found.extend(batch.messages.into_iter().map(|it| String::from_utf8(it.1).unwrap()));
        }
        assert_eq!(found, ["three", "one", "two"]);
        assert_eq!(server.await.unwrap(), "P1 UID FETCH 1:2 (UID BODY.PEEK[])\r\nP2 UID FETCH 3 (UID BODY.PEEK[])\r\n");
    }

    #[test]
    fn neighbours_become_ranges() {
        assert_eq!(sequence_set(&[7, 1, 2, 3, u32::MAX]), "1:3,7,4294967295");
    }
}
