//! Fetching a message that is too large to be held: by partial fetches (RFC 9051 section 6.4.5), going on where an earlier visit
//! ended.

use std::collections::{HashMap, VecDeque};

use domain::check::Stage;
use service::ports::{FailedFetch, MailError, RemoteKey, Wanted};

use super::{
    mailbox::Inbox,
    response::{Response, Token},
};
use crate::{
    outlet::{BATCH_BYTES, Outlet, PART, Stop, sample_of, too_long},
    protocol, refusal,
};

/// Parts that are asked for before the first has come.
const IN_FLIGHT: usize = 2;
/// A server may give less than it was asked for; not for ever, since each time costs a round trip.
const SHORT_AT_MOST: u32 = 16;

/// A part that was asked for.
struct Flight {
    tag: String,
    offset: u64,
    reply: Option<Response>,
}

/// A message on its way.
struct Large {
    key: RemoteKey,
    uid: u32,
    listed: u64,
    /// Bytes that were handed on, by this visit and earlier ones.
    offset: u64,
    /// Where the next part to be asked for begins.
    next: u64,
    in_flight: VecDeque<Flight>,
    arrived: HashMap<u64, Vec<u8>>,
    sample: Vec<u8>,
    n_short: u32,
}

/// What a part means for its message.
enum Step {
    On,
    Done,
    Failed(FailedFetch),
}

impl Inbox {
    pub(super) async fn fetch_large(&mut self, wanted: Wanted, outlet: &mut Outlet) -> Result<(), Stop> {
        let Some(uid) = self.uid(&wanted.listed.key) else { return Ok(()) };
        self.session.literal_max = PART as u64;
        let mut large = Large {
            key: wanted.listed.key,
            uid,
            listed: wanted.listed.size,
            offset: wanted.staged,
            next: wanted.staged,
            in_flight: VecDeque::new(),
            arrived: HashMap::new(),
            sample: Vec::new(),
            n_short: 0,
        };
        let result = self.fetch_parts(&mut large, outlet).await;
        // Those that were given up; after the end of the message there are none.
        self.session.abandon(large.in_flight.into_iter().filter(|it| it.reply.is_none()).map(|it| it.tag));
        result
    }

    async fn fetch_parts(&mut self, large: &mut Large, outlet: &mut Outlet) -> Result<(), Stop> {
        loop {
            self.ask_parts(large).await?;
            let reply = self.answer_part(large).await?;
            if !reply.is(1, "OK")
                && refusal::is_about_everything(reply.said())
                && let Err(error) = self.session.expect_ok(&reply)
            {
                return Err(error.into());
            }
            match self.hand_on(large, &reply, outlet).await? {
                Step::On => {}
                Step::Done => break,
                Step::Failed(failed) => {
                    outlet.put_failed(failed).await?;
                    break;
                }
            }
        }
        // What was asked for beyond the end still comes.
        while !large.in_flight.is_empty() {
            self.answer_part(large).await?;
        }
        Ok(())
    }

    /// Asks ahead as far as the message goes by the list; beyond that, one part at a time.
    async fn ask_parts(&mut self, large: &mut Large) -> Result<(), MailError> {
        let mut commands = Vec::new();
        while large.in_flight.is_empty() || (large.in_flight.len() < IN_FLIGHT && large.next < large.listed) {
            let (tag, offset) = (self.session.tag(), large.next);
            commands.push(format!("{tag} UID FETCH {} (UID BODY.PEEK[]<{offset}.{PART}>)\r\n", large.uid));
            large.in_flight.push_back(Flight { tag, offset, reply: None });
            large.next += PART as u64;
        }
        if commands.is_empty() { Ok(()) } else { self.session.wire.send(commands.concat().as_bytes()).await }
    }

    /// Reads to the reply to the part that was asked for first; replies and parts may come in any order.
    async fn answer_part(&mut self, large: &mut Large) -> Result<Response, MailError> {
        loop {
            if let Some(reply) = large.in_flight.front_mut().and_then(|it| it.reply.take()) {
                large.in_flight.pop_front();
                return Ok(reply);
            }
            self.session.wire.allow((IN_FLIGHT * PART) as u64 + BATCH_BYTES);
            let (uid, in_flight, arrived) = (large.uid, &large.in_flight, &mut large.arrived);
            let is_ours = |tag: &str| in_flight.iter().any(|it| it.tag == tag);
            let is_asked = |offset: u64| in_flight.iter().any(|it| it.offset == offset);
            let reply = self.session.next_reply(is_ours, |it| take_part(it, uid, is_asked, arrived)).await?;
            let flight = large.in_flight.iter_mut().find(|it| it.tag == reply.tag());
            let flight =
                flight.ok_or_else(|| protocol(Stage::Fetch, "the server waits for more than there is to send"))?;
            flight.reply = Some(reply);
        }
    }

