//! Reading messages: MIME by `mail-parser`, HTML washed by `ammonia`. Everything here may be hostile.

mod header;
mod html;
mod survey;

use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::message::{Attachment, MessageIndex};
use mail_parser::{HeaderName, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use service::ports::{MessageReader, ReadError, ReadMessage};

use self::header::{Head, Section};

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
        let header = Section::of(raw);
        let n_attachments = if raw.len() > WHOLE_MAX {
            Ok(0)
        } else {
            with_message(raw, &header, |it| Ok(u32::try_from(it.attachment_count()).unwrap_or(u32::MAX)))
        };
        let Head { subject, from, date, message_id, .. } = catch(|| header.head()).unwrap_or_default();
        MessageIndex {
            subject,
            from,
            date,
            n_attachments: n_attachments.unwrap_or_default(),
            message_id,
            is_unreadable: n_attachments.is_err(),
        }
    }

    fn read(&self, raw: &[u8]) -> Result<ReadMessage, ReadError> {
        let header = Section::of(raw);
        let read = with_message(raw, &header, |message| {
            let text = message.body_text(0).unwrap_or_default();
            Ok(ReadMessage {
                text: cut(&text).to_owned(),
                has_html: message.html_bodies().any(|it| matches!(it.body, PartType::Html(_))),
                attachments: message.attachments().enumerate().map(|(nth, part)| describe(nth, part)).collect(),
                ..ReadMessage::default()
            })
        });
        let read = match read {
            Err(ReadError::TooComplex) => ReadMessage { is_header_only: true, ..ReadMessage::default() },
            read => read?,
        };
        let ((headers, n_more_headers), Head { to, cc, .. }) = catch(|| (header.shown(), header.head()))?;
        Ok(ReadMessage { to, cc, headers, n_more_headers, ..read })
    }

    fn html(&self, raw: &[u8]) -> Result<String, ReadError> {
        with_message(raw, &Section::of(raw), html::document)
    }

    fn attachment(&self, raw: &[u8], index: u32) -> Result<(Attachment, Vec<u8>), ReadError> {
        with_message(raw, &Section::of(raw), |message| {
            let part = message.attachments().nth(index as usize).ok_or(ReadError::NoSuchPart)?;
            Ok((describe(index as usize, part), part.contents().to_vec()))
        })
    }
}

/// Parses and works on the message, of whose fields only those are read that say how it is built.
///
/// # Errors
/// `TooComplex` for what would take more time and memory than is borne: its header can be shown all the same.
fn with_message<T>(
    raw: &[u8],
    header: &Section<'_>,
    work: impl FnOnce(&Message<'_>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    if header.is_empty() {
        return Err(ReadError::Unreadable);
    }
    if !header.is_whole || raw.len() > WHOLE_MAX || !survey::is_bearable(raw) {
        return Err(ReadError::TooComplex);
    }
    catch(|| {
        let message = parser().parse(raw).map(Nested).ok_or(ReadError::Unreadable)?;
        if message.has_more_parts_than(PARTS_MAX) { Err(ReadError::TooComplex) } else { work(&message.0) }
    })?
}

/// A panic of the parser is the message's fault, not the program's end.
fn catch<T>(work: impl FnOnce() -> T) -> Result<T, ReadError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| ReadError::Unreadable)
}

