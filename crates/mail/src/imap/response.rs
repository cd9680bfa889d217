//! Responses of an IMAP server (RFC 9051 section 7, RFC 3501), read without recursion and within limits.
//!
//! Only what Posthorn asks for is understood; everything else is skipped by its framing.

use std::borrow::Cow;

use domain::check::Stage;
use service::ports::MailError;

use crate::{outlet::SAMPLE, protocol, wire::Wire};

/// The most tokens of one response, and the most bytes of its lines: a search among very many messages is shorter.
const TOKENS_MAX: usize = 500_000;
const TEXT_MAX: usize = 2 * 1024 * 1024;

/// One response: its lines, and what they say as a flat list.
#[derive(Debug, Default)]
pub(super) struct Response {
    text: Vec<u8>,
    tokens: Vec<Token>,
    /// Parentheses that are open.
    depth: usize,
    /// What it says after its tag, and after its status, where the server repeats our secret.
    redacted: Option<[Vec<u8>; 2]>,
}

/// A lexical unit at the first level of parentheses or above: nobody asks for what is deeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Where it stands in the lines.
    Atom {
        start: usize,
        end: usize,
    },
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A literal of so many bytes, more than is taken: it was passed over but for its beginning.
    TooLong {
        length: u64,
        sample: Vec<u8>,
    },
    Open,
    Close,
    /// A whole list within a list.
    Nested,
}

impl Response {
    /// Reads one response, literals and all; of literals so many bytes are taken.
    pub(super) async fn read(wire: &mut Wire, literal_max: u64) -> Result<Self, MailError> {
        let mut response = Self { tokens: Vec::with_capacity(16), ..Self::default() };
        let mut left = literal_max.min(wire.size_limit);
        loop {
            let start = response.text.len();
            wire.append_line(&mut response.text).await?;
            let line = &response.text[start..];
            // Else the length was wrong, and what was taken is not the whole text.
            if start > 0 && !matches!(line.first(), None | Some(b' ' | b')' | b']')) {
                return Err(protocol(wire.stage, "a text of the server goes on after its end"));
            }
            wire.hear(line);
            let literal = literal_length(line);
            let end = literal.map_or(response.text.len(), |(at, _)| start + at);
            response.lex(start, end);
            if response.tokens.len() > TOKENS_MAX || response.text.len() > TEXT_MAX {
                return Err(protocol(wire.stage, "the server's response is too complex"));
            }
            let Some((_, length)) = literal else {
                response.redact(wire);
                return Ok(response);
            };
            if response.depth > 1 {
                wire.skip(length, 0).await?;
            } else if length > left {
                // Samples of what is short could be as many as fill the memory.
                let is_message = wire.stage == Stage::Fetch && length > literal_max.min(wire.size_limit);
                let sample = wire.skip(length, if is_message { SAMPLE } else { 0 }).await?;
                response.tokens.push(Token::TooLong { length, sample });
            } else {
                left -= length;
                let length = usize::try_from(length)
                    .map_err(|_| protocol(wire.stage, "the server announced a message of impossible size"))?;
                response.tokens.push(Token::Text(wire.block(length).await?));
            }
            // An empty line must not look like the first.
            response.text.push(b' ');
        }
    }

