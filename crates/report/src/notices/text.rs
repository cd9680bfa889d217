//! What a notice says to people.

use std::time::Duration;

use domain::{
    check::ErrorKind,
    incident::{Cause, Incident},
    time::Timestamp,
};
use words::{Locale, Words};

use super::Event;

/// The most characters of a name in a notice: the subject of a mail is read in a list.
const NAME_MAX: usize = 80;
/// The most characters of what was said.
const SAID_MAX: usize = 500;

/// Subject and text of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
}

pub(super) fn letter(incident: &Incident, event: Event, locale: Locale) -> Letter {
    let words = locale.words();
    let what = what(&incident.cause, words);
    match event {
        Event::Opened => Letter {
            subject: words.notice.opened_subject(incident.cause.n_accounts, &what),
            text: opened(&incident.cause, &what, words),
        },
        Event::Over => Letter { subject: words.notice.over_subject(&what), text: over(incident, &what, words) },
    }
}

pub(super) fn test(locale: Locale) -> Letter {
    let words = &locale.words().notice;
    Letter { subject: words.test_subject.to_owned(), text: words.test_text.to_owned() }
}

fn opened(cause: &Cause, what: &str, words: &Words) -> String {
    let it = &words.notice;
    let mut counts = vec![it.accounts(cause.n_accounts)];
    counts.extend((cause.n_late > 0).then(|| it.late(cause.n_late)));
    counts.extend((cause.n_stopped > 0).then(|| it.stopped(cause.n_stopped)));
    let mut lines = vec![
        it.cause(what),
        it.since(cause.since.to_minute()),
        counts.join(" "),
        String::new(),
        it.example(clean(&cause.example_name, NAME_MAX), cause.example),
    ];
    let said = clean(&cause.message, SAID_MAX);
    lines.extend((!said.is_empty()).then(|| words.checks.details(said)));
    lines.extend([String::new(), it.to_do(next(cause.kind, words)), String::new(), it.sent_by.to_owned()]);
    lines.join("\r\n")
}

fn over(incident: &Incident, what: &str, words: &Words) -> String {
    let it = &words.notice;
    let from = began(incident);
    let to = incident.over_at.unwrap_or(from);
    let lines = [
        it.over(what),
        it.lasted(lasted(to.since(from), words), from.to_minute(), to.to_minute()),
        it.accounts_last(incident.cause.n_accounts),
        String::new(),
        it.sent_by.to_owned(),
    ];
    lines.join("\r\n")
}

/// When it began: accounts may have failed for a while before they were counted, and those may be well again.
fn began(incident: &Incident) -> Timestamp {
    incident.cause.since.min(incident.opened_at)
}

/// The cause in a few words, as a subject has it.
fn what(cause: &Cause, words: &Words) -> String {
    let it = &words.notice;
    let name = clean(cause.subject.name(), NAME_MAX);
    match cause.kind {
        None => it.what_silent.to_owned(),
        Some(ErrorKind::Resolve) => it.what_resolve(name),
        Some(ErrorKind::Egress) => it.what_egress(name),
        Some(ErrorKind::Refused) => it.what_refused(name),
        Some(ErrorKind::Timeout) => it.what_timeout(name),
        Some(ErrorKind::Connector) => it.what_connector(name),
        Some(ErrorKind::Tls) => it.what_tls(name),
        Some(ErrorKind::Certificate) => it.what_certificate(name),
        Some(ErrorKind::Protocol) => it.what_protocol(name),
        Some(ErrorKind::Authentication) => it.what_authentication(name),
        Some(ErrorKind::Expired) => it.what_expired(name),
        Some(ErrorKind::Mailbox) => it.what_mailbox(name),
        Some(ErrorKind::Throttled) => it.what_throttled(name),
        Some(ErrorKind::Storage) => it.what_storage.to_owned(),
        Some(ErrorKind::Internal) => it.what_internal.to_owned(),
    }
}

/// What to do, in the words that the screens use.
fn next(kind: Option<ErrorKind>, words: &Words) -> &'static str {
    let it = &words.checks;
    match kind {
        None => words.notice.next_silent,
        Some(ErrorKind::Resolve) => it.next_resolve,
        Some(ErrorKind::Egress) => it.next_egress,
        Some(ErrorKind::Refused) => it.next_refused,
        Some(ErrorKind::Timeout) => it.next_timeout,
        Some(ErrorKind::Connector) => it.next_connector,
        Some(ErrorKind::Tls) => it.next_tls,
        Some(ErrorKind::Certificate) => it.next_certificate,
        Some(ErrorKind::Protocol) => it.next_protocol,
        Some(ErrorKind::Authentication) => it.next_authentication,
        Some(ErrorKind::Expired) => it.next_expired,
        Some(ErrorKind::Mailbox) => it.next_mailbox,
        Some(ErrorKind::Throttled) => it.next_throttled,
        Some(ErrorKind::Storage) => it.next_storage,
        Some(ErrorKind::Internal) => it.next_internal,
    }
}

