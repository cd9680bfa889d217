//! Whether a message can be taken apart with bearable effort, judged by one look at its lines, before the parser has a part or
//! a field in memory for each of them.
//!
//! The bounds are on what the parser could at most make of the lines, whether it does or not.

use memchr::{memchr, memmem};

/// The most lines that could be header fields or delimit parts: each may become up to 200 bytes in memory.
const LINES_MAX: usize = 200_000;
/// The most for all fields that are taken to pieces, the square of their lengths: their parameters are compared with each other.
const SQUARES_MAX: u64 = 1 << 33;
/// The most bytes that are looked through for delimiters: to the end for each part that has parts, but lacks them.
const SOUGHT_MAX: u64 = 1 << 32;
/// The most for comparing a delimiter everywhere, its length by the message's.
const COMPARED_MAX: u64 = 1 << 37;
/// The largest message with a message in it that is encoded, bytes. RFC 2046 section 5.2.1 forbids that; nobody can say what is
/// within without decoding it.
const ENCODED_MAX: usize = 256 * 1024;

/// What the lines could come to.
#[derive(Default)]
struct Survey {
    n_lines: usize,
    squares: u64,
    longest: u64,
    n_multiparts: u64,
    has_digest: bool,
    has_encoded_message: bool,
    /// The lines since the last empty one.
    block: Block,
}

#[derive(Default)]
struct Block {
    is_encoded: bool,
    is_message: bool,
}

/// Whether the parser may have the message.
pub(super) fn is_bearable(raw: &[u8]) -> bool {
    let mut survey = Survey::default();
    let mut at = 0;
    while at < raw.len() {
        let line = line(&raw[at..]);
        let colon = memchr(b':', line);
        survey.n_lines += usize::from(colon.is_some()) + 2 * usize::from(memmem::find(line, b"--").is_some());
        if survey.n_lines > LINES_MAX || survey.squares > SQUARES_MAX {
            return false;
        }
        if line == b"\n" || line == b"\r\n" {
            survey.end_block();
        } else if let Some(colon) = colon
            && let Some(name) = name(&line[..colon])
        {
            let field = folded(&raw[at..]);
            survey.add(name, &field[colon + 1..]);
        }
        at += line.len();
    }
    survey.end_block();
    survey.is_bearable(raw.len())
}

#[derive(Clone, Copy)]
enum Name {
    Type,
    Disposition,
    Encoding,
}

impl Survey {
    fn add(&mut self, name: Name, value: &[u8]) {
        let length = length(value.len());
        self.squares = self.squares.saturating_add(length.saturating_mul(length));
        self.longest = self.longest.max(length);
        match name {
            Name::Type => {
                let value = value.to_ascii_lowercase();
                let has = |word: &[u8]| memmem::find(&value, word).is_some();
                self.n_multiparts += u64::from(has(b"multipart"));
                self.has_digest |= has(b"digest");
                self.block.is_message |= has(b"message");
            }
            Name::Encoding => {
                let value = value.trim_ascii();
                let is_plain = [&b"7bit"[..], b"8bit", b"binary"].iter().any(|it| value.eq_ignore_ascii_case(it));
                self.block.is_encoded |= !is_plain;
            }
            Name::Disposition => {}
        }
    }

    fn end_block(&mut self) {
        // What has no type within a digest is a message.
        let Block { is_encoded, is_message } = std::mem::take(&mut self.block);
        self.has_encoded_message |= is_encoded && (is_message || self.has_digest);
    }

    fn is_bearable(&self, size: usize) -> bool {
        let bytes = length(size);
        self.squares <= SQUARES_MAX
            && self.n_multiparts.saturating_mul(bytes) <= SOUGHT_MAX
            && self.longest.saturating_mul(bytes) <= COMPARED_MAX
            && (!self.has_encoded_message || size <= ENCODED_MAX)
    }
}

/// The line with its end.
fn line(bytes: &[u8]) -> &[u8] {
    memchr(b'\n', bytes).map_or(bytes, |it| &bytes[..=it])
}

/// The line with those that are folded to it.
fn folded(bytes: &[u8]) -> &[u8] {
    let mut end = line(bytes).len();
    while bytes[end..].starts_with(b" ") || bytes[end..].starts_with(b"\t") {
        end += line(&bytes[end..]).len();
    }
    &bytes[..end]
}

/// The parser takes no offence at spaces in a name.
fn name(bytes: &[u8]) -> Option<Name> {
    let is = |name: &str| {
        let letters = bytes.iter().filter(|it| !it.is_ascii_whitespace()).map(u8::to_ascii_lowercase);
        letters.eq(name.bytes())
    };
    if is("content-type") {
        Some(Name::Type)
    } else if is("content-disposition") {
        Some(Name::Disposition)
    } else if is("content-transfer-encoding") {
        Some(Name::Encoding)
    } else {
        None
    }
}

fn length(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
