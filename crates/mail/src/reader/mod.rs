//! Reading messages: MIME by `mail-parser`, HTML washed by `ammonia`. Everything here may be hostile.

mod html;

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::{
    message::{Attachment, MessageIndex},
    time::Timestamp,
};
use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use service::ports::{MessageReader, ReadError, ReadMessage};

/// Messages with more parts are shown raw: two million empty parts need eighteen times their size in memory.
const PARTS_MAX: usize = 10_000;
/// Above this only the headers are read.
const WHOLE_MAX: usize = 50 * 1024 * 1024;
/// The longest text that is shown, bytes.
const TEXT_MAX: usize = 2 * 1024 * 1024;
/// The longest subject or sender that is kept in the index, characters.
const LINE_MAX: usize = 500;

/// Reads stored messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader;

impl MessageReader for Reader {
    fn index(&self, raw: &[u8]) -> MessageIndex {
        with_message(raw, |message| {
            Ok(MessageIndex {
                subject: clean(message.subject().unwrap_or_default()),
                from: clean(&addresses(message.from())),
                date: message.date().filter(|it| it.is_valid()).map(|it| Timestamp::from_seconds(it.to_timestamp())),
                n_attachments: u32::try_from(message.attachment_count()).unwrap_or(u32::MAX),
                message_id: clean(message.message_id().unwrap_or_default()),
                is_unreadable: false,
            })
        })
        .unwrap_or_else(|_| MessageIndex { is_unreadable: true, ..MessageIndex::default() })
    }

    fn read(&self, raw: &[u8]) -> Result<ReadMessage, ReadError> {
        with_message(raw, |message| {
            let text = message.body_text(0).unwrap_or_default();
            Ok(ReadMessage {
                to: addresses(message.to()),
                cc: addresses(message.cc()),
                text: cut(&text).to_owned(),
                has_html: message.html_bodies().any(|it| matches!(it.body, PartType::Html(_))),
                headers: headers(message),
                attachments: message.attachments().enumerate().map(|(nth, part)| describe(nth, part)).collect(),
            })
        })
    }

    fn html(&self, raw: &[u8]) -> Result<String, ReadError> {
        with_message(raw, html::document)
    }

    fn attachment(&self, raw: &[u8], index: u32) -> Result<(Attachment, Vec<u8>), ReadError> {
        with_message(raw, |message| {
            let part = message.attachments().nth(index as usize).ok_or(ReadError::NoSuchPart)?;
            Ok((describe(index as usize, part), part.contents().to_vec()))
        })
    }
}

/// Parses and works on the message; a panic of the parser is the message's fault, not the program's end.
fn with_message<T>(raw: &[u8], work: impl FnOnce(&Message<'_>) -> Result<T, ReadError>) -> Result<T, ReadError> {
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        let parser = MessageParser::default();
        if raw.len() > WHOLE_MAX { parser.parse_headers(raw) } else { parser.parse(raw) }
            .map(Nested)
            .ok_or(ReadError::Unreadable)
            .and_then(|message| {
                let has_header = message.0.headers().iter().any(|it| !it.name().is_empty());
                if message.has_more_parts_than(PARTS_MAX) {
                    Err(ReadError::TooComplex)
                } else if has_header {
                    work(&message.0)
                } else {
                    Err(ReadError::Unreadable)
                }
            })
    }));
    parsed.unwrap_or(Err(ReadError::Unreadable))
}

/// A message that may hold messages within messages, thousands deep: dropped as it is, it would overflow the stack, which nothing
/// can catch.
struct Nested<'x>(Message<'x>);

impl Nested<'_> {
    /// Counts the parts of the messages within it too.
    fn has_more_parts_than(&self, max: usize) -> bool {
        let (mut n_parts, mut messages) = (0, vec![&self.0]);
        while let Some(message) = messages.pop() {
            n_parts += message.parts.len();
            if n_parts > max {
                return true;
            }
            messages.extend(message.parts.iter().filter_map(|it| match &it.body {
                PartType::Message(inner) => Some(inner),
                _ => None,
            }));
        }
        false
    }
}