/// Two units at most: nobody needs the minutes of a day-long outage.
fn lasted(duration: Duration, words: &Words) -> String {
    let it = &words.notice;
    let minutes = duration.as_secs() / 60;
    let (days, hours, rest) = (minutes / (24 * 60), minutes / 60 % 24, minutes % 60);
    let parts = match (days, hours) {
        (0, 0) if rest == 0 => return it.moments.to_owned(),
        (0, 0) => vec![it.minutes(rest)],
        (0, _) => [Some(it.hours(hours)), (rest > 0).then(|| it.minutes(rest))].into_iter().flatten().collect(),
        _ => [Some(it.days(days)), (hours > 0).then(|| it.hours(hours))].into_iter().flatten().collect(),
    };
    parts.join(" ")
}

/// One line: what a server or a person wrote must not begin a line of its own.
pub(super) fn clean(text: &str, most: usize) -> String {
    let plain = |it: char| if domain::text::has_control(it.encode_utf8(&mut [0; 4])) { ' ' } else { it };
    let line: String = text.chars().map(plain).collect();
    let line = line.trim();
    if line.chars().count() <= most {
        return line.to_owned();
    }
    line.chars().take(most.saturating_sub(1)).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notices::samples::incident;

    fn over_after(minutes: i64) -> Incident {
        let it = incident(1);
        Incident { over_at: Some(Timestamp(began(&it).0 + minutes * 60_000_000)), ..it }
    }

    #[test]
    fn a_notice_says_what_since_when_how_many_and_what_to_do() {
        let it = letter(&incident(1), Event::Opened, Locale::En);
        assert_eq!(it.subject, "Posthorn: 287 accounts late or failing: mail.example.org does not answer in time");
        let expected = [
            "Cause: mail.example.org does not answer in time",
            "Since: 2026-01-31 14:30 UTC",
            "287 accounts are late or failing. 12 are late. 1 is stopped until somebody acts.",
            "",
            "For example: Billing (account 7)",
            "Technical detail: the server says: \u{ab}go away\u{bb}",
            "",
            "What to do: Check address and port, and whether a firewall drops the connection. The next check comes by itself.",
            "",
            "This mail was sent by the notices of Posthorn.",
        ];
        assert_eq!(it.text, expected.join("\r\n"));
    }

    #[test]
    fn an_end_says_how_long_it_lasted() {
        let it = letter(&over_after(133), Event::Over, Locale::En);
        assert_eq!(it.subject, "Posthorn: over: mail.example.org does not answer in time");
        let expected = "It lasted 2 hours 13 minutes, from 2026-01-31 14:30 to 2026-01-31 16:43 UTC.";
        assert!(it.text.contains(expected), "{}", it.text);
    }

    #[test]
    fn every_cause_reads_in_every_language() {
        for locale in Locale::ALL {
            for kind in ErrorKind::ALL.into_iter().map(Some).chain([None]) {
                let it = incident(1);
                let it = Incident { cause: Cause { kind, ..it.cause }, ..it };
                for event in [Event::Opened, Event::Over] {
                    let Letter { subject, text } = letter(&it, event, locale);
                    assert!(subject.starts_with("Posthorn: ") && subject.len() > 20, "{locale:?} {kind:?}: {subject}");
                    assert!(!format!("{subject}{text}").contains(['{', '}']), "{locale:?} {kind:?}: {text}");
                }
            }
        }
    }

    #[test]
    fn each_language_has_its_words() {
        let subject = |locale| letter(&incident(1), Event::Opened, locale).subject;
        assert_eq!(
            subject(Locale::PtBr),
            "Posthorn: 287 contas atrasadas ou com falha: mail.example.org não responde a tempo"
        );
        assert_eq!(
            subject(Locale::Es),
            "Posthorn: 287 cuentas atrasadas o con fallos: mail.example.org no responde a tiempo"
        );
        let over = |locale| letter(&over_after(26 * 60 + 5), Event::Over, locale).text;
        assert!(over(Locale::PtBr).contains("Durou 1 dia 2 horas, de "), "{}", over(Locale::PtBr));
        assert!(over(Locale::Es).contains("Duró 1 día 2 horas, de "), "{}", over(Locale::Es));
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        let words = Locale::En.words();
        for (minutes, expected) in [
            (0, "less than a minute"),
            (1, "1 minute"),
            (60, "1 hour"),
            (61, "1 hour 1 minute"),
            (24 * 60, "1 day"),
            (3 * 24 * 60 + 59, "3 days"),
            (3 * 24 * 60 + 4 * 60 + 9, "3 days 4 hours"),
        ] {
            assert_eq!(lasted(Duration::from_mins(minutes), words), expected);
        }
    }

    #[test]
    fn what_a_server_said_begins_no_line_and_has_an_end() {
        let it = incident(1);
        let message = format!("a\r\nSubject: b\u{202e}{}", "x".repeat(2000));
        let it = Incident { cause: Cause { message, example_name: "n\nm".to_owned(), ..it.cause }, ..it };
        let text = letter(&it, Event::Opened, Locale::En).text;
        assert!(text.contains("\r\nTechnical detail: a  Subject: b xxx"), "{text}");
        assert!(text.contains("For example: n m (account 7)"), "{text}");
        assert!(text.lines().all(|it| it.chars().count() <= 600), "{text}");
    }
}
