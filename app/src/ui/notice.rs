//! What the page has to say: flashes after a success, failures that stay, empty lists.

use domain::check::ErrorKind;
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_location, use_query_map},
    params::ParamsMap,
};

use super::icon::Icon;
use crate::{context, error::UserError, inbox::wording};

/// The words of a success that the URL names by its key, so that no text of a URL is ever shown.
fn flash_text(key: &str) -> Option<&'static str> {
    let words = context::words();
    Some(match key {
        "account-saved" => words.accounts.flash_saved,
        "account-deleted" => words.accounts.flash_deleted,
        "account-restored" => words.accounts.flash_restored,
        "older-deleted" => words.accounts.flash_older,
        "older-kept" => words.accounts.flash_older_kept,
        "credential-saved" => words.credentials.saved,
        "oauth-connected" => words.credentials.connected,
        "credential-deleted" => words.credentials.deleted,
        "smtp-saved" => words.smtp.saved,
        "smtp-deleted" => words.smtp.deleted,
        "schedule-saved" => words.schedules.saved,
        "schedule-deleted" => words.schedules.deleted,
        "schedule-paused" => words.schedules.paused,
        "schedule-resumed" => words.schedules.resumed,
        "schedule-started" => words.schedules.started,
        "delivery-repeated" => words.schedules.repeated,
        "retried" => words.ledger.retried,
        "notices-saved" => words.notices.saved,
        "connector-saved" => words.connectors.saved,
        "connector-deleted" => words.connectors.deleted,
        "host-key-approved" => words.connectors.approved,
        "agent-approved" => words.connectors.agent_approved,
        "agent-removed" => words.connectors.agent_removed,
        "authority-saved" => words.trust.saved,
        "authority-deleted" => words.trust.deleted,
        _ => return None,
    })
}

/// How a check ended that was asked for without script: what arrived, or what failed and what to do.
fn check_text(new: u64, failure: &str) -> (bool, String) {
    let all = context::words();
    let words = &all.checks;
    let arrived = if new == 0 { words.nothing_new.to_owned() } else { words.arrived(new) };
    match (failure, ErrorKind::parse(failure)) {
        ("", _) => (false, arrived),
        (_, None) => (true, words.lost.to_owned()),
        (_, Some(kind)) => {
            let came = if new == 0 { format!("{}.", words.outcome_failed) } else { words.partly(new) };
            (true, format!("{came} {}. {}", wording::kind(kind, all), wording::next_step(kind, all)))
        }
    }
}

/// What the URL has to say, and whether it is bad.
fn said(query: &ParamsMap) -> Option<(bool, String)> {
    let key = query.get("flash")?;
    match key.as_str() {
        "checked" => {
            let failure = query.get("failure").unwrap_or_default();
            Some(check_text(query.get("new").and_then(|it| it.parse().ok()).unwrap_or(0), &failure))
        }
        "in-use" => Some((true, context::words().common.in_use.to_owned())),
        key => flash_text(key).map(|it| (false, it.to_owned())),
    }
}

/// The flash that the URL asks for, if any.
#[component]
pub fn Flash() -> impl IntoView {
    let query = use_query_map();
    let text = move |is_bad: bool| said(&query.read()).filter(|it| it.0 == is_bad).map(|it| it.1);
    view! {
        <div role="status" class="flash-region">
            {move || text(false).map(|it| view! { <p class="flash"><Icon name="check"/>{it}</p> })}
        </div>
        {move || text(true).map(|it| view! { <p class="alert" role="alert"><Icon name="alert"/>{it}</p> })}
    }
}

/// A failure, with what to do and the reference to give.
#[component]
pub fn Failure(error: UserError) -> impl IntoView {
    let words = context::words();
    let text = error.wording(words);
    let signed_out = error == UserError::SignedOut;
    let path = use_location().pathname;
    let sign_in = move || format!("/sign-in?return={}", path.get());
    view! {
        <div class="alert" role="alert">
            <Icon name="alert"/>
            <p>{text}</p>
            {signed_out.then(|| view! { <a href=sign_in rel="external">{words.sign_in.title}</a> })}
        </div>
    }
}

/// A list with nothing in it, and what to do about that.
#[component]
pub fn Empty(title: &'static str, hint: &'static str, children: Children) -> impl IntoView {
    view! {
        <div class="empty">
            <h2>{title}</h2>
            <p>{hint}</p>
            {children()}
        </div>
    }
}