    async fn hand_on(&mut self, large: &mut Large, reply: &Response, outlet: &mut Outlet) -> Result<Step, Stop> {
        let failed = |large: &mut Large, reason: String| FailedFetch {
            key: large.key.clone(),
            reason,
            sample: std::mem::take(&mut large.sample),
        };
        let Some(bytes) = large.arrived.remove(&large.offset) else {
            let reason = if reply.is(1, "OK") {
                "the server did not send a part of it; it may have been removed meanwhile".to_owned()
            } else {
                reply.words()
            };
            return Ok(Step::Failed(failed(large, reason)));
        };
        if large.offset == 0 {
            large.sample = sample_of(&bytes);
        }
        let (offset, length) = (large.offset, bytes.len());
        large.offset += length as u64;
        let size_limit = self.session.wire.size_limit;
        if large.offset > size_limit {
            let sample = std::mem::take(&mut large.sample);
            return Ok(Step::Failed(too_long(large.key.clone(), large.offset, sample)));
        }
        // Sizes lie: the end is a part that is not full, at or beyond the listed size; before that, an empty one.
        let is_full = length == PART;
        let is_last = !is_full && (large.offset >= large.listed || length == 0);
        outlet.put_part(&large.key, offset, bytes, is_last).await?;
        if is_last {
            return Ok(Step::Done);
        }
        if !is_full {
            large.n_short += 1;
            if large.n_short > SHORT_AT_MOST {
                let reason = "the server gives it in pieces that are smaller than was asked for".to_owned();
                return Ok(Step::Failed(failed(large, reason)));
            }
            // What was asked for ahead begins in the wrong place.
            while !large.in_flight.is_empty() {
                self.answer_part(large).await?;
            }
            large.arrived.clear();
            large.next = large.offset;
        }
        Ok(Step::On)
    }
}

fn take_part(response: Response, uid: u32, is_asked: impl Fn(u64) -> bool, arrived: &mut HashMap<u64, Vec<u8>>) {
    let is_ours = response.is(2, "FETCH") && response.number_item("UID") == Some(u64::from(uid));
    let Some((offset, is_nil)) = is_ours.then(|| origin(&response)).flatten() else { return };
    if !is_asked(offset) {
        return;
    }
    match response.into_item(|it| origin_of(it).is_some()) {
        Some(Token::Text(bytes)) if bytes.len() <= PART => _ = arrived.insert(offset, bytes),
        // Beyond the end some servers have nothing instead of an empty text.
        Some(_) if is_nil => _ = arrived.insert(offset, Vec::new()),
        _ => {}
    }
}

/// Where the part in a response begins, and whether it is none.
fn origin(response: &Response) -> Option<(u64, bool)> {
    let found = std::cell::Cell::new(None);
    let token = response.item(|it| {
        found.set(origin_of(it));
        found.get().is_some()
    })?;
    Some((found.get()?, response.is_nil(token)))
}

