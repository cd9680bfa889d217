//! Fetching: a window of RETR commands that moves on as answers come.

use std::collections::VecDeque;

use service::ports::{FailedFetch, FetchedBatch, MailError, RemoteKey, Wanted};

use super::{
    maildrop::{Maildrop, Window},
    reply::reply,
};
use crate::{
    outlet::{BATCH_BYTES, BATCH_MESSAGES, LARGE, Outlet, PART, SAMPLE, Stop, sample_of, too_long},
    said,
    wire::Body,
};

/// A message that was asked for.
struct Asked {
    key: RemoteKey,
    number: u32,
    listed: u64,
    /// It comes in parts from the first byte on.
    is_large: bool,
}

/// What came of one.
enum Retrieved {
    Whole((RemoteKey, Vec<u8>)),
    /// All of it went on in parts.
    InParts,
    Failed(FailedFetch),
}

impl Maildrop {
    pub(super) async fn fetch_all(&mut self, work: Vec<Wanted>, outlet: &mut Outlet) -> Result<(), Stop> {
        let mut batch = FetchedBatch::default();
        let mut to_ask = VecDeque::new();
        for Wanted { listed, staged } in work {
            let Some(number) = self.numbers.get(&listed.key).copied() else { continue };
            if listed.size > self.wire.size_limit {
                batch.failed.push(too_long(listed.key, listed.size, Vec::new()));
                continue;
            }
            // POP3 knows no beginning in the middle: what was staged comes again.
            let is_large = listed.size > LARGE || staged > 0;
            to_ask.push_back(Asked { key: listed.key, number, listed: listed.size, is_large });
        }
        let result = self.retrieve_all(to_ask, &mut batch, outlet).await;
        if !matches!(result, Err(Stop::Closed)) {
            // Complete messages count even though the rest is lost.
            outlet.put_batch(batch).await?;
        }
        result
    }

    async fn retrieve_all(
        &mut self,
        mut to_ask: VecDeque<Asked>,
        batch: &mut FetchedBatch,
        outlet: &mut Outlet,
    ) -> Result<(), Stop> {
        let mut window = Window::new(self.has_pipelining);
        let mut in_flight = VecDeque::new();
        let mut bytes = 0;
        loop {
            self.ask(&mut window, &mut to_ask, &mut in_flight).await?;
            let Some(asked) = in_flight.pop_front() else { return Ok(()) };
            let listed = asked.listed;
            match self.retrieve(asked, outlet).await? {
                Retrieved::Whole((key, raw)) => {
                    bytes += raw.len() as u64;
                    batch.messages.push((key, raw));
                }
                Retrieved::InParts => {}
                Retrieved::Failed(failed) => batch.failed.push(failed),
            }
            window.closes(listed);
            if bytes >= BATCH_BYTES || batch.messages.len() + batch.failed.len() >= BATCH_MESSAGES {
                bytes = 0;
                outlet.put_batch(std::mem::take(batch)).await?;
            }
        }
    }

    /// Sends commands for as much as may be in flight, in one write.
    async fn ask(
        &mut self,
        window: &mut Window,
        to_ask: &mut VecDeque<Asked>,
        in_flight: &mut VecDeque<Asked>,
    ) -> Result<(), MailError> {
        let mut commands = Vec::new();
        while to_ask.front().is_some_and(|it| window.opens(it.listed))
            && let Some(asked) = to_ask.pop_front()
        {
            commands.push(format!("RETR {}\r\n", asked.number));
            in_flight.push_back(asked);
        }
        if commands.is_empty() { Ok(()) } else { self.wire.send(commands.concat().as_bytes()).await }
    }

