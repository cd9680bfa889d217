//! The rotation of a password as HTML: the form, and how each account that uses it does since.

use domain::{
    account::{Account, User},
    credential::{Credential, CredentialForm},
    ids::CredentialId,
    time::Timestamp,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    accounts::{self, health::HealthCell},
    context::{self, actor, service},
    error::UserError,
    posted::Posted,
    ui::{
        field::{Face, TextField},
        form::{ErrorSummary, live_error},
        notice::Failure,
    },
};

/// The form, and the accounts.
pub async fn load(id: CredentialId) -> Result<AnyView, UserError> {
    let (use_cases, actor) = (service()?, actor()?);
    let credential = use_cases.credentials().load(&actor, id).await?;
    let mut found = Vec::new();
    for (user, _) in use_cases.credentials().used_by(&actor, id).await? {
        let User::Account(id) = user else { continue };
        match use_cases.accounts().load(&actor, id).await {
            Ok(account) => found.push(account),
            // Removed, and can still be restored.
            Err(service::Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let posted = use_context::<Posted<CredentialForm>>().unwrap_or_default();
    let listed = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let uses = context::words().lists.uses_records(credential.n_uses);
    let all = (credential.n_uses > listed).then(|| view! { <p class="hint">{uses}</p> });
    let (now, since) = (use_cases.now(), credential.secret_set_at);
    let rows = found.into_iter().map(|account| view! { <Row account since now/> }).collect_view();
    let words = &context::words().oauth;
    Ok(view! {
        <Fields credential posted/>
        <section class="card"><h2>{words.accounts}</h2>{all}<ul>{rows}</ul></section>
    }
    .into_any())
}

fn label(field: &str) -> &'static str {
    let words = &context::words().credentials;
    match field {
        "secret" => words.password,
        "secret_ends_on" => context::words().tokens.password_ends_on,
        _ => words.name,
    }
}

#[component]
fn Fields(credential: Credential, posted: Posted<CredentialForm>) -> impl IntoView {
    let all = context::words();
    let words = &all.oauth;
    let Posted { form, problems, is_conflict, error } = posted;
    let problems = RwSignal::new(problems);
    let face = Face {
        name: "secret",
        label: label("secret"),
        hint: words.rotate_hint.to_owned(),
        error: live_error(problems, "secret", label("secret")),
        required: true,
    };
    let ends = Face {
        name: "secret_ends_on",
        label: label("secret_ends_on"),
        hint: all.tokens.password_ends_on_hint.to_owned(),
        error: live_error(problems, "secret_ends_on", label("secret_ends_on")),
        required: false,
    };
    let conflict = is_conflict.then(|| view! { <div class="summary" role="alert"><p>{words.conflict}</p></div> });
    let Credential { id, name, username, version, .. } = credential;
    view! {
        {error.map(|error| view! { <Failure error/> })}
        <ErrorSummary problems label/>
        {conflict}
        <form class="card form" method="post" action=format!("{PATH}/rotate/{id}") novalidate=true>
            <h2>{words.rotate_title}</h2>
            <p><bdi>{name}</bdi>", "<bdi>{username}</bdi></p>
            <input type="hidden" name="version" value=version.to_string()/>
            <TextField face value="" kind="password" autocomplete="new-password"/>
            <TextField face=ends value=form.secret_ends_on.unwrap_or_default()/>
            <div class="buttons">
                <button class="button primary" type="submit">{words.rotate}</button>
                <a class="button" href=format!("{PATH}/{id}")>{all.common.cancel}</a>
            </div>
        </form>
    }
}

/// What is known of the account since the secret was set.
#[component]
fn Row(account: Account, since: Timestamp, now: Timestamp) -> impl IntoView {
    let words = &context::words().oauth;
    let Account { id, draft, health, .. } = account;
    let has_failed = health.failure.as_ref().is_some_and(|it| it.since >= since);
    let is_good = health.failure.is_none() && health.last_success_at.is_some_and(|it| it >= since);
    let state = if !draft.enabled {
        view! { <span class="state">{words.disabled}</span> }.into_any()
    } else if has_failed || is_good {
        view! { <HealthCell health now/> }.into_any()
    } else {
        view! { <span class="state">{words.waiting}</span> }.into_any()
    };
    view! { <li><a href=format!("{}/{id}", accounts::PATH)><bdi>{draft.name}</bdi></a>" "{state}</li> }
}