impl Drop for Nested<'_> {
    /// Takes the messages apart one by one, none of them within another any more.
    fn drop(&mut self) {
        let mut messages = vec![std::mem::take(&mut self.0)];
        while let Some(mut message) = messages.pop() {
            for part in &mut message.parts {
                if let PartType::Message(inner) = &mut part.body {
                    messages.push(std::mem::take(inner));
                }
            }
        }
    }
}

fn headers(message: &Message<'_>) -> Vec<(String, String)> {
    let decode = |name: &str, raw: &str| {
        // A header on its own is a message without a body: the parser decodes its words.
        let line = format!("Subject:{raw}\r\n\r\n");
        let decoded = MessageParser::default().parse(line.as_bytes()).and_then(|it| it.subject().map(str::to_owned));
        (clean(name), clean(decoded.as_deref().unwrap_or(raw.trim())))
    };
    message.headers_raw().map(|(name, raw)| decode(name, raw)).collect()
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

fn describe(nth: usize, part: &MessagePart<'_>) -> Attachment {
    let content_type = part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |it| format!("{}/{}", it.ctype(), it.subtype().unwrap_or("octet-stream")),
    );
    Attachment {
        index: u32::try_from(nth).unwrap_or(u32::MAX),
        name: file_name(part.attachment_name(), nth),
        content_type: clean(&content_type.to_ascii_lowercase()),
        size: part.contents().len() as u64,
    }
}

/// The last component without controls; a name that is none gets a number.
fn file_name(name: Option<&str>, nth: usize) -> String {
    let last = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String =
        clean(last).chars().filter(|it| !matches!(it, '"' | '<' | '>' | ':' | '|' | '?' | '*')).collect();
    let clean = clean.trim_matches(['.', ' ']);
    if clean.is_empty() { format!("attachment-{}", nth + 1) } else { clean.chars().take(150).collect() }
}

/// One line of it: controls and directional overrides become spaces.
fn clean(text: &str) -> String {
    let bare = |it: char| if domain::text::has_control(it.encode_utf8(&mut [0; 4])) { ' ' } else { it };
    text.chars().map(bare).take(LINE_MAX).collect::<String>().trim().to_owned()
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"From: =?utf-8?q?Jos=C3=A9?= <jose@example.org>\r\nTo: a@example.org\r\n\
        Subject: =?utf-8?b?T2zDoQ==?= <script>\r\nDate: Sat, 31 Jan 2026 14:30:05 +0000\r\nMessage-ID: <1@x>\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHi\r\n\
        --b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"../../etc/passwd\"\r\n\r\nPDF\r\n--b--\r\n";

    #[test]
    fn the_index_holds_what_a_list_shows() {
        let index = Reader.index(MAIL);
        assert_eq!(index.subject, "Ol\u{e1} <script>");
        assert_eq!(index.from, "Jos\u{e9} <jose@example.org>");
        assert_eq!(index.date.map(|it| it.to_string()).as_deref(), Some("2026-01-31T14:30:05Z"));
        assert_eq!((index.n_attachments, index.is_unreadable), (1, false));
    }

    #[test]
    fn a_file_name_is_never_a_path() {
        let (attachment, bytes) = Reader.attachment(MAIL, 0).unwrap();
        assert_eq!((attachment.name.as_str(), bytes.as_slice()), ("passwd", b"PDF".as_slice()));
        assert_eq!(file_name(Some("..\\..\\x\u{202e}fdp.exe"), 0), "x fdp.exe");
        assert_eq!(file_name(Some(".."), 2), "attachment-3");
    }

    #[test]
    fn bytes_that_are_no_message_are_marked_and_kept() {
        assert!(Reader.index(b"").is_unreadable);
        assert!(Reader.index(&[0, 255, 254, 10, 10]).is_unreadable);
    }
}