/// `BODY[]<5>` begins at 5. A server that gives the whole because it is short may leave that out.
fn origin_of(name: &str) -> Option<u64> {
    let rest = name.get(..6).filter(|it| it.eq_ignore_ascii_case("BODY[]")).and_then(|_| name.get(6..))?;
    if rest.is_empty() {
        return Some(0);
    }
    let number = rest.strip_prefix('<')?.strip_suffix('>')?;
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use service::ports::{Fetched, Listed, Mailbox as _, Part};
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
        sync::mpsc,
    };

    use super::*;
    use crate::{
        imap::session::Session,
        outlet::{LARGE, SAMPLE},
        wire::Wire,
    };

    /// How the server treats a part that is asked for: offset and bytes from there on, and what it sends.
    type Serve = fn(&str, usize, &[u8]) -> Vec<u8>;

    fn literal(tag: &str, offset: usize, part: &[u8]) -> Vec<u8> {
        let head = format!("* 1 FETCH (UID 5 BODY[]<{offset}> {{{}}}\r\n", part.len());
        [head.as_bytes(), part, b")\r\n", tag.as_bytes(), b" OK done\r\n"].concat()
    }

    fn faithful(tag: &str, offset: usize, rest: &[u8]) -> Vec<u8> {
        literal(tag, offset, &rest[..rest.len().min(PART)])
    }

    async fn fetched(message: &[u8], listed: u64, staged: u64, size_limit: u64, serve: Serve) -> Vec<Fetched> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let wire = Wire::new(Box::new(ours), Duration::from_secs(5), size_limit);
        let mut inbox = Inbox { session: Session::new(wire), uid_validity: 1, is_fresh: true };
        let message = message.to_vec();
        let server = tokio::spawn(async move {
            let mut theirs = BufReader::new(theirs);
            let mut line = String::new();
            while theirs.read_line(&mut line).await.unwrap() > 0 {
                let (tag, rest) = line.split_once(" UID FETCH 5 (UID BODY.PEEK[]<").expect(&line);
                let offset: usize = rest.strip_suffix(".1048576>)\r\n").unwrap().parse().unwrap();
                let reply = serve(tag, offset, message.get(offset..).unwrap_or_default());
                theirs.write_all(&reply).await.unwrap();
                line.clear();
            }
        });
        let (sink, mut source) = mpsc::channel(2);
        let key = RemoteKey::Uid { uid_validity: 1, uid: 5 };
        let work = vec![Wanted { listed: Listed { key, size: listed }, staged }];
        let collect = async {
            let mut all = Vec::new();
            while let Some(it) = source.recv().await {
                all.push(it);
            }
            all
        };
        let (all, result) = tokio::join!(collect, inbox.fetch(work, sink));
        result.unwrap();
        drop(inbox);
        server.await.unwrap();
        all
    }

    fn parts(fetched: Vec<Fetched>) -> Vec<Part> {
        let parts = fetched.into_iter().map(|it| match it {
            Fetched::Part(part) => part,
            Fetched::Batch(batch) => panic!("{batch:?}"),
        });
        parts.collect()
    }

    fn message(length: usize) -> Vec<u8> {
        (0..length).map(|it| u8::try_from(it % 251).unwrap()).collect()
    }

    async fn check_whole(length: usize, listed: u64, staged: u64, serve: Serve) {
        let message = message(length);
        let parts = parts(fetched(&message, listed, staged, 1 << 30, serve).await);
        let mut at = staged;
        for (n, part) in parts.iter().enumerate() {
            assert_eq!((part.offset, part.is_last), (at, n + 1 == parts.len()), "{length} {listed}: part {n}");
            assert!(part.bytes.len() <= PART);
            at += part.bytes.len() as u64;
        }
        let staged = usize::try_from(staged).unwrap();
        assert!(parts.iter().flat_map(|it| &it.bytes).eq(&message[staged..]), "{length} {listed} {staged}");
    }

    #[tokio::test]
    async fn a_large_message_comes_in_parts_whatever_its_size_was_said_to_be() {
        for length in [9 * PART, 9 * PART + 1, 9 * PART - 1] {
            let size = length as u64;
            for listed in [size, size + 5, size - 5, LARGE + 1, size + 3 * PART as u64] {
                check_whole(length, listed, 0, faithful).await;
            }
        }
        check_whole(10, LARGE + 1, 0, faithful).await;
        check_whole(0, LARGE + 1, 0, faithful).await;
    }

    #[tokio::test]
    async fn fetching_goes_on_where_an_earlier_visit_ended() {
        let length = 9 * PART + 77;
        for staged in [1, PART, 3 * PART, 4 * PART + 13, length] {
            check_whole(length, length as u64, staged as u64, faithful).await;
        }
    }

    #[tokio::test]
    async fn a_server_that_gives_less_than_it_was_asked_for_is_asked_again() {
        let stingy: Serve = |tag, offset, rest| literal(tag, offset, &rest[..rest.len().min(PART - 100_000)]);
        check_whole(9 * PART, 9 * PART as u64, 0, stingy).await;
        let nil: Serve = |tag, offset, rest| match rest {
            [] => format!("* 1 FETCH (UID 5 BODY[]<{offset}> NIL)\r\n{tag} OK\r\n").into_bytes(),
            rest => faithful(tag, offset, rest),
        };
        check_whole(9 * PART, 9 * PART as u64, 0, nil).await;
    }

    #[tokio::test]
    async fn a_large_message_that_the_server_refuses_fails_with_what_came_of_it() {
        let refusing: Serve = |tag, offset, rest| match offset {
            0 => faithful(tag, offset, rest),
            _ => format!("{tag} NO cannot read on\r\n").into_bytes(),
        };
        let all = fetched(&message(9 * PART), 9 * PART as u64, 0, 1 << 30, refusing).await;
        let [Fetched::Part(part), Fetched::Batch(batch)] = &all[..] else { panic!("{} items", all.len()) };
        assert!(!part.is_last);
        assert!(batch.failed[0].reason.contains("cannot read on"));
        assert_eq!(batch.failed[0].sample.len(), SAMPLE);
    }

    #[tokio::test]
    async fn a_message_that_grows_beyond_what_is_taken_fails() {
        let all = fetched(&message(12 * PART), 9 * PART as u64, 0, 10 * PART as u64, faithful).await;
        let Some(Fetched::Batch(batch)) = all.last() else { panic!("{} items", all.len()) };
        assert!(batch.failed[0].reason.contains("more than is taken"), "{}", batch.failed[0].reason);
        let drip: Serve = |tag, offset, rest| literal(tag, offset, &rest[..rest.len().min(1)]);
        let all = fetched(&message(9 * PART), 9 * PART as u64, 0, 1 << 30, drip).await;
        assert!(matches!(all.last(), Some(Fetched::Batch(batch)) if batch.failed.len() == 1));
    }
}
