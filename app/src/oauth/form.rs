//! The form of an OAuth 2.0 credential, its state, and what can be done about it, as HTML.

use domain::{
    account::UsedBy,
    actor::Permission,
    credential::Credential,
    device::{DeviceFlow, DeviceState},
    ids::CredentialId,
    notices::Webhook,
    oauth::{Grant, OAuthForm, OAuthStatus, Provider, TokenState},
    time::Timestamp,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    context::{self, actor, service},
    credentials::{PATH as CREDENTIALS, used::UsedByList},
    error::UserError,
    inbox::text::plain,
    posted::Posted,
    ui::{
        field::{Face, SelectField, TextField},
        form::{ErrorSummary, live_error},
        notice::Failure,
    },
};

/// What came of asking the provider, or where somebody is to go; the server hands it to the page.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The address at the provider.
    pub go: Option<String>,
    /// What went wrong, for administrators.
    pub error: Option<String>,
}

/// Where providers send people back to; the server hands it to the page. `None` without a public address.
#[derive(Clone, Debug, Default)]
pub struct RedirectUri(pub Option<String>);

/// The form of a stored credential with its state, or an empty one.
pub async fn load(id: Option<CredentialId>) -> Result<AnyView, UserError> {
    let (service, actor) = (service()?, actor()?);
    let posted = use_context::<Posted<OAuthForm>>();
    let stored = match id {
        Some(id) => Some(service.oauth().load(&actor, id).await?),
        None => None,
    };
    let fresh = || {
        let form = stored.as_ref().map(|it| OAuthForm::of(&it.0, &it.1.settings)).unwrap_or_default();
        Posted { form, ..Posted::default() }
    };
    let posted = posted.unwrap_or_else(fresh);
    let credential = stored.as_ref().map(|it| it.0.clone());
    let device = match id {
        Some(id) => service.oauth().device(&actor, id).await?,
        None => None,
    };
    let state = stored.map(|(credential, status, used_by)| view! { <State credential status used_by device/> });
    Ok(view! { {state}<Fields posted credential/> }.into_any())
}

fn label(field: &str) -> &'static str {
    let all = context::words();
    let words = &all.oauth;
    match field {
        "username" => all.credentials.username,
        "provider" => words.provider,
        "grant" => words.grant,
        "tenant" => words.tenant,
        "client_id" => words.client_id,
        "secret" => words.secret,
        "scopes" => words.scopes,
        "authorize_url" => words.authorize_url,
        "device_url" => all.tokens.device_url,
        "secret_ends_on" => all.tokens.secret_ends_on,
        "token_url" => words.token_url,
        _ => all.credentials.name,
    }
}

#[component]
fn Fields(posted: Posted<OAuthForm>, credential: Option<Credential>) -> impl IntoView {
    let all = context::words();
    let words = &all.oauth;
    let Posted { form, problems, is_conflict, error } = posted;
    let problems = RwSignal::new(problems);
    let face = move |name: &'static str, hint: &str| Face {
        name,
        label: label(name),
        hint: hint.to_owned(),
        error: live_error(problems, name, label(name)),
        required: matches!(name, "name" | "username" | "provider" | "grant" | "client_id"),
    };
    // After a conflict the next save is meant to replace what is stored now.
    let stored_version = credential.as_ref().map(|it| it.version.to_string()).unwrap_or_default();
    let version = if is_conflict { stored_version } else { form.version };
    let target = credential.map_or_else(|| "new".to_owned(), |it| it.id.to_string());
    let option = |value: &str, label: &str| (value.to_owned(), label.to_owned());
    let providers = vec![
        option(Provider::Microsoft.as_str(), words.microsoft),
        option(Provider::Google.as_str(), words.google),
        option(Provider::Other.as_str(), words.other),
    ];
    let grants = vec![
        option(Grant::AuthorizationCode.as_str(), words.authorization_code),
        option(Grant::DeviceCode.as_str(), all.tokens.device_code),
        option(Grant::ClientCredentials.as_str(), words.client_credentials),
    ];
    let conflict = is_conflict.then(|| view! { <div class="summary" role="alert"><p>{words.conflict}</p></div> });
    view! {
        {error.map(|error| view! { <Failure error/> })}
        <ErrorSummary problems label/>
        {conflict}
        <form class="card form" method="post" action=format!("{PATH}/{target}") novalidate=true>
            <input type="hidden" name="version" value=version/>
            <TextField face=face("name", all.credentials.name_hint) value=form.name/>
            <TextField face=face("username", words.username_hint) value=form.username/>
            <SelectField face=face("provider", "") options=providers value=form.provider/>
            <SelectField face=face("grant", "") options=grants value=form.grant/>
            <TextField face=face("tenant", words.tenant_hint) value=form.tenant/>
            <TextField face=face("client_id", "") value=form.client_id/>
            <TextField face=face("secret", words.secret_hint) value="" kind="password" autocomplete="new-password"/>
            <TextField face=face("secret_ends_on", all.tokens.secret_ends_on_hint) value=form.secret_ends_on/>
            <TextField face=face("scopes", words.scopes_hint) value=form.scopes/>
            <TextField face=face("authorize_url", words.url_hint) value=form.authorize_url/>
            <TextField face=face("device_url", all.tokens.device_url_hint) value=form.device_url/>
            <TextField face=face("token_url", words.url_hint) value=form.token_url/>
            <div class="buttons">
                <button class="button primary" type="submit">{words.save}</button>
                <a class="button" href=CREDENTIALS>{all.common.cancel}</a>
            </div>
        </form>
    }
}

