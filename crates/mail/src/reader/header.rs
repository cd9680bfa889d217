//! The header fields at the beginning of a message, as many as can be borne. Nothing is decoded but what is shown.

use domain::time::Timestamp;
use mail_parser::{Address, Message, MessageParser};

use super::clean;

/// What stands behind so many bytes or fields is counted, and not looked at.
const BYTES_MAX: usize = 1024 * 1024;
const FIELDS_MAX: usize = 10_000;
/// So many fields are shown.
const SHOWN_MAX: usize = 300;
/// Of a field so much is decoded, bytes: what looks like encoded words and is none costs the square of its length.
const VALUE_MAX: usize = 4 * 1024;
/// Of those to whom it is addressed.
const ADDRESSES_MAX: usize = 32 * 1024;

/// A field as it stands there, folded.
struct Field<'x> {
    name: &'x [u8],
    value: &'x [u8],
}

/// The fields of a message up to the empty line.
pub(super) struct Section<'x> {
    fields: Vec<Field<'x>>,
    n_fields: usize,
    /// Whether all of them are here.
    pub(super) is_whole: bool,
}

/// What of the header is shown by name, decoded.
#[derive(Default)]
pub(super) struct Head {
    pub(super) subject: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) cc: String,
    pub(super) date: Option<Timestamp>,
    pub(super) message_id: String,
}

impl<'x> Section<'x> {
    pub(super) fn of(raw: &'x [u8]) -> Self {
        let mut section = Self { fields: Vec::new(), n_fields: 0, is_whole: true };
        // Where the value of the last field begins, until the next one begins.
        let mut open: Option<(&[u8], usize)> = None;
        let mut at = 0;
        for line in raw.split_inclusive(|it| *it == b'\n') {
            let is_folded = open.is_some() && (line.starts_with(b" ") || line.starts_with(b"\t"));
            if !is_folded {
                section.add(open.take(), raw, at);
                if line.trim_ascii().is_empty() {
                    return section;
                }
                let colon = line.iter().position(|it| *it == b':');
                open = colon.map(|it| (line[..it].trim_ascii(), at + it + 1)).filter(|it| !it.0.is_empty());
            }
            at += line.len();
        }
        section.add(open, raw, at);
        section
    }

    fn add(&mut self, open: Option<(&'x [u8], usize)>, raw: &'x [u8], end: usize) {
        let Some((name, start)) = open else { return };
        self.n_fields += 1;
        if end <= BYTES_MAX && self.fields.len() < FIELDS_MAX {
            self.fields.push(Field { name, value: &raw[start..end] });
        } else {
            self.is_whole = false;
        }
    }

    /// A message without a single field is none.
    pub(super) fn is_empty(&self) -> bool {
        self.n_fields == 0
    }

    /// What lists show. Of fields that stand there twice the last one counts.
    pub(super) fn head(&self) -> Head {
        let mut bytes = Vec::new();
        for (name, max) in [
            ("Subject", VALUE_MAX),
            ("From", VALUE_MAX),
            ("To", ADDRESSES_MAX),
            ("Cc", ADDRESSES_MAX),
            ("Date", VALUE_MAX),
            ("Message-ID", VALUE_MAX),
        ] {
            let field = self.fields.iter().rev().find(|it| it.name.eq_ignore_ascii_case(name.as_bytes()));
            if let Some(field) = field {
                push(&mut bytes, name, field.value, max);
            }
        }
        let Some(message) = MessageParser::default().parse_headers(&bytes) else { return Head::default() };
        Head {
            subject: clean(message.subject().unwrap_or_default()),
            from: clean(&addresses(message.from())),
            to: addresses(message.to()),
            cc: addresses(message.cc()),
            date: date(&message),
            message_id: clean(message.message_id().unwrap_or_default()),
        }
    }

    /// Names and decoded values in their order, the first ones, and how many more there are.
    pub(super) fn shown(&self) -> (Vec<(String, String)>, u32) {
        let fields: Vec<_> = self.fields.iter().take(SHOWN_MAX).map(Field::shown).collect();
        let n_more = self.n_fields - fields.len();
        (fields, u32::try_from(n_more).unwrap_or(u32::MAX))
    }
}

impl Field<'_> {
    fn shown(&self) -> (String, String) {
        // On its own it is a message without a body: the parser decodes its words.
        let mut bytes = Vec::new();
        push(&mut bytes, "Subject", self.value, VALUE_MAX);
        let message = MessageParser::default().parse_headers(&bytes);
        let decoded = message.as_ref().and_then(Message::subject);
        (clean(&String::from_utf8_lossy(self.name)), clean(decoded.unwrap_or_default()))
    }
}

fn push(into: &mut Vec<u8>, name: &str, value: &[u8], max: usize) {
    into.extend_from_slice(name.as_bytes());
    into.push(b':');
    into.extend_from_slice(value.get(..max).unwrap_or(value).trim_ascii_end());
    into.extend_from_slice(b"\r\n");
}

fn date(message: &Message<'_>) -> Option<Timestamp> {
    message.date().filter(|it| it.is_valid()).map(|it| Timestamp::from_seconds(it.to_timestamp()))
}

fn addresses(address: Option<&Address<'_>>) -> String {
    let one = |name: Option<&str>, address: Option<&str>| match (name, address) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (Some(text), None) | (None, Some(text)) => text.to_owned(),
        (None, None) => String::new(),
    };
    let Some(address) = address else { return String::new() };
    address.iter().map(|it| one(it.name(), it.address())).collect::<Vec<_>>().join(", ")
}
