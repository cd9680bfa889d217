//! The form of a credential. It posts to a plain route, with and without WebAssembly; with it, the rules run here first.

use domain::{
    credential::{CredentialForm, SecretInput},
    ids::CredentialId,
    problem::Problem,
    query,
};
use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::hooks::{use_params_map, use_query_map};
use wasm_bindgen::JsCast as _;
use web_sys::{HtmlFormElement, HtmlInputElement, HtmlTextAreaElement};

use super::{
    PATH,
    api::{Details, load_credential},
    used::{UsedByList, day, id_in_path, local_path},
};
use crate::{
    context,
    posted::Posted,
    ui::{
        field::{Face, TextField},
        form::{ErrorSummary, guard_unsaved, live_error},
        notice::Failure,
        page::Page,
    },
};

/// What the route that takes the form hands back to it; the secret is emptied before.
pub type PostedCredential = Posted<CredentialForm>;

/// A new credential, or a stored one.
#[component]
pub fn FormPage() -> impl IntoView {
    let words = &context::words().credentials;
    let (params, query) = (use_params_map(), use_query_map());
    let id = Memo::new(move |_| id_in_path::<CredentialId>(params.read().get("id")));
    let details = Resource::new(move || id.get(), load_credential);
    let title = if id.get_untracked().is_some() { words.edit_title } else { words.new_title };
    view! {
        <Page title=title>
            <Transition fallback=|| view! { <p aria-busy="true">{context::words().common.loading}</p> }>
                {move || {
                    let (id, back) = (id.get(), local_path(query.read().get("return")));
                    Suspend::new(async move {
                        match details.await {
                            Ok(details) => view! { <Fields id details back/> }.into_any(),
                            Err(error) => view! { <Failure error/> }.into_any(),
                        }
                    })
                }}
            </Transition>
        </Page>
    }
}

fn label(field: &str) -> &'static str {
    let words = &context::words().credentials;
    match field {
        "username" => words.username,
        "secret" => words.password,
        "private_key" => words.private_key,
        _ => words.name,
    }
}

/// What stands in the form now.
fn typed(form: &HtmlFormElement) -> CredentialForm {
    let value = |name: &str| {
        let input = form
            .query_selector(&format!("[name={name}]"))
            .ok()
            .flatten()
            .and_then(|it| it.dyn_into::<HtmlInputElement>().ok());
        input.map(|it| it.value()).unwrap_or_default()
    };
    let area = form.query_selector("[name=private_key]").ok().flatten();
    let area = area.and_then(|it| it.dyn_into::<HtmlTextAreaElement>().ok());
    CredentialForm {
        name: value("name"),
        username: value("username"),
        secret: SecretInput(value("secret")),
        secret_ends_on: None,
        private_key: SecretInput(area.map(|it| it.value()).unwrap_or_default()),
        version: value("version"),
    }
}

#[component]
fn Fields(id: Option<CredentialId>, details: Details, back: Option<String>) -> impl IntoView {
    let all = context::words();
    let words = &all.credentials;
    let Details { credential, used_by, posted } = details;
    let stored = credential.as_ref().map(CredentialForm::of).unwrap_or_default();
    let Posted { form, problems, is_conflict, error } =
        posted.unwrap_or_else(|| Posted { form: stored.clone(), ..Posted::default() });
    // After a conflict the next save is meant to replace what is stored now.
    let version = if is_conflict { stored.version.clone() } else { form.version.clone() };
    let problems = RwSignal::new(problems);
    let is_dirty = RwSignal::new(false);
    guard_unsaved(is_dirty);
    let on_submit = move |event: SubmitEvent| {
        let Some(form) = event.target().and_then(|it| it.dyn_into::<HtmlFormElement>().ok()) else { return };
        let found: Vec<Problem> = typed(&form).draft().err().unwrap_or_default();
        if found.is_empty() {
            is_dirty.set(false);
        } else {
            event.prevent_default();
            problems.set(found);
        }
    };
    let target = id.map_or_else(|| "new".to_owned(), |it| it.to_string());
    // In the address too: a form that comes back with problems still knows where to go.
    let query = back.as_ref().map(|it| format!("?return={}", query::encode_value(it))).unwrap_or_default();
    let face = move |name: &'static str, hint: &'static str| Face {
        name,
        label: label(name),
        hint: hint.to_owned(),
        error: live_error(problems, name, label(name)),
        required: !matches!(name, "secret" | "private_key") || (name == "secret" && id.is_none()),
    };
    let conflict = is_conflict.then(|| {
        view! {
            <div class="alert" role="alert">
                <p><strong>{words.conflict_title}</strong></p>
                <p>{words.conflict_hint}</p>
                <p><bdi>{words.conflict_now(&stored.name, &stored.username)}</bdi></p>
            </div>
        }
    });
    let set = credential.as_ref().map(|it| words.secret_set(day(it.secret_set_at), &it.secret_set_by));
    let cancel = back.clone().unwrap_or_else(|| PATH.to_owned());
    let removal = credential.map(|it| view! { <Removal id=it.id version=it.version n_uses=it.n_uses used_by/> });
    view! {
        {error.map(|error| view! { <Failure error/> })}
        {conflict}
        <ErrorSummary problems label/>
        <form class="card form" method="post" action=format!("{PATH}/save/{target}{query}") novalidate=true on:submit=on_submit
            on:input=move |_| is_dirty.set(true)>
            <input type="hidden" name="version" value=version/>
            <input type="hidden" name="return" value=back.unwrap_or_default()/>
            <TextField face=face("name", words.name_hint) value=form.name/>
            <TextField face=face("username", words.username_hint) value=form.username/>
            <Secret face=face("secret", if id.is_some() { words.replace_hint } else { words.password_hint })
                key=face("private_key", words.private_key_hint) set/>
            <div class="buttons">
                <button class="button primary" type="submit">{words.save}</button>
                <a class="button" href=cancel>{words.cancel}</a>
            </div>
        </form>
        {id.map(|it| view! { <p><a href=format!("{PATH}/rotate/{it}")>{words.rotate}</a></p> })}
        {removal}
    }
}

