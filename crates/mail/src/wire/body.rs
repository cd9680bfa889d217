//! Texts of POP3 that end with a lonely dot (RFC 1939 section 3), leading dots undone, in pieces of any size.

use memchr::{memchr, memmem};
use service::ports::MailError;

use super::Wire;

/// How far a text was read.
#[derive(Debug)]
pub(crate) struct Body {
    is_line_start: bool,
    /// Bytes that came of it.
    pub(crate) length: u64,
}

impl Default for Body {
    fn default() -> Self {
        Self { is_line_start: true, length: 0 }
    }
}

/// What the buffer holds at the beginning of a line.
enum Start {
    End(usize),
    Stuffed,
    Text,
    Unknown,
}

impl Wire {
    /// Appends what comes until there are so many bytes, or the text ends; answers with whether it did.
    ///
    /// A bare LF is a part of a message like any other byte, unless the server ended its own line with one: else a message
    /// could bring the dot that ends it.
    pub(crate) async fn body(&mut self, body: &mut Body, into: &mut Vec<u8>, most: usize) -> Result<bool, MailError> {
        loop {
            if body.is_line_start {
                match start(&self.buffer[self.taken..], self.is_bare) {
                    Start::End(n) => {
                        self.taken += n;
                        return Ok(true);
                    }
                    Start::Stuffed => self.taken += 1,
                    Start::Text => {}
                    Start::Unknown => {
                        self.more().await?;
                        continue;
                    }
                }
                body.is_line_start = false;
            }
            // Room for a line's end, so that no piece is longer than it may be.
            let room = most.saturating_sub(into.len());
            if room <= 2 {
                return Ok(false);
            }
            let before = into.len();
            let is_stuck = if self.is_bare { self.bare(body, into, room) } else { self.stretch(body, into, room) };
            body.length += (into.len() - before) as u64;
            if is_stuck {
                self.more().await?;
            }
        }
    }

    /// All up to the next line that begins with a dot; answers with whether there is nothing more to go by.
    fn stretch(&mut self, body: &mut Body, into: &mut Vec<u8>, room: usize) -> bool {
        let have = &self.buffer[self.taken..];
        let found = memmem::find(have, b"\r\n.");
        let stretch = match found {
            Some(at) => at + 2,
            // A line's end in the making stays.
            None if have.ends_with(b"\r\n") => have.len() - 2,
            None if have.ends_with(b"\r") => have.len() - 1,
            None => have.len(),
        };
        let mut take = stretch.min(room);
        // A piece does not end within a line's end, which could not be seen any more.
        if take < stretch && have[take - 1] == b'\r' {
            take -= 1;
        }
        into.extend_from_slice(&have[..take]);
        self.taken += take;
        body.is_line_start = found.is_some() && take == stretch;
        found.is_none() && take == stretch
    }

    /// One line of a server that ends its lines with bare LF, ended with CRLF as messages are.
    fn bare(&mut self, body: &mut Body, into: &mut Vec<u8>, room: usize) -> bool {
        let have = &self.buffer[self.taken..];
        let found = memchr(b'\n', have);
        let text = &have[..found.unwrap_or(have.len())];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let take = text.len().min(room - 2);
        into.extend_from_slice(&text[..take]);
        let is_whole = take == text.len();
        match found {
            Some(at) if is_whole => {
                into.extend_from_slice(b"\r\n");
                self.taken += at + 1;
                body.is_line_start = true;
                false
            }
            _ => {
                self.taken += take;
                is_whole
            }
        }
    }
}

fn start(have: &[u8], is_bare: bool) -> Start {
    match have {
        [] | [b'.'] | [b'.', b'\r'] => Start::Unknown,
        [b'.', b'\r', b'\n', ..] => Start::End(3),
        [b'.', b'\n', ..] if is_bare => Start::End(2),
        [b'.', ..] => Start::Stuffed,
        _ => Start::Text,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// The text arrives the same however it is cut into pieces, by the network and by us.
    async fn check(said: &[u8], text: &[u8], is_bare: bool) {
        for (cut, most) in (1..said.len()).flat_map(|cut| [3, 4, 5, 7, 1000].map(|most| (cut, most))) {
            let (ours, mut theirs) = tokio::io::duplex(1 << 16);
            let mut wire = Wire::new(Box::new(ours), Duration::from_secs(5), 1 << 20);
            wire.is_bare = is_bare;
            let (first, second) = (said[..cut].to_vec(), said[cut..].to_vec());
            let server = tokio::spawn(async move {
                theirs.write_all(&first).await.unwrap();
                tokio::task::yield_now().await;
                theirs.write_all(&second).await.unwrap();
                theirs
            });
            let (mut body, mut whole) = (Body::default(), Vec::new());
            loop {
                let mut piece = Vec::new();
                let is_over = wire.body(&mut body, &mut piece, most).await.unwrap();
                assert!(piece.len() <= most, "{} bytes of {most}", piece.len());
                whole.extend(piece);
                if is_over {
                    break;
                }
            }
            let (found, wanted) = (String::from_utf8_lossy(&whole), String::from_utf8_lossy(text));
            assert_eq!(found, wanted, "cut at {cut}, pieces of {most}");
            assert_eq!(body.length, text.len() as u64);
            assert_eq!(wire.line().await.unwrap(), b"+OK after");
            drop(server);
        }
    }

    #[tokio::test]
    async fn pieces_make_the_whole_wherever_they_are_cut() {
        check(b"..a\r\nb\r\n..\r\n\r\n.\r\n+OK after\r\n", b".a\r\nb\r\n.\r\n\r\n", false).await;
        check(b"a\n.\r\nb\r.\r\r\n..\n\r\n.\r\n+OK after\r\n", b"a\n.\r\nb\r.\r\r\n.\n\r\n", false).await;
        check(b".\r\n+OK after\r\n", b"", false).await;
        check(b"..a\nbcdefgh\r\n..\n\n.\n+OK after\n", b".a\r\nbcdefgh\r\n.\r\n\r\n", true).await;
    }
}