pub(super) fn time(at: Option<Timestamp>, otherwise: &str) -> String {
    at.map_or_else(|| otherwise.to_owned(), |it| format!("{} UTC", it.to_minute()))
}

/// How the tokens stand, who must act, and the way to do it.
#[component]
fn State(
    credential: Credential,
    status: OAuthStatus,
    used_by: UsedBy,
    /// The last device code.
    device: Option<DeviceFlow>,
) -> impl IntoView {
    let words = &context::words().oauth;
    let Outcome { go, error } = use_context().unwrap_or_default();
    let RedirectUri(redirect) = use_context().unwrap_or_default();
    let tokens = &context::words().tokens;
    let grant = status.settings.grant;
    let needs_consent = grant == Grant::AuthorizationCode;
    let state = match status.state {
        TokenState::Never => words.never.to_owned(),
        TokenState::Ok => words.ok.to_owned(),
        TokenState::NeedsPerson => words.needs_person(plain(status.message.as_deref().unwrap_or_default())),
    };
    let who = (status.state != TokenState::Ok).then(|| {
        let text = if grant.is_consented() { words.who_owner } else { words.who_manager };
        view! { <p>{text}</p> }
    });
    let class = if status.state == TokenState::NeedsPerson { "state warn" } else { "state" };
    let (action, button) = match grant {
        Grant::AuthorizationCode => ("start", words.connect),
        Grant::DeviceCode => ("device", tokens.connect_device),
        Grant::ClientCredentials => ("fetch", words.fetch),
    };
    let action = format!("{PATH}/{}/{action}", credential.id);
    let may_start = !needs_consent || redirect.is_some();
    let go = go.map(|url| {
        let host = status.settings.authorize_url.as_ref().map(Webhook::authority).unwrap_or_default();
        view! { <div role="status"><p><a class="button primary" rel="noreferrer" href=url>{words.go(&host)}</a></p><p class="hint">{words.go_hint}</p></div> }
    });
    let error = error.map(|it| {
        view! { <div class="alert" role="alert"><p><strong>{words.failed}</strong></p><p><bdi>{it}</bdi></p></div> }
    });
    let address = needs_consent.then(|| match redirect {
        Some(uri) => {
            view! { <dt>{words.redirect}</dt><dd class="mono">{uri}</dd><dd class="hint">{words.redirect_hint}</dd> }
                .into_any()
        }
        None => view! { <dt>{words.redirect}</dt><dd class="error">{words.no_url}</dd> }.into_any(),
    });
    let shown = match device.map(|it| it.state) {
        // There is one at a time.
        Some(DeviceState::Pending) => {
            view! { <p><a class="button" href=format!("{PATH}/{}/device?follow=1", credential.id)>{tokens.show_code}</a></p> }.into_any()
        }
        _ => may_start
            .then(|| view! { <form method="post" action=action><button class="button" type="submit">{button}</button></form> })
            .into_any(),
    };
    let is_ok = status.state == TokenState::Ok;
    let renewed = is_ok.then(|| view! { " "{words.renewed} });
    let consent_ends = (grant.is_consented() && is_ok).then(|| {
        view! { <dt>{tokens.consent_ends}</dt><dd>{time(status.consent_ends_at, tokens.consent_no_end)}</dd> }
    });
    let uses = if used_by.is_empty() {
        view! { <p>{words.not_used}</p> }.into_any()
    } else {
        view! { <UsedByList used_by/> }.into_any()
    };
    let removal = &context::words().credentials;
    let (id, version) = (credential.id, credential.version);
    let may_delete = context::user().is_some_and(|it| it.role.may(Permission::Delete));
    let delete = (credential.n_uses == 0 && may_delete).then(|| {
        view! {
            <details class="removal">
                <summary>{removal.delete}</summary>
                <form method="post" action=format!("{CREDENTIALS}/delete/{id}")>
                    <input type="hidden" name="version" value=version.to_string()/>
                    <p>{removal.delete_title}" "{removal.delete_hint}</p>
                    <button class="button danger" type="submit">{removal.delete}</button>
                </form>
            </details>
        }
    });
    view! {
        {error}
        <section class="card">
            <h2>{words.kind}</h2>
            <dl>
                <dt>{words.state}</dt><dd><span class=class>{state}</span></dd>
                <dt>{words.obtained}</dt><dd>{time(status.obtained_at, words.never)}</dd>
                <dt>{words.expires}</dt><dd>{time(status.expires_at, words.never)}{renewed}</dd>
                {consent_ends}
                <dt>{words.accepted}</dt><dd>{time(credential.last_accepted_at, words.accepted_never)}</dd>
                {address}
            </dl>
            {who}
            {go}
            {shown}
        </section>
        <section class="card used-by"><h2>{words.where_used}</h2>{uses}{delete}</section>
    }
}
