//! What is in a maildrop, and the names of its messages: those that the server gives, and where it gives none, what they are.

use std::collections::{BTreeMap, HashMap, VecDeque};

use domain::check::{ErrorKind, Stage};
use service::ports::{Listed, Listing, MailError, RemoteKey};

use super::{
    maildrop::{Maildrop, Window},
    reply::{lines, reply},
};
use crate::{outlet::PART, refusal, wire::Body};

/// RFC 1939 section 7 allows 70 characters; more are tolerated up to a bound.
const UIDL_MAX: usize = 512;

impl Maildrop {
    pub(super) async fn list_all(&mut self) -> Result<Listing, MailError> {
        let (mut sizes, names) = self.sizes_and_names().await?;
        // A message that only one of the two knows is there all the same.
        for (number, _) in &names {
            sizes.entry(*number).or_default();
        }
        let names = own_names(names);
        let own = |number: &u32| names.get(number);
        let nameless: Vec<u32> = sizes.keys().copied().filter(|it| own(it).is_none()).collect();
        let hashes = self.hashes(&nameless).await?;
        let mut messages = Vec::with_capacity(sizes.len());
        let mut n_equal: HashMap<String, u32> = HashMap::new();
        self.numbers.clear();
        for (number, size) in &sizes {
            let key = match (own(number), hashes.get(number)) {
                (Some(name), _) => RemoteKey::Uidl(name.clone()),
                (None, Some(header)) => {
                    let hash = content_hash(header.clone(), *size);
                    let nth = n_equal.entry(hash.clone()).and_modify(|it| *it += 1).or_default();
                    RemoteKey::Content { hash, nth: *nth }
                }
                // The server does not even show its header.
                (None, None) => continue,
            };
            self.numbers.insert(key.clone(), *number);
            messages.push(Listed { key, size: *size });
        }
        Ok(Listing { messages, n_unidentified: nameless.len() as u64 })
    }

    /// `LIST`, and `UIDL` where the server knows it.
    async fn sizes_and_names(&mut self) -> Result<(BTreeMap<u32, u64>, Vec<(u32, String)>), MailError> {
        self.wire.send(if self.has_pipelining { b"LIST\r\nUIDL\r\n" } else { b"LIST\r\n" }).await?;
        let listed = reply(&mut self.wire).await?;
        if !listed.is_ok {
            return Err(refusal::error(Stage::List, ErrorKind::Mailbox, &listed.words));
        }
        let sizes = pairs(&lines(&mut self.wire).await?, |it| Some(size(it))).collect();
        if !self.has_pipelining {
            self.wire.send(b"UIDL\r\n").await?;
        }
        if !reply(&mut self.wire).await?.is_ok {
            return Ok((sizes, Vec::new()));
        }
        let is_name = |it: &str| (!it.is_empty() && it.len() <= UIDL_MAX).then(|| it.to_owned());
        Ok((sizes, pairs(&lines(&mut self.wire).await?, is_name).collect()))
    }

    /// The header of each, hashed, by TOP where the server knows it, else from the beginning of RETR.
    async fn hashes(&mut self, numbers: &[u32]) -> Result<HashMap<u32, blake3::Hasher>, MailError> {
        let mut hashes = self.headers(numbers, |it| format!("TOP {it} 0\r\n")).await?;
        let refused: Vec<u32> = numbers.iter().copied().filter(|it| !hashes.contains_key(it)).collect();
        hashes.extend(self.headers(&refused, |it| format!("RETR {it}\r\n")).await?);
        Ok(hashes)
    }

    async fn headers(
        &mut self,
        numbers: &[u32],
        ask: fn(u32) -> String,
    ) -> Result<HashMap<u32, blake3::Hasher>, MailError> {
        let mut window = Window::new(self.has_pipelining);
        let (mut to_ask, mut asked) = (numbers.iter().copied().collect::<VecDeque<_>>(), VecDeque::new());
        let mut hashes = HashMap::new();
        loop {
            let mut commands = Vec::new();
            while let Some(number) = to_ask.front().copied().filter(|_| window.opens(0)) {
                to_ask.pop_front();
                commands.push(ask(number));
                asked.push_back(number);
            }
            if !commands.is_empty() {
                self.wire.send(commands.concat().as_bytes()).await?;
            }
            let Some(number) = asked.pop_front() else { return Ok(hashes) };
            if reply(&mut self.wire).await?.is_ok {
                hashes.insert(number, self.header().await?);
            }
            window.closes(0);
        }
    }

    /// Hashes a header up to the empty line that ends it, and passes over the rest.
    async fn header(&mut self) -> Result<blake3::Hasher, MailError> {
        let mut header = Header::default();
        let (mut body, mut piece) = (Body::default(), Vec::new());
        self.wire.allow(u64::MAX);
        loop {
            let is_over = self.wire.body(&mut body, &mut piece, PART).await?;
            header.take(&piece);
            self.wire.may_skip(piece.len() as u64)?;
            piece.clear();
            if is_over {
                self.wire.hear_block(body.length);
                return Ok(header.hasher);
            }
        }
    }
}

/// The part of a message that `TOP n 0` gives, whatever else comes.
#[derive(Default)]
struct Header {
    hasher: blake3::Hasher,
    /// How much of the CRLF CRLF that ends it was the last to come.
    matched: usize,
}

impl Header {
    fn take(&mut self, piece: &[u8]) {
        const END: &[u8; 4] = b"\r\n\r\n";
        let mut n = 0;
        while self.matched < END.len() && n < piece.len() {
            self.matched = match piece[n] {
                byte if byte == END[self.matched] => self.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            n += 1;
        }
        self.hasher.update(&piece[..n]);
    }
}

/// Header fields and size make the name: two messages that share both are told apart by their order.
fn content_hash(mut header: blake3::Hasher, size: u64) -> String {
    header.update(&size.to_be_bytes());
    header.finalize().to_hex().to_string()
}

/// The size in a line of `LIST`. One that makes no sense says nothing about the message.
fn size(text: &str) -> u64 {
    text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default()
}

/// The names that belong to one message, of messages that have one name: any other would mean this message today and that one
/// tomorrow.
fn own_names(names: Vec<(u32, String)>) -> HashMap<u32, String> {
    let (mut n_names, mut n_messages) = (HashMap::<u32, u32>::new(), HashMap::<String, u32>::new());
    for (number, name) in &names {
        *n_names.entry(*number).or_default() += 1;
        *n_messages.entry(name.clone()).or_default() += 1;
    }
    let is_own = |(number, name): &(u32, String)| n_names.get(number) == Some(&1) && n_messages.get(name) == Some(&1);
    names.into_iter().filter(is_own).collect()
}

/// The lines that are the number of a message and a value.
fn pairs<T>(lines: &[String], value: impl Fn(&str) -> Option<T>) -> impl Iterator<Item = (u32, T)> {
    lines.iter().filter_map(move |line| {
        let (number, rest) = line.trim().split_once(' ')?;
        Some((number.parse().ok().filter(|it| *it > 0)?, value(rest.trim())?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_same_by_top_and_by_retr_however_it_is_cut() {
        let top = b"Subject: a\r\nX: \r\r\n\r\n";
        let whole = [&top[..], b"body\r\n\r\nmore"].concat();
        let expected = content_hash(
            {
                let mut hasher = blake3::Hasher::new();
                hasher.update(top);
                hasher
            },
            5,
        );
        for cut in 0..whole.len() {
            let mut header = Header::default();
            header.take(&whole[..cut]);
            header.take(&whole[cut..]);
            assert_eq!(content_hash(header.hasher, 5), expected, "cut at {cut}");
        }
    }
}
