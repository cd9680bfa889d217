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
