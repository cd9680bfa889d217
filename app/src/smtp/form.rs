//! The form of an SMTP configuration. It posts natively; the browser runs the same rules first.

use domain::{
    actor::Permission,
    ids::SmtpId,
    problem::{Problem, Rule},
    smtp::{SmtpDraft, SmtpForm},
};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::{
    PATH,
    api::{Details, load_smtp},
};
use crate::{
    accounts::{
        form::options,
        trust::{Chosen, TrustFields},
    },
    context,
    credentials::used::id_in_path,
    posted::Posted,
    ui::{
        field::{Face, Radios, SelectField, TextField},
        form::{ErrorSummary, check_before_post, guard_unsaved, live_error},
        notice::Failure,
        page::{ErrorTitle, Page},
    },
};

/// A new configuration, or a stored one.
#[component]
pub fn FormPage() -> impl IntoView {
    let words = context::words();
    let params = use_params_map();
    let id = Memo::new(move |_| id_in_path::<SmtpId>(params.read().get("id")));
    let details = Resource::new_blocking(move || id.get(), load_smtp);
    view! {
        <Page title=words.smtp.title>
            <Suspense fallback=move || view! { <p class="loading" role="status">{words.common.loading}</p> }>
                {move || Suspend::new(async move {
                    match details.await {
                        Ok(details) => view! { <Fields details/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Suspense>
        </Page>
    }
}

/// The label of a field, by its name in the JSON interface.
fn label(field: &str) -> &'static str {
    let all = context::words();
    let (words, accounts, trust) = (&all.smtp, &all.accounts, &all.trust);
    match field {
        "name" => accounts.name,
        "enabled" => accounts.enabled,
        "default" => words.default,
        "sender" => words.sender,
        "reply_to" => words.reply_to,
        "address" => accounts.address,
        "port" => accounts.port,
        "use_network_connector" => accounts.use_connector,
        "network_connector_id" => accounts.connector,
        "skip_certificate" => accounts.skip_certificate,
        "skip_reason" => trust.reason,
        "skip_until" => trust.until,
        "trust" => trust.trust,
        "ca_id" => trust.ca,
        "pin" => trust.pin,
        "secure_connection" => accounts.use_safe,
        "secure_connection_type" => accounts.secure_type,
        _ => accounts.credential,
    }
}

fn rules(form: &SmtpForm) -> Result<(), Vec<Problem>> {
    SmtpDraft::try_from(form).map(|_| ())
}

#[component]
fn Fields(details: Details) -> impl IntoView {
    let words = context::words();
    let (own, accounts) = (&words.smtp, &words.accounts);
    let Details { id, posted, stored, credentials, connectors, authorities } = details;
    let Posted { form, problems: found, is_conflict, error } = posted;
    let problems = RwSignal::new(found);
    let is_dirty = RwSignal::new(false);
    guard_unsaved(is_dirty);
    // Without script nothing can be enabled later: the server sends everything enabled and ignores what does not count.
    let is_live = RwSignal::new(false);
    Effect::new(move || is_live.set(true));
    let uses_connector = RwSignal::new(form.use_network_connector.clone());
    let is_secure = RwSignal::new(form.secure_connection.clone());
    let kind = RwSignal::new(form.secure_connection_type.clone());
    let without_connector = Signal::derive(move || is_live.get() && uses_connector.get() != "yes");
    let without_tls = Signal::derive(move || is_live.get() && is_secure.get() != "yes");
    let standard_port = Signal::derive(move || {
        let form =
            SmtpForm { secure_connection: is_secure.get(), secure_connection_type: kind.get(), ..SmtpForm::default() };
        form.standard_port().map(|it| it.to_string()).unwrap_or_default()
    });
    let chosen = Chosen {
        skip: form.skip_certificate,
        reason: form.skip_reason,
        until: form.skip_until,
        trust: form.trust,
        ca: form.ca_id,
        pin: form.pin,
    };
    let yes_no = [("yes", words.common.yes), ("no", words.common.no)];
    let may = |it| context::user().is_some_and(|user| user.role.may(it));
    let of = move |name: &'static str, hint: &str| Face {
        name,
        label: label(name),
        hint: hint.to_owned(),
        error: live_error(problems, name, label(name)),
        required: matches!(name, "name" | "sender" | "address"),
    };
    let wants_grant = problems.with_untracked(|it| it.iter().any(|it| it.rule == Rule::GrantNeeded));
    let has_problems = is_conflict || problems.with_untracked(|it| !it.is_empty());
    // After a conflict the next save is meant to replace what is stored now.
    let version = if is_conflict { stored.version.clone() } else { form.version.clone() };
    let target = id.map_or_else(|| "new".to_owned(), |it| it.to_string());
    let back = if id.is_some() { format!("{PATH}/{target}") } else { format!("{PATH}/new") };
    let conflict = is_conflict.then(|| {
        view! {
            <div class="summary" role="alert">
                <h2>{words.common.conflict_title}</h2>
                <p>{own.conflict(&stored.name, &stored.sender, &stored.address, &stored.port)}</p>
            </div>
        }
    });
    let grant = id.is_some().then(|| {
        view! {
            <div class="field grant" class:wanted=wants_grant>
                <span class="radio">
                    <input type="checkbox" id="grant_credential" name="grant_credential" value="yes" aria-describedby="grant-hint"/>
                    <label for="grant_credential">{accounts.grant}</label>
                </span>
                <p class="hint" id="grant-hint">{accounts.grant_hint}</p>
            </div>
        }
    });
    let stored_version = stored.version.clone();
    let removal = id.filter(|_| may(Permission::Delete)).map(|id| view! { <Removal id version=stored_version/> });
    view! {
        {has_problems.then(|| view! { <ErrorTitle title=own.title/> })}
        {error.map(|error| view! { <Failure error/> })}
        <ErrorSummary problems label/>
        {conflict}
        <form class="account-form" method="post" action=format!("{PATH}/save/{target}") novalidate=true
            on:input=move |_| is_dirty.set(true) on:submit=move |event| check_before_post(&event, problems, is_dirty, rules)>
            <input type="hidden" name="version" value=version/>
            <section>
                <h2>{own.section_mail}</h2>
                <TextField face=of("name", "") value=form.name/>
                <Radios face=of("enabled", "") options=yes_no chosen=RwSignal::new(form.enabled)/>
                <Radios face=of("default", own.default_hint) options=yes_no chosen=RwSignal::new(form.default)/>
                <TextField face=of("sender", own.sender_hint) value=form.sender kind="email"/>
                <TextField face=of("reply_to", own.reply_to_hint) value=form.reply_to kind="email"/>
            </section>
            <section>
                <h2>{accounts.section_server}</h2>
                <TextField face=of("address", accounts.address_hint) value=form.address/>
                <TextField face=of("port", accounts.port_hint) value=form.port numeric=true placeholder=standard_port/>
            </section>
            <section>
                <h2>{accounts.section_network}</h2>
                <Radios face=of("use_network_connector", "") options=yes_no chosen=uses_connector/>
                <SelectField face=of("network_connector_id", accounts.connector_hint) empty=words.common.choose
                    options=options(&connectors) value=form.network_connector_id disabled=without_connector/>
            </section>
            <section>
                <h2>{accounts.section_authentication}</h2>
                <SelectField face=of("credential_id", own.credential_hint) empty=own.no_credential
                    options=options(&credentials) value=form.credential_id/>
                <p><a href=format!("/settings/credentials/new?return={back}")>{accounts.register_credential}</a></p>
            </section>
            <section>
                <h2>{accounts.section_security}</h2>
                <TrustFields chosen face=Callback::new(move |(name, hint)| of(name, hint)) authorities=options(&authorities) without_tls is_live/>
                <Radios face=of("secure_connection", "") options=yes_no chosen=is_secure/>
                <Radios face=of("secure_connection_type", own.type_hint) options=[("tls", "TLS"), ("ssl", "SSL")] chosen=kind
                    disabled=without_tls/>
            </section>
            {grant}
            <div class="buttons">
                {may(Permission::Write).then(|| view! { <button class="button primary">{own.save}</button> })}
                <a href=PATH>{words.common.cancel}</a>
            </div>
        </form>
        {removal}
    }
}

#[component]
fn Removal(id: SmtpId, version: String) -> impl IntoView {
    let words = &context::words().smtp;
    view! {
        <details class="removal">
            <summary>{words.delete}</summary>
            <form method="post" action=format!("{PATH}/delete/{id}")>
                <input type="hidden" name="version" value=version/>
                <p>{words.delete_hint}</p>
                <button class="button danger" type="submit">{words.delete}</button>
            </form>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_comes_back_as_text_with_its_problem() {
        let form = SmtpForm { name: "<b>".to_owned(), sender: "nobody".to_owned(), ..SmtpForm::new_record() };
        let problems = vec![Problem::new("sender", Rule::NotAMailAddress)];
        let details = Details { posted: Posted { form, problems, ..Posted::default() }, ..Details::default() };
        let html = Owner::new().with(|| view! { <Fields details/> }.to_html());
        assert!(html.contains("&lt;b&gt;") && html.contains("sender-error"), "{html}");
    }
}
