//! What servers mean when they say no: by their codes (RFC 5530, RFC 2449 section 8, RFC 3206) and, where they give none, by the
//! words that the large ones use.

use std::time::Duration;

use domain::check::{ErrorKind, Stage};
use service::ports::MailError;

use crate::said;

/// Nobody is left alone for longer, whatever a server asks.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// Codes that say "not now", or that the trouble is the server's: of IMAP (RFC 5530, RFC 9738) and of POP3.
const NOT_NOW: [&str; 12] = [
    "UNAVAILABLE",
    "LIMIT",
    "INUSE",
    "SERVERBUG",
    "OVERQUOTA",
    "CONTACTADMIN",
    "MESSAGELIMIT",
    "THROTTLED",
    "IN-USE",
    "LOGIN-DELAY",
    "SYS/TEMP",
    "SYS/PERM",
];
const NOT_NOW_WORDS: [&str; 8] = [
    "throttled",
    "too many simultaneous",
    "too many connections",
    "too many concurrent",
    "maximum number of connections",
    "try again later",
    "temporary",
    "temporarily",
];
const EXPIRED_WORDS: [&str; 6] = [
    "accesstokenexpired",
    "token expired",
    "token has expired",
    "expired token",
    "password expired",
    "password has expired",
];

/// The error that a server's words make; `otherwise` is its kind where they say nothing better.
pub(crate) fn error(stage: Stage, otherwise: ErrorKind, words: &[u8]) -> MailError {
    let lower = String::from_utf8_lossy(words).to_lowercase();
    let retry_after = retry_after(&lower);
    let kind = kind(&lower).or(retry_after.map(|_| ErrorKind::Throttled)).unwrap_or(otherwise);
    MailError { retry_after, ..MailError::new(kind, stage, said(words)) }
}

/// The server asks to be left alone altogether, not only about the one thing.
pub(crate) fn is_about_everything(words: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(words).to_lowercase();
    let is_limited = code(&lower).is_some_and(|it| matches!(it, "limit" | "unavailable" | "throttled" | "login-delay"));
    is_limited || lower.contains("throttled") || retry_after(&lower).is_some()
}

/// No longer than that.
pub(crate) fn capped(wait: Duration) -> Duration {
    wait.min(RETRY_AFTER_MAX)
}

fn kind(lower: &str) -> Option<ErrorKind> {
    let code = code(lower).unwrap_or_default();
    if code == "expired" || EXPIRED_WORDS.iter().any(|it| lower.contains(it)) {
        return Some(ErrorKind::Expired);
    }
    // A code that says what is the matter counts more than words around it.
    let is_clear = ["authenticationfailed", "authorizationfailed", "auth", "nonexistent", "trycreate"].contains(&code);
    let is_not_now = NOT_NOW.iter().any(|it| code.eq_ignore_ascii_case(it))
        || (!is_clear && NOT_NOW_WORDS.iter().any(|it| lower.contains(it)));
    is_not_now.then_some(ErrorKind::Throttled)
}

/// The first word in the brackets that the text begins with.
fn code(text: &str) -> Option<&str> {
    let inner = text.trim_start().strip_prefix('[')?;
    inner.get(..inner.find([']', ' '])?)
}

/// "Suggested Backoff Time: 92415 milliseconds", "try again in 5 minutes", "wait 30 seconds".
fn retry_after(lower: &str) -> Option<Duration> {
    let is_about_time = ["backoff", "again", "retry", "wait"].iter().any(|it| lower.contains(it));
    if !is_about_time {
        return None;
    }
    let words: Vec<&str> =
        lower.split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty()).take(200).collect();
    words.windows(3).find_map(|it| {
        let [before, number, unit] = it else { return None };
        let is_wait = matches!(*before, "in" | "after" | "for" | "wait" | "time" | "least" | "about");
        let unit_ms = match *unit {
            "ms" | "msec" | "millisecond" | "milliseconds" => 1,
            "s" | "sec" | "secs" | "second" | "seconds" => 1000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            _ => return None,
        };
        let number: u64 = number.parse().ok().filter(|it| is_wait && *it > 0)?;
        Some(capped(Duration::from_millis(number.saturating_mul(unit_ms))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, kind: ErrorKind, retry_after: Option<u64>) {
        let error = error(Stage::Authenticate, ErrorKind::Authentication, words.as_bytes());
        assert_eq!((error.kind, error.retry_after), (kind, retry_after.map(Duration::from_millis)), "{words}");
    }

    #[test]
    fn servers_say_how_long_to_wait() {
        let throttled = ErrorKind::Throttled;
        check("Request is throttled. Suggested Backoff Time: 92415 milliseconds", throttled, Some(92_415));
        check("[LIMIT] Too many logins, try again in 30 seconds", throttled, Some(30_000));
        check("Please retry after 5 minutes.", throttled, Some(300_000));
        check("Locked; wait 2 hours", throttled, Some(7_200_000));
        check("try again in 99999999999999999999 hours", ErrorKind::Authentication, None);
        check("try again in 18446744073709551615 hours", throttled, Some(86_400_000));
        check("Invalid credentials, try again", ErrorKind::Authentication, None);
        check("logged in for 5 minutes", ErrorKind::Authentication, None);
    }

    #[test]
    fn the_server_s_trouble_is_told_from_the_password_s() {
        for words in [
            "[UNAVAILABLE] later",
            "[limit] x",
            "[IN-USE] locked",
            "[LOGIN-DELAY] slow",
            "[SYS/TEMP] x",
            "[SYS/PERM] x",
            "[ALERT] Too many simultaneous connections. (Failure)",
            "Temporary authentication failure",
        ] {
            check(words, ErrorKind::Throttled, None);
        }
        check("[EXPIRED] change it", ErrorKind::Expired, None);
        check("Session invalidated - AccessTokenExpired", ErrorKind::Expired, None);
        for words in ["", "[", "[]", "[AUTH] wrong", "[AUTHENTICATIONFAILED] temporarily wrong", "wrong"] {
            check(words, ErrorKind::Authentication, None);
        }
    }
}