/// What is no business of the parser here (addresses, above all, of messages within) it only passes over.
fn parser() -> MessageParser {
    MessageParser::new()
        .header_content_type(HeaderName::ContentType)
        .header_content_type(HeaderName::ContentDisposition)
        .header_raw(HeaderName::ContentTransferEncoding)
        .header_raw(HeaderName::ContentId)
        .default_header_ignore()
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

    /// One such mail took 3.2 GB when somebody opened it.
    #[test]
    fn of_a_million_header_fields_the_first_are_shown() {
        let mut raw = b"Subject: first\r\nFrom: a@example.org\r\n".to_vec();
        raw.extend(b"a:\n".repeat(1_000_000));
        raw.extend(b"\nHi");
        let index = Reader.index(&raw);
        assert_eq!(
            (index.subject.as_str(), index.from.as_str(), index.is_unreadable),
            ("first", "a@example.org", true)
        );
        let read = Reader.read(&raw).unwrap();
        assert_eq!((read.headers.len(), read.n_more_headers, read.is_header_only), (300, 999_702, true));
    }

    #[test]
    fn what_the_parser_would_make_too_much_of_is_shown_by_its_header() {
        let with = |header: &str, unit: &str, n: usize| format!("Subject: x\r\n{header}\r\n{}", unit.repeat(n));
        let within = "Content-Type: message/rfc822\r\n\r\n";
        let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        let encoded = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        for (name, raw) in [
            ("fields of a message within", with(within, "a:\n", 300_000)),
            ("fields of a part", with(multipart, "--b\na:\na:\na:\n", 80_000)),
            ("parts", with(multipart, "--b\n\n", 120_000)),
            ("parts that lack their parts", with("", "Content-Type: multipart/x; boundary=q\n\n--b\n", 15_000)),
            ("parameters", with("Content-Type: text/plain", " ;a*1=b\r\n", 20_000)),
            ("what is encoded", with(encoded, "YTpi\n", 60_000)),
        ] {
            let read = Reader.read(raw.as_bytes()).unwrap();
            assert!(read.is_header_only && !read.headers.is_empty(), "{name}");
            assert_eq!(Reader.index(raw.as_bytes()).subject, "x", "{name}");
            assert_eq!(Reader.attachment(raw.as_bytes(), 0).err(), Some(ReadError::TooComplex), "{name}");
        }
    }

    #[test]
    fn a_hundred_thousand_addresses_are_cut() {
        let raw = format!("Subject: x\r\nTo: a@example.org{}\r\n\r\nHi", ",\r\n b@example.org".repeat(50_000));
        let read = Reader.read(raw.as_bytes()).unwrap();
        assert!(read.to.starts_with("a@example.org, b@example.org") && read.to.len() < 64 * 1024, "{}", read.to.len());
        assert_eq!((read.text.as_str(), read.is_header_only), ("Hi", false));
    }

    #[test]
    fn what_people_send_is_no_trouble() {
        let line = "12:00:05 host daemon[1]: -- it: works --\r\n";
        let log = format!("Subject: log\r\nContent-Type: text/plain\r\n\r\n{}", line.repeat(40_000));
        assert_eq!(Reader.read(log.as_bytes()).map(|it| it.is_header_only), Ok(false));
        let forward = "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
            Subject: y\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: application/pdf\r\n\
            Content-Transfer-Encoding: base64\r\n\r\n";
        let forward = format!("{forward}{}--c--\r\n--b--\r\n", "YWJj\r\n".repeat(200_000));
        let read = Reader.read(forward.as_bytes()).unwrap();
        assert_eq!((read.is_header_only, read.attachments.len()), (false, 1));
    }

    /// Whatever is thrown together of what builds a message, each use of it ends and nothing panics.
    #[test]
    fn no_medley_of_lines_is_a_danger() {
        const LINES: [&str; 24] = [
            "Subject: =?utf-8?q?a",
            "From: a <a@example.org>, \"b",
            "Date: x",
            "Content-Type: multipart/mixed; boundary=b",
            "Content-Type: multipart/digest; boundary=\"c\"",
            "Content-Type: message/rfc822",
            "Content-Type: text/html",
            "Content-Type: text/plain; charset=utf-7; name*0*=utf-8''%41",
            " ;name*1=b",
            "Content-Transfer-Encoding: base64",
            "Content-Transfer-Encoding: quoted-printable",
            "Content-Disposition: attachment; filename=../x",
            "",
            "",
            "",
            "--b",
            "--c",
            "--b--",
            "--c--",
            "YWJj",
            "=41=",
            "<p>x",
            "\u{0}\u{1b}: \u{202e}",
            ":",
        ];
        let mut seed = 7_u64;
        let mut next = |n: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % n
        };
        for _ in 0..3_000 {
            let lines: Vec<&str> = (0..next(40)).map(|_| LINES[next(LINES.len())]).collect();
            crate::fuzzing::message(lines.join("\r\n").as_bytes());
        }
    }
}