    fn lex(&mut self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let from = at;
            at = match self.text[at] {
                b' ' => at + 1,
                b'(' => {
                    match self.depth {
                        0 => self.tokens.push(Token::Open),
                        1 => self.tokens.push(Token::Nested),
                        _ => {}
                    }
                    self.depth += 1;
                    at + 1
                }
                b')' => {
                    if self.depth <= 1 {
                        self.tokens.push(Token::Close);
                    }
                    self.depth = self.depth.saturating_sub(1);
                    at + 1
                }
                b'"' => self.quoted(at + 1, end),
                _ => atom_end(&self.text[..end], at),
            };
            let is_atom = !matches!(self.text[from], b' ' | b'(' | b')' | b'"');
            if is_atom && self.depth <= 1 {
                self.tokens.push(Token::Atom { start: from, end: at });
            }
        }
    }

    /// From after the opening quote; answers with where the text goes on.
    fn quoted(&mut self, start: usize, end: usize) -> usize {
        let mut value = Vec::new();
        let mut at = start;
        while at < end {
            match self.text[at] {
                b'"' => {
                    at += 1;
                    break;
                }
                b'\\' => {
                    at += 1;
                    value.extend(self.text[..end].get(at));
                }
                byte => value.push(byte),
            }
            at += 1;
        }
        if self.depth <= 1 {
            self.tokens.push(Token::Text(value));
        }
        at.min(end)
    }

    pub(super) fn atom_at(&self, nth: usize) -> Option<&str> {
        self.atom(self.tokens.get(nth)?)
    }

    fn atom(&self, token: &Token) -> Option<&str> {
        match token {
            Token::Atom { start, end } => std::str::from_utf8(self.text.get(*start..*end)?).ok(),
            _ => None,
        }
    }

    /// The atoms from this one on, as far as they are numbers.
    pub(super) fn numbers_from(&self, nth: usize) -> impl Iterator<Item = u32> {
        self.tokens.iter().skip(nth).filter_map(|it| self.atom(it)?.parse().ok())
    }

    /// The atoms from this one on.
    pub(super) fn words_from(&self, nth: usize) -> impl Iterator<Item = &str> {
        self.tokens.iter().skip(nth).filter_map(|it| self.atom(it))
    }

    /// `*`, `+`, or the tag of a command.
    pub(super) fn tag(&self) -> &str {
        self.atom_at(0).unwrap_or_default()
    }

    /// `OK`, `NO`, `FETCH` …: the word after the tag, or after the number of an untagged response.
    pub(super) fn is(&self, nth: usize, word: &str) -> bool {
        self.atom_at(nth).is_some_and(|it| it.eq_ignore_ascii_case(word))
    }

    /// The value after an item's name at the first level of `* n FETCH (…)`.
    pub(super) fn item(&self, is_name: impl Fn(&str) -> bool) -> Option<&Token> {
        self.tokens.get(self.place(is_name)?)
    }

    /// The same, moved out.
    pub(super) fn into_item(mut self, is_name: impl Fn(&str) -> bool) -> Option<Token> {
        let at = self.place(is_name).filter(|it| *it < self.tokens.len())?;
        Some(self.tokens.swap_remove(at))
    }

    fn place(&self, is_name: impl Fn(&str) -> bool) -> Option<usize> {
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().skip(3) {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth -= 1,
                Token::Atom { .. } if depth == 1 && self.atom(token).is_some_and(&is_name) => return Some(at + 1),
                _ => {}
            }
        }
        None
    }

    pub(super) fn number_item(&self, name: &str) -> Option<u64> {
        self.atom(self.item(|it| it.eq_ignore_ascii_case(name))?)?.parse().ok()
    }

    /// Whether the token stands for "there is none".
    pub(super) fn is_nil(&self, token: &Token) -> bool {
        self.atom(token).is_some_and(|it| it.eq_ignore_ascii_case("NIL"))
    }

    /// The code in brackets of a status response: `[AUTHENTICATIONFAILED]`, `[UIDVALIDITY 7]`.
    pub(super) fn code(&self) -> Option<String> {
        let text = self.atom_at(2)?.strip_prefix('[')?;
        Some(text.get(..text.find(']')?)?.to_ascii_uppercase())
    }

    /// What a status response says after its tag and status.
    pub(super) fn said(&self) -> &[u8] {
        self.redacted.as_ref().map_or_else(|| self.after(1), |[_, said]| said)
    }

    fn after(&self, nth: usize) -> &[u8] {
        match self.tokens.get(nth) {
            Some(Token::Atom { end, .. }) => self.text[*end..].trim_ascii(),
            Some(_) => self.text.trim_ascii(),
            None => b"",
        }
    }

    /// Messages are not shown to anybody; what a server says of itself may be.
    fn redact(&mut self, wire: &Wire) {
        if self.is(2, "FETCH") {
            return;
        }
        if let (Cow::Owned(rest), said) = (wire.tap.redacted(self.after(0)), wire.tap.redacted(self.after(1))) {
            self.redacted = Some([rest, said.into_owned()]);
        }
    }

    /// What a response says after its tag, for people.
    pub(super) fn words(&self) -> String {
        crate::said(self.redacted.as_ref().map_or_else(|| self.after(0), |[rest, _]| rest))
    }
}

/// Up to a space or parenthesis; what stands in brackets belongs to it: `BODY[HEADER.FIELDS (X)]`, `[UIDNEXT 5]`.
fn atom_end(text: &[u8], start: usize) -> usize {
    let mut in_brackets = false;
    let end = text[start..].iter().position(|byte| match byte {
        b'[' => {
            in_brackets = true;
            false
        }
        b']' => {
            in_brackets = false;
            false
        }
        b' ' | b'(' | b')' => !in_brackets,
        _ => false,
    });
    end.map_or(text.len(), |it| start + it)
}

/// Where a line ends in `{n}` or `{n+}`: the start of that, and n.
fn literal_length(line: &[u8]) -> Option<(usize, u64)> {
    let inner = line.strip_suffix(b"}")?;
    let start = inner.iter().rposition(|it| *it == b'{')?;
    let digits = std::str::from_utf8(&inner[start + 1..]).ok()?;
    let digits = digits.strip_suffix('+').unwrap_or(digits);
    let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    // More than fits is more than is taken, whatever it is.
    is_number.then(|| (start, digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexed(text: &str) -> Response {
        let mut response = Response { text: text.as_bytes().to_vec(), ..Response::default() };
        response.lex(0, text.len());
        response
    }

    #[test]
    fn items_are_found_at_the_first_level_only() {
        let response = lexed(r#"* 3 FETCH (ENVELOPE ("UID" (UID 9)) UID 7 RFC822.SIZE 120 BODY[] "x")"#);
        assert_eq!(response.number_item("UID"), Some(7));
        assert_eq!(response.number_item("rfc822.size"), Some(120));
        assert_eq!(response.item(|it| it.starts_with("BODY[")), Some(&Token::Text(b"x".to_vec())));
    }

    #[test]
    fn two_hundred_thousand_parentheses_are_next_to_nothing() {
        let response = lexed(&format!("* 3 FETCH (BODYSTRUCTURE {}", "(".repeat(200_000)));
        assert_eq!(response.number_item("UID"), None);
        assert!(response.tokens.len() < 10);
    }

    #[test]
    fn codes_keep_their_arguments() {
        assert_eq!(lexed("* OK [UIDVALIDITY 7] fine").code().as_deref(), Some("UIDVALIDITY 7"));
        assert_eq!(lexed("A1 NO nothing [here]").code(), None);
        assert_eq!(lexed("A1 BAD").code(), None);
    }

    #[test]
    fn literals_are_counted_blocks() {
        assert_eq!(literal_length(b"* 1 FETCH (BODY[] {12}"), Some((18, 12)));
        assert_eq!(literal_length(b"{4294967296}"), Some((0, 4_294_967_296)));
        assert_eq!(literal_length(b"no {literal}"), None);
    }
}
