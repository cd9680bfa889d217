//! The form of a network connector. It posts to a plain route, with and without WebAssembly; with it, the rules run here first.

use domain::{
    connector::{Connector, ConnectorDraft, ConnectorForm, ConnectorKind},
    ids::ConnectorId,
    problem::Problem,
    query,
    time::Timestamp,
};
use leptos::{ev::SubmitEvent, prelude::*};
use leptos_router::hooks::{use_params_map, use_query_map};
use wasm_bindgen::JsCast as _;
use web_sys::{HtmlFormElement, HtmlInputElement, HtmlSelectElement};

use super::{
    PATH,
    api::{Details, load_connector},
    contact::ContactLine,
    may_act,
};
use crate::{
    context,
    credentials::used::{UsedByList, id_in_path, local_path},
    posted::Posted,
    ui::{
        field::{Face, SelectField, TextField},
        form::{ErrorSummary, guard_unsaved, live_error},
        notice::Failure,
        page::Page,
    },
};

/// What the route that takes the form hands back to it.
pub type PostedConnector = Posted<ConnectorForm>;

/// A new connector, or a stored one.
#[component]
pub fn FormPage() -> impl IntoView {
    let words = &context::words().connectors;
    let (params, query) = (use_params_map(), use_query_map());
    let id = Memo::new(move |_| id_in_path::<ConnectorId>(params.read().get("id")));
    let details = Resource::new(move || id.get(), load_connector);
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
    let words = &context::words().connectors;
    match field {
        "kind" => words.kind,
        "address" => words.address,
        "port" => words.port,
        "credential_id" => words.credential,
        _ => words.name,
    }
}

/// What stands in the form now.
fn typed(form: &HtmlFormElement) -> ConnectorForm {
    let element = |name: &str| form.query_selector(&format!("[name={name}]")).ok().flatten();
    let text = |name: &str| element(name).and_then(|it| it.dyn_into::<HtmlInputElement>().ok());
    let text = |name: &str| text(name).map(|it| it.value()).unwrap_or_default();
    let choice = |name: &str| element(name).and_then(|it| it.dyn_into::<HtmlSelectElement>().ok());
    let choice = |name: &str| choice(name).map(|it| it.value()).unwrap_or_default();
    ConnectorForm {
        name: text("name"),
        kind: choice("kind"),
        address: text("address"),
        port: text("port"),
        credential_id: choice("credential_id"),
        version: text("version"),
        grant_credential: String::new(),
    }
}

#[component]
fn Fields(id: Option<ConnectorId>, details: Details, back: Option<String>) -> impl IntoView {
    let all = context::words();
    let words = &all.connectors;
    let Details { connector, used_by, credentials, posted, now } = details;
    let stored = connector.as_ref().map(ConnectorForm::of).unwrap_or_default();
    let Posted { form, problems, is_conflict, error } =
        posted.unwrap_or_else(|| Posted { form: stored.clone(), ..Posted::default() });
    // After a conflict the next save is meant to replace what is stored now.
    let version = if is_conflict { stored.version.clone() } else { form.version.clone() };
    let problems = RwSignal::new(problems);
    let is_dirty = RwSignal::new(false);
    guard_unsaved(is_dirty);
    let on_submit = move |event: SubmitEvent| {
        let Some(form) = event.target().and_then(|it| it.dyn_into::<HtmlFormElement>().ok()) else { return };
        let found: Vec<Problem> = ConnectorDraft::try_from(&typed(&form)).err().unwrap_or_default();
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
        required: !matches!(name, "port" | "credential_id"),
    };
    let conflict = is_conflict.then(|| {
        let kind = ConnectorKind::parse(&stored.kind).map(ConnectorKind::label).unwrap_or_default();
        view! {
            <div class="alert" role="alert">
                <p><strong>{words.conflict_title}</strong></p>
                <p>{words.conflict_hint}</p>
                <p><bdi>{words.conflict_now(&stored.name, kind, &stored.address, &stored.port)}</bdi></p>
            </div>
        }
    });
    let kinds = ConnectorKind::ALL.map(|it| (it.as_str().to_owned(), it.label().to_owned())).to_vec();
    let credentials = credentials.into_iter().map(|it| (it.id.to_string(), format!("{} ({})", it.name, it.hint)));
    let n_uses = connector.as_ref().map_or(0, |it| it.n_uses);
    let is_granted = form.grant_credential == "yes";
    let grant = (n_uses > 0).then(|| view! { <Grant n_uses is_granted/> });
    let cancel = back.clone().unwrap_or_else(|| PATH.to_owned());
    let status = connector.clone().map(|it| view! { <Status connector=it now/> });
    let removal = connector.map(|it| view! { <Removal id=it.id version=it.version n_uses=it.n_uses used_by/> });
    view! {
        {error.map(|error| view! { <Failure error/> })}
        {conflict}
        <ErrorSummary problems label/>
        <form class="card form" method="post" action=format!("{PATH}/save/{target}{query}") novalidate=true on:submit=on_submit
            on:input=move |_| is_dirty.set(true)>
            <input type="hidden" name="version" value=version/>
            <input type="hidden" name="return" value=back.unwrap_or_default()/>
            <TextField face=face("name", "") value=form.name/>
            <SelectField face=face("kind", words.kind_hint) options=kinds value=form.kind empty=words.choose/>
            <TextField face=face("address", words.address_hint) value=form.address/>
            <TextField face=face("port", words.port_hint) value=form.port numeric=true/>
            <SelectField face=face("credential_id", words.credential_hint) options=credentials.collect() value=form.credential_id
                empty=words.no_credential/>
            {grant}
            <div class="buttons">
                <button class="button primary" type="submit">{words.save}</button>
                <a class="button" href=cancel>{words.cancel}</a>
            </div>
        </form>
        {status}
        {removal}
    }
}

