//! What is wrong with an input, field by field, without words: the wording is chosen from the locale where it is shown.

use serde::{Deserialize, Serialize};

/// The rule that a value broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Nothing was entered or chosen.
    Missing,
    /// More characters than `max`.
    TooLong { max: u32 },
    /// Control characters or directional overrides.
    Control,
    /// Another record has this name.
    Taken,
    /// Not a host name, IPv4 or IPv6 address.
    NotAnAddress,
    /// More than `max` of them.
    TooMany { max: u32 },
    /// Not one mail address: `name@host`, in ASCII before the `@`.
    NotAMailAddress,
    /// Not an absolute `http` or `https` URL.
    NotAUrl,
    /// Not a time of day: `08:00`.
    NotATime,
    /// Not a zone of the IANA time zone database: `America/Sao_Paulo`.
    NotAZone,
    /// Not a cron expression of five fields, or one that never comes.
    NotACron,
    /// Not the fingerprint of a key, or not a private key as OpenSSH writes it.
    NotAKey,
    /// Not a day of the calendar: `2026-01-31`.
    NotADay,
    /// Not the fingerprint of a key: `SHA256:` and Base64.
    NotAPin,
    /// Not certificates in PEM.
    NotACertificate,
    /// Not a whole number from 1 to 65535.
    NotAPort,
    /// Not one of the options.
    NotAnOption,
    /// Not a whole number from `min` to `max`.
    OutOfRange { min: u32, max: u32 },
    /// The chosen record does not exist any more.
    Gone,
    /// The destination changed: sending the credential there must be confirmed.
    GrantNeeded,
    /// A certificate can be skipped only on a secure connection.
    NeedsSecureConnection,
    /// Fewer characters than `min`.
    TooShort { min: u32 },
    /// The account is disabled, and a disabled account is never contacted.
    AccountDisabled,
    /// A copy of each message is kept on the server: nothing is deleted there.
    CopyKept,
    /// The user name and the password do not match what is stored, or the code is wrong.
    Refused,
}

/// One problem with one field. Fields have the names of the JSON interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub field: String,
    pub rule: Rule,
}

impl Problem {
    pub fn new(field: &str, rule: Rule) -> Self {
        Self { field: field.to_owned(), rule }
    }
}

/// Collects every problem of a form in the order of its fields.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn note(&mut self, field: &str, rule: Rule) {
        self.0.push(Problem::new(field, rule));
    }

    /// Keeps the value, or notes the problem and goes on.
    pub(crate) fn keep<T>(&mut self, field: &str, result: Result<T, Rule>) -> Option<T> {
        result.map_err(|rule| self.note(field, rule)).ok()
    }

    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

/// A required one-line text of at most `max` characters. One in which nothing can be seen is as good as none.
pub(crate) fn line(text: &str, max: u32) -> Result<String, Rule> {
    let text = text.trim();
    if !crate::text::is_visible(text) {
        Err(Rule::Missing)
    } else if text.chars().count() > max as usize {
        Err(Rule::TooLong { max })
    } else if crate::text::has_control(text) {
        Err(Rule::Control)
    } else {
        Ok(text.to_owned())
    }
}

/// A Yes/No choice with a default for what was not sent.
pub(crate) fn yes_no(text: &str, default: bool) -> Result<bool, Rule> {
    match text {
        "" => Ok(default),
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(Rule::NotAnOption),
    }
}

/// A port number.
pub(crate) fn port(text: &str) -> Result<u16, Rule> {
    text.trim().parse().ok().filter(|it| *it != 0).ok_or(Rule::NotAPort)
}

/// One of the options, required.
pub(crate) fn choice<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Rule> {
    if text.is_empty() { Err(Rule::Missing) } else { parse(text).ok_or(Rule::NotAnOption) }
}
