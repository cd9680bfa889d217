//! Responses of an IMAP server (RFC 9051 section 7, RFC 3501), read without recursion and within limits.
//!
//! Only what Posthorn asks for is understood; everything else is skipped by its framing.

use service::ports::MailError;

use crate::{protocol, wire::Wire};

/// One response: its text, with `None` where a literal stood, and the literals in their order.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) tokens: Vec<Token>,
}

/// A lexical unit. Parentheses are tokens, so that any depth of nesting is a flat list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A literal of so many bytes, more than is taken: it was passed over.
    TooLong(u64),
    Open,
    Close,
}

/// The most tokens of one response: 1 MiB of line holds no more that matter.
const TOKENS_MAX: usize = 1_000_000;

impl Response {
    /// Reads one response, literals and all.
    pub(super) async fn read(wire: &mut Wire) -> Result<Self, MailError> {
        let mut response = Self::default();
        let mut is_after_literal = false;
        loop {
            let line = wire.line().await?;
            // Else the length was wrong, and what was taken is not the whole text.
            if is_after_literal && !matches!(line.first(), None | Some(b' ' | b')' | b']')) {
                return Err(protocol(wire.stage, "a text of the server goes on after its end"));
            }
            is_after_literal = true;
            let literal = literal_length(&line);
            let text = literal.map_or(line.as_slice(), |(start, _)| &line[..start]);
            response.lex(text);
            if response.tokens.len() > TOKENS_MAX {
                return Err(protocol(wire.stage, "the server's response is too complex"));
            }
            let Some((_, length)) = literal else { return Ok(response) };
            if length > wire.size_limit {
                wire.skip(length).await?;
                response.tokens.push(Token::TooLong(length));
                continue;
            }
            let length = usize::try_from(length)
                .map_err(|_| protocol(wire.stage, "the server announced a message of impossible size"))?;
            response.tokens.push(Token::Text(wire.block(length).await?));
        }
    }

    fn lex(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some((first, after)) = rest.split_first() {
            rest = match first {
                b' ' => after,
                b'(' => {
                    self.tokens.push(Token::Open);
                    after
                }
                b')' => {
                    self.tokens.push(Token::Close);
                    after
                }
                b'"' => self.quoted(after),
                _ => self.atom(rest),
            };
        }
    }

    fn quoted<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let mut value = Vec::new();
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => {
                    at += 1;
                    break;
                }
                b'\\' => {
                    at += 1;
                    value.extend(text.get(at));
                }
                byte => value.push(*byte),
            }
            at += 1;
        }
        self.tokens.push(Token::Text(value));
        text.get(at..).unwrap_or_default()
    }

    /// Up to a space or parenthesis; what stands in brackets belongs to it: `BODY[HEADER.FIELDS (X)]`, `[UIDNEXT 5]`.
    fn atom<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let mut in_brackets = false;
        let end = text.iter().position(|byte| match byte {
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
        let (atom, rest) = text.split_at(end.unwrap_or(text.len()));
        self.tokens.push(Token::Atom(String::from_utf8_lossy(atom).into_owned()));
        rest
    }

    pub(super) fn atom_at(&self, nth: usize) -> Option<&str> {
        match self.tokens.get(nth) {
            Some(Token::Atom(text)) => Some(text),
            _ => None,
        }
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
                Token::Atom(name) if depth == 1 && is_name(name) => return Some(at + 1),
                _ => {}
            }
        }
        None
    }

    pub(super) fn number_item(&self, name: &str) -> Option<u64> {
        match self.item(|it| it.eq_ignore_ascii_case(name)) {
            Some(Token::Atom(text)) => text.parse().ok(),
            _ => None,
        }
    }

    /// The code in brackets of a status response: `[AUTHENTICATIONFAILED]`, `[UIDVALIDITY 7]`.
    pub(super) fn code(&self) -> Option<String> {
        let text = self.atom_at(2)?;
        let end = text.find(']')?;
        text.get(1..end).filter(|_| text.starts_with('[')).map(str::to_ascii_uppercase)
    }

    /// What a status response says, for people.
    pub(super) fn words(&self) -> String {
        let words = self.tokens.iter().skip(1).map(|it| match it {
            Token::Atom(text) => text.clone(),
            Token::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Token::Open => "(".to_owned(),
            Token::Close => ")".to_owned(),
            Token::TooLong(length) => format!("{{{length}}}"),
        });
        crate::said(words.take(60).collect::<Vec<_>>().join(" ").as_bytes())
    }
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
        let mut response = Response::default();
        response.lex(text.as_bytes());
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
    fn two_hundred_thousand_parentheses_are_only_tokens() {
        let response = lexed(&format!("* 3 FETCH (BODYSTRUCTURE {}", "(".repeat(200_000)));
        assert_eq!(response.number_item("UID"), None);
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