/// How it did lately, the key of an SSH server, and the way to the test.
#[component]
fn Status(connector: Connector, now: Timestamp) -> impl IntoView {
    let words = &context::words().connectors;
    let Connector { id, draft, host_key, contact, .. } = connector;
    let key = (draft.kind == ConnectorKind::Ssh).then(|| {
        let text = host_key.map_or_else(|| words.host_key_none.to_owned(), |it| words.host_key_approved(it.as_str()));
        view! { <p>{words.host_key}": "<span class="hash">{text}</span></p> }
    });
    let agents = (draft.kind == ConnectorKind::Agent)
        .then(|| view! { <a class="button" href=format!("{PATH}/{id}/agents")>{words.agents}</a> });
    let test = may_act().then(|| view! { <a class="button" href=format!("{PATH}/{id}/test")>{words.test}</a> });
    view! {
        <section class="card used-by">
            <h2>{words.status}</h2>
            <div><ContactLine contact now/></div>
            {key}
            <div class="buttons">{agents}{test}</div>
        </section>
    }
}

/// The confirmation that mail credentials may travel by the changed connector.
#[component]
fn Grant(n_uses: u64, is_granted: bool) -> impl IntoView {
    let words = &context::words().connectors;
    view! {
        <div class="field check">
            <span class="radio">
                <input type="checkbox" id="grant_credential" name="grant_credential" value="yes" checked=is_granted
                    aria-describedby="grant-hint"/>
                <label for="grant_credential">{words.grant}</label>
            </span>
            <p class="hint" id="grant-hint">{words.grant_hint(n_uses)}</p>
        </div>
    }
}

/// Where it is used, and its deletion while nothing uses it.
#[component]
fn Removal(id: ConnectorId, version: i64, n_uses: u64, used_by: domain::account::UsedBy) -> impl IntoView {
    let words = &context::words().connectors;
    let uses = if n_uses == 0 {
        view! { <p>{words.not_used_hint}</p> }.into_any()
    } else {
        view! {
            <UsedByList used_by/>
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
    use domain::{
        account::{Address, User},
        connector::Contact,
        ids::AccountId,
    };

    use super::*;

    #[test]
    fn a_connector_in_use_cannot_be_deleted_and_asks_for_the_grant() {
        let draft = ConnectorDraft {
            name: "<b>".to_owned(),
            kind: ConnectorKind::Socks5,
            address: Address::from_stored("proxy.example".to_owned()),
            port: 1080,
            credential_id: None,
        };
        let contact = Contact::default();
        let connector = Connector { id: ConnectorId(4), version: 2, draft, host_key: None, contact, n_uses: 1 };
        let used_by = vec![(User::Account(AccountId(9)), "Invoices".to_owned())];
        let details = Details { connector: Some(connector), used_by, ..Details::default() };
        let html = Owner::new().with(|| view! { <Fields id=Some(ConnectorId(4)) details back=None/> }.to_html());
        assert!(html.contains("/settings/email/imap-pop3/9") && html.contains("grant_credential"), "{html}");
        assert!(!html.contains("/delete/4") && !html.contains("<b>"), "{html}");
    }
}
