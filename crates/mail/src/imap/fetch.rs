//! Fetching messages that are held whole: in batches, several asked for before the first is complete.

use std::collections::{HashMap, VecDeque};

use domain::check::Stage;
use service::ports::{FailedFetch, FetchedBatch, Listed, MailError, RemoteKey, Wanted};

use super::{
    mailbox::Inbox,
    response::{Response, Token},
    set::set_of,
};
use crate::{
    outlet::{BATCH_BYTES, BATCH_MESSAGES, LARGE, Outlet, Stop, too_long},
    protocol, refusal,
};

/// Commands that are always in flight, and so many where they ask for little.
const IN_FLIGHT: usize = 2;
const IN_FLIGHT_MAX: usize = 8;
/// Bytes that are asked for ahead, by the sizes that the server listed: over a long way the server must not wait for the next
/// question. Nothing is set aside for them before they come.
const AHEAD_BYTES: u64 = 16 * 1024 * 1024;

/// What came of a message.
enum Body {
    Whole(Vec<u8>),
    /// So many bytes, which were passed over but for their beginning.
    TooLong {
        length: u64,
        sample: Vec<u8>,
    },
}

/// A command for a batch that was sent.
struct Flight {
    tag: String,
    wanted: Vec<u32>,
}

/// What is still to do, and what has come.
struct Work {
    batches: VecDeque<Vec<u32>>,
    sizes: HashMap<u32, u64>,
    in_flight: Vec<Flight>,
    arrived: HashMap<u32, Body>,
    /// Messages that have to come in parts.
    large: Vec<Wanted>,
}

impl Inbox {
    pub(super) async fn fetch_all(&mut self, work: Vec<Wanted>, outlet: &mut Outlet) -> Result<(), Stop> {
        let size_limit = self.session.wire.size_limit;
        let (mut small, mut large, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in work {
            let Some(uid) = self.uid(&wanted.listed.key) else { continue };
            match wanted.listed.size {
                size if size > size_limit => failed.push(too_long(wanted.listed.key, size, Vec::new())),
                size if size > LARGE || wanted.staged > 0 => large.push(wanted),
                size => small.push((uid, size)),
            }
        }
        outlet.put_batch(FetchedBatch { messages: Vec::new(), failed }).await?;
        let mut work = Work {
            batches: into_batches(&small),
            sizes: small.into_iter().collect(),
            in_flight: Vec::new(),
            arrived: HashMap::new(),
            large,
        };
        self.session.literal_max = LARGE;
        if let Err(stop) = self.fetch_batches(&mut work, outlet).await {
            self.session.abandon(work.in_flight.into_iter().map(|it| it.tag));
            if matches!(stop, Stop::Broken(_)) {
                // Complete messages count even though the rest is lost.
                let batch = self.batch(work.arrived, &mut Vec::new());
                outlet.put_batch(batch).await?;
            }
            return Err(stop);
        }
        for wanted in work.large {
            self.fetch_large(wanted, outlet).await?;
        }
        Ok(())
    }

    async fn fetch_batches(&mut self, work: &mut Work, outlet: &mut Outlet) -> Result<(), Stop> {
        loop {
            self.ask(work).await?;
            if work.in_flight.is_empty() {
                return Ok(());
            }
            // Twice what was listed and one message more: sizes may be wrong, but nobody fills the memory with small ones.
            let listed = work.listed_in_flight();
            let wire = &mut self.session.wire;
            let one_more = wire.size_limit.min(LARGE);
            wire.allow(listed.saturating_mul(2).saturating_add(one_more).saturating_add(BATCH_BYTES));
            let (Flight { wanted, .. }, reply) = self.answer(work).await?;
            let missing: Vec<u32> = wanted.iter().copied().filter(|it| !work.arrived.contains_key(it)).collect();
            let came: Vec<_> = wanted.iter().filter_map(|it| work.arrived.remove_entry(it)).collect();
            let mut batch = self.batch(came, &mut work.large);
            let throttled = (!reply.is(1, "OK") && refusal::is_about_everything(reply.said()))
                .then(|| self.session.expect_ok(&reply).err())
                .flatten();
            if throttled.is_some() {
                // To ask for each alone would be what the server complains of.
            } else if wanted.len() > 1 {
                // One bad message spoils its batch only: its members are asked for again, each alone.
                work.batches.extend(missing.into_iter().map(|it| vec![it]));
            } else if let Some(uid) = missing.first() {
                let gone = "the server did not send it; it may have been removed meanwhile".to_owned();
                let reason = if reply.is(1, "OK") { gone } else { reply.words() };
                batch.failed.push(FailedFetch { key: self.key(*uid), reason, sample: Vec::new() });
            }
            outlet.put_batch(batch).await?;
            if let Some(error) = throttled {
                return Err(error.into());
            }
        }
    }

    /// Sends commands for as many batches as may be in flight, in one write, without waiting.
    async fn ask(&mut self, work: &mut Work) -> Result<(), MailError> {
        let mut commands = Vec::new();
        while work.may_ask()
            && let Some(wanted) = work.batches.pop_front()
        {
            let tag = self.session.tag();
            commands.push(format!("{tag} UID FETCH {} (UID BODY.PEEK[])\r\n", set_of(&wanted)));
            work.in_flight.push(Flight { tag, wanted });
        }
        if commands.is_empty() { Ok(()) } else { self.session.wire.send(commands.concat().as_bytes()).await }
    }

    /// Reads to the reply to any command in flight, and takes that out. A server may work on several commands at once (RFC 9051
    /// section 5.5), so what it sends meanwhile may belong to any of them, and replies may come in any order.
    async fn answer(&mut self, work: &mut Work) -> Result<(Flight, Response), MailError> {
        let (in_flight, arrived) = (&mut work.in_flight, &mut work.arrived);
        let is_ours = |tag: &str| in_flight.iter().any(|it| it.tag == tag);
        let is_wanted = |uid: &u32| in_flight.iter().any(|it| it.wanted.contains(uid));
        let take = |response: Response| {
            if response.is(2, "FETCH") {
                take_body(response, is_wanted, arrived);
            }
        };
        let reply = self.session.next_reply(is_ours, take).await?;
        let at = in_flight.iter().position(|it| it.tag == reply.tag());
        let at = at.ok_or_else(|| protocol(Stage::Fetch, "the server waits for more than there is to send"))?;
        Ok((in_flight.remove(at), reply))
    }

    /// What is complete; what turned out to be large but not too large is to come again, in parts.
    fn batch(&self, arrived: impl IntoIterator<Item = (u32, Body)>, large: &mut Vec<Wanted>) -> FetchedBatch {
        let mut arrived: Vec<_> = arrived.into_iter().collect();
        arrived.sort_unstable_by_key(|(uid, _)| *uid);
        let mut batch = FetchedBatch::default();
        for (uid, body) in arrived {
            let key: RemoteKey = self.key(uid);
            match body {
                Body::Whole(raw) => batch.messages.push((key, raw)),
                Body::TooLong { length, .. } if length <= self.session.wire.size_limit => {
                    large.push(Wanted { listed: Listed { key, size: length }, staged: 0 });
                }
                Body::TooLong { length, sample } => batch.failed.push(too_long(key, length, sample)),
            }
        }
        batch
    }
}

impl Work {
    fn listed_in_flight(&self) -> u64 {
        self.in_flight.iter().flat_map(|it| &it.wanted).filter_map(|it| self.sizes.get(it)).sum()
    }

