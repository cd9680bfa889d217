//! The mails that carry reports and notices (RFC 5322, MIME), and the one that tests a configuration.

use std::time::{Duration, SystemTime};

use domain::{email::EmailAddress, schedule::Format, smtp::SmtpDraft, time::Timestamp};
use lettre::{
    Message,
    message::{
        Attachment, Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue},
    },
};
use words::Locale;

/// A mail without its content.
pub(crate) struct Envelope<'a> {
    pub(crate) smtp: &'a SmtpDraft,
    pub(crate) to: &'a EmailAddress,
    pub(crate) subject: String,
    pub(crate) message_id: String,
    pub(crate) at: Timestamp,
}

/// Tells automatic answerers to keep quiet (RFC 3834 section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The mail with these files; an HTML file becomes its body, beside the text.
pub(crate) fn report(
    envelope: &Envelope<'_>,
    text: String,
    files: &[(Format, String, Vec<u8>)],
) -> Result<Vec<u8>, lettre::error::Error> {
    let html = files.iter().find(|(format, ..)| *format == Format::Html);
    let body = match html {
        Some((_, _, html)) => MultiPart::alternative_plain_html(text, String::from_utf8_lossy(html).into_owned()),
        None => MultiPart::mixed().singlepart(SinglePart::plain(text)),
    };
    let attached: Vec<_> = files.iter().filter(|(format, ..)| *format != Format::Html).collect();
    let whole = if attached.is_empty() {
        body
    } else {
        let mut mixed = MultiPart::mixed().multipart(body);
        for (format, name, bytes) in attached {
            let kind = ContentType::parse(format.content_type()).unwrap_or(ContentType::TEXT_PLAIN);
            let body = Body::new_with_encoding(bytes.clone(), ContentTransferEncoding::Base64);
            // Base64 takes every byte.
            let body = body.unwrap_or_else(Body::new);
            mixed = mixed.singlepart(Attachment::new(name.clone()).body(body, kind));
        }
        mixed
    };
    Ok(builder(envelope)?.multipart(whole)?.formatted())
}

/// A short mail that says that sending works.
pub(crate) fn test(envelope: &Envelope<'_>, locale: Locale) -> Result<Vec<u8>, lettre::error::Error> {
    let text = locale.words().report.test_text(&envelope.smtp.name);
    Ok(builder(envelope)?.singlepart(SinglePart::plain(text))?.formatted())
}

/// A notice: plain text alone. `answers` is the Message-ID of the notice that it follows (RFC 5322 section 3.6.4).
pub(crate) fn notice(
    envelope: &Envelope<'_>,
    text: String,
    answers: Option<String>,
) -> Result<Vec<u8>, lettre::error::Error> {
    let mut builder = builder(envelope)?;
    if let Some(id) = answers {
        builder = builder.in_reply_to(id.clone()).references(id);
    }
    Ok(builder.singlepart(SinglePart::plain(text))?.formatted())
}

fn builder(envelope: &Envelope<'_>) -> Result<lettre::message::MessageBuilder, lettre::error::Error> {
    let mailbox = |it: &EmailAddress| {
        let address = it.as_str().parse().map_err(|_| lettre::error::Error::MissingFrom)?;
        Ok::<_, lettre::error::Error>(Mailbox::new(None, address))
    };
    let since = Duration::from_micros(u64::try_from(envelope.at.0).unwrap_or_default());
    let mut builder = Message::builder()
        .from(mailbox(&envelope.smtp.sender)?)
        .to(mailbox(envelope.to)?)
        .subject(envelope.subject.clone())
        .message_id(Some(envelope.message_id.clone()))
        .date(SystemTime::UNIX_EPOCH + since)
        .header(AutoSubmitted);
    if let Some(reply_to) = &envelope.smtp.reply_to {
        builder = builder.reply_to(mailbox(reply_to)?);
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use domain::smtp::{SmtpDraft, SmtpForm};

    use super::*;

    #[test]
    fn the_mail_is_ascii_and_carries_its_files() {
        let form = SmtpForm {
            name: "Relay".to_owned(),
            sender: "posthorn@example.org".to_owned(),
            reply_to: "help@example.org".to_owned(),
            address: "smtp.example.org".to_owned(),
            ..SmtpForm::new_record()
        };
        let smtp = SmtpDraft::try_from(&form).unwrap();
        let to = EmailAddress::parse("ana@example.org").unwrap();
        let envelope = Envelope {
            smtp: &smtp,
            to: &to,
            subject: "Relatório: São Paulo".to_owned(),
            message_id: "<1.2.3@example.org>".to_owned(),
            at: Timestamp::from_seconds(1_769_869_805),
        };
        let files = [
            (Format::Csv, "contas.csv".to_owned(), "\u{feff}ID\r\n1\r\n".as_bytes().to_vec()),
            (Format::Html, "contas.html".to_owned(), b"<p>1</p>".to_vec()),
        ];
        let mail = String::from_utf8(report(&envelope, "Olá".to_owned(), &files).unwrap()).unwrap();
        assert!(mail.is_ascii());
        for expected in [
            "Message-ID: <1.2.3@example.org>",
            "Auto-Submitted: auto-generated",
            "Reply-To: help@example.org",
            "Date: Sat, 31 Jan 2026 14:30:05",
            "filename=\"contas.csv\"",
            "multipart/alternative",
        ] {
            assert!(mail.contains(expected), "{expected}: {mail}");
        }
    }
}