    /// Reads one answer. What is longer than is held goes on in parts, whatever the list said.
    async fn retrieve(&mut self, asked: Asked, outlet: &mut Outlet) -> Result<Retrieved, Stop> {
        self.wire.allow(u64::MAX);
        let reply = reply(&mut self.wire).await?;
        if !reply.is_ok {
            let failed = FailedFetch { key: asked.key, reason: said(&reply.words), sample: Vec::new() };
            return Ok(Retrieved::Failed(failed));
        }
        let mut body = Body::default();
        let whole = usize::try_from(LARGE.min(self.wire.size_limit).saturating_add(3)).unwrap_or(usize::MAX);
        let most = if asked.is_large { PART } else { whole };
        let mut text = Vec::with_capacity(usize::try_from(asked.listed).unwrap_or(PART).min(PART));
        let mut is_over = self.wire.body(&mut body, &mut text, most).await?;
        let size_limit = self.wire.size_limit;
        if is_over && !asked.is_large && body.length <= size_limit {
            self.wire.hear_block(body.length);
            return Ok(Retrieved::Whole((asked.key, text)));
        }
        let sample = sample_of(&text);
        let mut offset = 0;
        while body.length <= size_limit {
            // The last piece waits until it is known to be the last.
            while text.len() > PART || (!is_over && text.len() + 2 >= PART) {
                let rest = text.split_off(text.len().min(PART));
                let part = std::mem::replace(&mut text, rest);
                let length = part.len() as u64;
                outlet.put_part(&asked.key, offset, part, false).await?;
                self.wire.resume();
                offset += length;
            }
            if is_over {
                outlet.put_part(&asked.key, offset, text, true).await?;
                self.wire.hear_block(body.length);
                return Ok(Retrieved::InParts);
            }
            is_over = self.wire.body(&mut body, &mut text, PART).await?;
        }
        while !is_over {
            text.clear();
            is_over = self.wire.body(&mut body, &mut text, SAMPLE).await?;
            self.wire.may_skip(text.len() as u64)?;
        }
        self.wire.hear_block(body.length);
        Ok(Retrieved::Failed(too_long(asked.key, body.length, sample)))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use service::ports::{Fetched, Listed, Mailbox as _};
    use tokio::{io::AsyncWriteExt as _, sync::mpsc};

    use super::*;
    use crate::wire::Wire;

    /// What is handed on of a message that is listed with this size, and of a short one after it.
    async fn fetched(message: &[u8], listed: u64, staged: u64, size_limit: u64) -> Vec<Fetched> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let key = |it: &str| RemoteKey::Uidl(it.to_owned());
        let mut maildrop = Maildrop {
            wire: Wire::new(Box::new(ours), Duration::from_secs(5), size_limit),
            has_pipelining: true,
            n_messages: 2,
            numbers: HashMap::from([(key("one"), 1), (key("two"), 2)]),
            is_over: false,
        };
        let said = [b"+OK\r\n", message, b".\r\n+OK\r\nafter\r\n.\r\n"].concat();
        let server = tokio::spawn(async move {
            _ = theirs.write_all(&said).await;
            theirs
        });
        let (sink, mut source) = mpsc::channel(1);
        let wanted = |it, size, staged| Wanted { listed: Listed { key: key(it), size }, staged };
        let work = vec![wanted("one", listed, staged), wanted("two", 7, 0)];
        let collect = async {
            let mut all = Vec::new();
            while let Some(it) = source.recv().await {
                all.push(it);
            }
            all
        };
        let (mut all, result) = tokio::join!(collect, maildrop.fetch(work, sink));
        result.unwrap();
        drop(server);
        let Some(Fetched::Batch(last)) = all.last_mut() else { panic!("{} items", all.len()) };
        assert_eq!(last.messages.pop(), Some((key("two"), b"after\r\n".to_vec())));
        all
    }

    async fn check_parts(length: usize, listed: u64, staged: u64) {
        let message: Vec<u8> = b"0123456\r\n".iter().copied().cycle().take(length / 9 * 9).collect();
        let all = fetched(&message, listed, staged, 1 << 30).await;
        let mut whole = Vec::new();
        let mut n_last = 0;
        for it in all {
            let Fetched::Part(part) = it else { continue };
            assert!(part.bytes.len() <= PART && n_last == 0);
            assert_eq!(part.offset, whole.len() as u64);
            whole.extend(part.bytes);
            n_last += usize::from(part.is_last);
        }
        assert!(whole == message && n_last == 1, "{length} {listed} {staged}: {} in {n_last}", whole.len());
    }

    #[tokio::test]
    async fn a_large_message_is_streamed_in_parts_whatever_its_size_was_said_to_be() {
        let large = usize::try_from(LARGE).unwrap();
        check_parts(3 * PART, LARGE + 1, 0).await;
        check_parts(100, LARGE + 1, 0).await;
        check_parts(0, LARGE + 1, 0).await;
        check_parts(100, 100, 77).await;
        check_parts(large + 3 * PART, 5, 0).await;
        check_parts(large + 20, LARGE, 0).await;
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_passed_over_with_a_sample() {
        let message = b"x\r\n".repeat(PART);
        let all = fetched(&message, 5, 0, 2 << 20).await;
        let Some(Fetched::Batch(batch)) = all.last() else { panic!("{} items", all.len()) };
        let failed = &batch.failed[0];
        assert!(failed.reason.contains("more than is taken"), "{}", failed.reason);
        assert_eq!(failed.sample.len(), SAMPLE);
    }
}