    fn may_ask(&self) -> bool {
        let n = self.in_flight.len();
        n < IN_FLIGHT || (n < IN_FLIGHT_MAX && self.listed_in_flight() < AHEAD_BYTES)
    }
}

fn take_body(response: Response, is_wanted: impl Fn(&u32) -> bool, arrived: &mut HashMap<u32, Body>) {
    let Some(uid) = response.number_item("UID").and_then(|it| u32::try_from(it).ok()) else { return };
    if !is_wanted(&uid) {
        return;
    }
    let is_body = |name: &str| name.eq_ignore_ascii_case("BODY[]") || name.eq_ignore_ascii_case("RFC822");
    match response.into_item(is_body) {
        Some(Token::Text(raw)) => _ = arrived.insert(uid, Body::Whole(raw)),
        Some(Token::TooLong { length, sample }) => _ = arrived.insert(uid, Body::TooLong { length, sample }),
        _ => {}
    }
}

/// Cuts the work into batches by bytes and number, in its order.
fn into_batches(work: &[(u32, u64)]) -> VecDeque<Vec<u32>> {
    let mut batches = VecDeque::new();
    let mut batch = Vec::new();
    let mut bytes = 0;
    for (uid, size) in work {
        if !batch.is_empty() && (bytes + size > BATCH_BYTES || batch.len() == BATCH_MESSAGES) {
            batches.push_back(std::mem::take(&mut batch));
            bytes = 0;
        }
        batch.push(*uid);
        bytes += size;
    }
    if !batch.is_empty() {
        batches.push_back(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use service::ports::{Fetched, Mailbox as _};
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
        sync::mpsc,
    };

    use super::*;
    use crate::{imap::session::Session, wire::Wire};

    fn wanted(uid: u32, size: u64) -> Wanted {
        Wanted { listed: Listed { key: RemoteKey::Uid { uid_validity: 1, uid }, size }, staged: 0 }
    }

    #[test]
    fn batches_are_bounded_by_bytes_and_number() {
        let work = [(1, 1_200_000), (2, 1_200_000), (3, 7_000_000), (4, 1)];
        assert_eq!(into_batches(&work), [vec![1], vec![2], vec![3], vec![4]]);
        let small: Vec<_> = (1..=600).map(|it| (it, 1)).collect();
        assert_eq!(into_batches(&small).iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
    }

    /// Two batches are asked for; the server sends the second's message before it has replied to the first, and replies to the
    /// second first. People saw "messages could not be fetched" on a busy server.
    #[tokio::test]
    async fn what_comes_before_its_turn_is_kept() {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let wire = Wire::new(Box::new(ours), Duration::from_secs(5), 1 << 22);
        let mut inbox = Inbox { session: Session::new(wire), uid_validity: 1, is_fresh: true };
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
        let work = vec![wanted(1, 1_000_000), wanted(2, 1_000_000), wanted(3, 1_000_000)];
        inbox.fetch(work, sink).await.unwrap();
        let mut found = Vec::new();
        while let Some(Fetched::Batch(batch)) = batches.recv().await {
            assert!(batch.failed.is_empty(), "{:?}", batch.failed);
            found.extend(batch.messages.into_iter().map(|it| String::from_utf8(it.1).unwrap()));
        }
        assert_eq!(found, ["three", "one", "two"]);
        assert_eq!(server.await.unwrap(), "P1 UID FETCH 1:2 (UID BODY.PEEK[])\r\nP2 UID FETCH 3 (UID BODY.PEEK[])\r\n");
    }

    /// Listed as small, large as it comes: it is passed over, and asked for again in parts.
    #[tokio::test]
    async fn a_message_that_turns_out_to_be_large_comes_again_in_parts() {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let wire = Wire::new(Box::new(ours), Duration::from_secs(5), 1 << 30);
        let mut inbox = Inbox { session: Session::new(wire), uid_validity: 1, is_fresh: true };
        let server = tokio::spawn(async move {
            let mut theirs = BufReader::new(theirs);
            let mut line = String::new();
            theirs.read_line(&mut line).await.unwrap();
            let long = vec![b'x'; usize::try_from(LARGE).unwrap() + 1];
            let head = format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\n", long.len());
            theirs.write_all(&[head.as_bytes(), &long, b")\r\nP1 OK\r\n"].concat()).await.unwrap();
            theirs.read_line(&mut line).await.unwrap();
            theirs.read_line(&mut line).await.unwrap();
            let said = b"* 1 FETCH (UID 1 BODY[]<0> {3}\r\nabc)\r\nP2 OK\r\nP3 OK\r\n";
            theirs.write_all(said).await.unwrap();
            theirs.read_line(&mut line).await.unwrap();
            theirs.read_line(&mut line).await.unwrap();
            theirs.write_all(b"* 1 FETCH (UID 1 BODY[]<3> \"\")\r\nP4 OK\r\nP5 OK\r\n").await.unwrap();
        });
        let (sink, mut source) = mpsc::channel(9);
        inbox.fetch(vec![wanted(1, 9)], sink).await.unwrap();
        server.await.unwrap();
        for (bytes, is_last) in [("abc", false), ("", true)] {
            let Some(Fetched::Part(part)) = source.recv().await else { panic!("no part") };
            assert_eq!((part.bytes.as_slice(), part.is_last), (bytes.as_bytes(), is_last));
        }
        assert!(source.recv().await.is_none());
    }

    /// A server that asks to be left alone is not asked for each message of the batch.
    #[tokio::test]
    async fn a_throttled_fetch_ends_with_what_is_complete_and_leaves_the_session_usable() {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let wire = Wire::new(Box::new(ours), Duration::from_secs(5), 1 << 30);
        let mut inbox = Inbox { session: Session::new(wire), uid_validity: 1, is_fresh: true };
        inbox.session.state.n_messages = 1;
        let server = tokio::spawn(async move {
            let mut theirs = BufReader::new(theirs);
            let mut line = String::new();
            theirs.read_line(&mut line).await.unwrap();
            theirs.read_line(&mut line).await.unwrap();
            let said = b"* 1 FETCH (UID 1 BODY[] \"one\")\r\nP1 NO Request is throttled. Suggested Backoff Time: 5 seconds\r\n";
            theirs.write_all(said).await.unwrap();
            theirs.read_line(&mut line).await.unwrap();
            let said = b"* 3 FETCH (UID 3 BODY[] {3}\r\nxyz)\r\nP2 NO\r\nP3 OK\r\n";
            theirs.write_all(said).await.unwrap();
            theirs.read_line(&mut line).await.unwrap();
            theirs.write_all(b"* 1 FETCH (UID 1 RFC822.SIZE 3)\r\nP4 OK\r\n").await.unwrap();
            line
        });
        let (sink, mut source) = mpsc::channel(9);
        let work = vec![wanted(1, 2_000_000), wanted(2, 1), wanted(3, 2_000_000)];
        let error = inbox.fetch(work, sink).await.unwrap_err();
        assert_eq!(error.retry_after, Some(Duration::from_secs(5)));
        let Some(Fetched::Batch(batch)) = source.recv().await else { panic!("no batch") };
        assert_eq!((batch.messages.len(), batch.failed.len()), (1, 0));
        assert_eq!(inbox.list().await.unwrap().messages.len(), 1);
        assert!(server.await.unwrap().ends_with("P3 NOOP\r\nP4 UID FETCH 1:* (UID RFC822.SIZE)\r\n"));
    }
}
