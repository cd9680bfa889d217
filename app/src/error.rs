//! The one mapping from what went wrong to what a user sees. No free text: the wording is chosen from the locale.

use domain::problem::{Problem, Rule};
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};
use words::Words;

use crate::codec::JsonText;

/// Why a server function did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserError {
    SignedOut,
    Forbidden,
    NotFound,
    Conflict,
    InUse,
    Invalid(Vec<Problem>),
    /// Seconds to wait.
    TooOften(u64),
    /// It never reached the server.
    Unreachable,
    /// Logged on the server under this reference.
    Failed {
        reference: String,
    },
}

impl FromServerFnError for UserError {
    type Encoder = JsonText;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) => Self::Unreachable,
            _ => Self::Failed { reference: "transport".to_owned() },
        }
    }
}

impl UserError {
    /// In words; broken rules with the names of their fields in the JSON interface, since no form is at hand.
    pub fn wording(&self, words: &Words) -> String {
        let all = words;
        let words = &words.common;
        match self {
            Self::SignedOut => words.signed_out.to_owned(),
            Self::Forbidden => words.forbidden.to_owned(),
            Self::NotFound => words.not_found_hint.to_owned(),
            Self::Conflict => words.conflict_title.to_owned(),
            Self::InUse => words.in_use.to_owned(),
            Self::Invalid(problems) => {
                let lines = problems.iter().map(|it| problem_wording(&it.rule, &it.field, all));
                lines.collect::<Vec<_>>().join(". ")
            }
            Self::TooOften(seconds) => words.too_often(seconds),
            Self::Unreachable => words.unreachable.to_owned(),
            Self::Failed { reference } => words.failed(reference),
        }
    }
}

/// The status that goes with an error, for pages, server functions and plain routes alike.
#[cfg(feature = "ssr")]
pub fn status(error: &service::Error) -> http::StatusCode {
    use http::StatusCode;

    match error {
        service::Error::Forbidden(_) | service::Error::Refused => StatusCode::FORBIDDEN,
        service::Error::NotFound => StatusCode::NOT_FOUND,
        service::Error::Conflict | service::Error::InUse(_) => StatusCode::CONFLICT,
        service::Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        service::Error::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
        service::Error::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(feature = "ssr")]
impl From<service::Error> for UserError {
    fn from(error: service::Error) -> Self {
        // Within a page or a server function, the response says it too.
        if let Some(response) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>() {
            response.set_status(status(&error));
        }
        match error {
            service::Error::Forbidden(_) | service::Error::Refused => Self::Forbidden,
            service::Error::NotFound => Self::NotFound,
            service::Error::Conflict => Self::Conflict,
            service::Error::InUse(_) => Self::InUse,
            service::Error::Invalid(problems) => Self::Invalid(problems),
            service::Error::TooManyAttempts { retry_after_s } => Self::TooOften(retry_after_s),
            service::Error::Internal { reference } => Self::Failed { reference },
        }
    }
}

/// A problem in words: what rule the field with this label broke.
pub fn problem_wording(rule: &Rule, label: &str, words: &Words) -> String {
    let words = &words.problems;
    match rule {
        Rule::Missing => words.missing(label),
        Rule::TooLong { max } => words.too_long(label, max),
        Rule::TooShort { min } => words.too_short(label, min),
        Rule::Control => words.control(label),
        Rule::Taken => words.taken(label),
        Rule::NotAnAddress => words.not_an_address(label),
        Rule::TooMany { max } => words.too_many(label, max),
        Rule::NotAMailAddress => words.not_a_mail_address(label),
        Rule::NotAUrl => words.not_a_url(label),
        Rule::NotATime => words.not_a_time(label),
        Rule::NotAZone => words.not_a_zone(label),
        Rule::NotACron => words.not_a_cron(label),
        Rule::NotADay => words.not_a_day(label),
        Rule::NotAPin => words.not_a_pin(label),
        Rule::NotACertificate => words.not_a_certificate(label),
        Rule::NotAPort => words.not_a_port(label),
        Rule::NotAKey => words.not_a_key(label),
        Rule::NotAnOption => words.not_an_option(label),
        Rule::OutOfRange { min, max } => words.out_of_range(label, min, max),
        Rule::Gone => words.gone(label),
        Rule::GrantNeeded => words.grant_needed(label),
        Rule::NeedsSecureConnection => words.needs_secure_connection(label),
        Rule::Refused => words.refused(label),
        Rule::AccountDisabled => words.account_disabled.to_owned(),
        Rule::CopyKept => words.copy_kept.to_owned(),
    }
}