/// The write-only secret. A stored one is replaced only by choice: the field opens with the disclosure.
#[component]
fn Secret(face: Face, key: Face, set: Option<String>) -> impl IntoView {
    let words = &context::words().credentials;
    let has_key_error = key.error.get_untracked().is_some();
    let has_error = face.error.get_untracked().is_some() || has_key_error;
    let field = view! {
        <TextField face value="" kind="password" autocomplete="new-password"/>
        <details class="replace" open=has_key_error>
            <summary>{words.key_summary}</summary>
            <KeyField face=key/>
        </details>
    };
    match set {
        None => field.into_any(),
        Some(set) => view! {
            <p class="secret-state">{words.secret}": "<bdi>{set}</bdi></p>
            <details class="replace" open=has_error><summary>{words.replace}</summary>{field}</details>
        }
        .into_any(),
    }
}

/// A private key has several lines, which a password field would swallow.
#[component]
fn KeyField(face: Face) -> impl IntoView {
    view! {
        <div class="field">
            <label for=face.name>{face.label}</label>
            {face.hint()}
            {face.error()}
            <textarea id=face.name name=face.name rows="6" class="mono" autocomplete="off" autocapitalize="off" spellcheck="false"
                aria-invalid=face.invalid() aria-describedby=face.described_by()></textarea>
        </div>
    }
}

/// Where it is used, and its deletion while nothing uses it.
#[component]
fn Removal(id: CredentialId, version: i64, n_uses: u64, used_by: domain::account::UsedBy) -> impl IntoView {
    let words = &context::words().credentials;
    let rest = n_uses.saturating_sub(used_by.len() as u64);
    let uses = if n_uses == 0 {
        view! { <p>{words.not_used_hint}</p> }.into_any()
    } else {
        view! {
            <UsedByList used_by/>
            {(rest > 0).then(|| view! { <p>{words.more_uses(rest)}</p> })}
            <p class="hint">{words.delete_in_use}</p>
        }
        .into_any()
    };
    let delete = (n_uses == 0).then(|| {
        view! {
            <details class="removal">
                <summary>{words.delete}</summary>
                <form method="post" action=format!("{PATH}/delete/{id}")>
                    <input type="hidden" name="version" value=version.to_string()/>
                    <p>{words.delete_title}" "{words.delete_hint}</p>
                    <button class="button danger" type="submit">{words.delete}</button>
                </form>
            </details>
        }
    });
    view! { <section class="card used-by"><h2>{words.where_used}</h2>{uses}{delete}</section> }
}

#[cfg(test)]
mod tests {
    use domain::{credential::Credential, time::Timestamp};

    use super::*;

    #[test]
    fn a_stored_secret_is_never_in_the_form() {
        let credential = Credential {
            id: CredentialId(4),
            version: 2,
            name: "<b>".to_owned(),
            username: "ana".to_owned(),
            secret_set_at: Timestamp::from_seconds(1_768_219_200),
            secret_set_by: "ana".to_owned(),
            is_oauth: false,
            last_accepted_at: None,
            secret_ends_on: None,
            tokens: None,
            n_uses: 0,
        };
        let details = Details { credential: Some(credential), ..Details::default() };
        let html = Owner::new().with(|| view! { <Fields id=Some(CredentialId(4)) details back=None/> }.to_html());
        assert!(html.contains("Set 12 Jan 2026 by ana"), "{html}");
        assert!(html.contains(r#"autocomplete="new-password""#) && !html.contains("<b>"), "{html}");
        assert!(html.contains(r#"action="/settings/credentials/delete/4""#), "{html}");
    }
}
