//! The form of an account. It posts natively to `…/save/{id or new}`; the browser runs the same rules first.

use domain::{
    account::{Account, AccountChoices, AccountDraft, AccountForm, Choice, MessageCounts},
    actor::Permission,
    problem::{Problem, Rule},
};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::{
    PATH,
    api::{FormAnswer, load_account_form},
    label,
    trust::{Chosen, TrustFields, trust_label},
};
use crate::{
    context,
    posted::Posted,
    ui::{
        field::{Face, Radios, SelectField, TextField},
        form::{ErrorSummary, check_before_post, guard_unsaved, live_error},
        icon::Icon,
        notice::Failure,
        page::{ErrorTitle, Page},
    },
};

/// From how many credentials on a search field narrows the dropdown.
const SEARCHED_FROM: usize = 12;
/// Seconds that the interval's dropdown offers.
const INTERVALS: [u64; 7] = [60, 300, 900, 1_800, 3_600, 21_600, 86_400];

#[component]
pub fn FormPage() -> impl IntoView {
    let words = context::words();
    let params = use_params_map();
    let id =
        Memo::new(move |_| params.read().get("id").filter(|it| it != "new").map(|it| it.parse::<i64>().unwrap_or(0)));
    let answer = Resource::new_blocking(move || id.get(), load_account_form);
    view! {
        <Page title=words.accounts.title>
            <Suspense fallback=move || view! { <p class="loading" role="status">{words.common.loading}</p> }>
                {move || Suspend::new(async move {
                    match answer.await {
                        Ok(answer) => view! { <AccountFormView answer/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Suspense>
        </Page>
    }
}

fn face(name: &'static str, problems: RwSignal<Vec<Problem>>, hint: &str) -> Face {
    let label = label(name);
    let required = matches!(name, "name" | "address" | "protocol" | "credential_id");
    Face { name, label, hint: hint.to_owned(), error: live_error(problems, name, label), required }
}

pub(crate) fn options(choices: &[Choice]) -> Vec<(String, String)> {
    choices.iter().map(|it| (it.id.to_string(), format!("{} ({})", it.name, it.hint))).collect()
}

fn interval_label(seconds: u64) -> String {
    let words = &context::words().accounts;
    match seconds {
        it if it % 3_600 == 0 => words.interval_hours(it / 3_600),
        it if it % 60 == 0 => words.interval_minutes(it / 60),
        it => words.interval_seconds(it),
    }
}

fn rules(form: &AccountForm) -> Result<(), Vec<Problem>> {
    AccountDraft::try_from(form).map(|_| ())
}

#[component]
fn AccountFormView(answer: FormAnswer) -> impl IntoView {
    let words = context::words();
    let FormAnswer { posted: Posted { form, problems: found, is_conflict, error }, choices, account, counts } = answer;
    let problems = RwSignal::new(found);
    let is_dirty = RwSignal::new(false);
    guard_unsaved(is_dirty);
    // Without script nothing can be enabled later: the server sends everything enabled and ignores what does not count.
    let is_live = RwSignal::new(false);
    Effect::new(move || is_live.set(true));
    let uses_connector = RwSignal::new(form.use_network_connector.clone());
    let is_secure = RwSignal::new(form.secure_connection.clone());
    let kind = RwSignal::new(form.secure_connection_type.clone());
    let protocol = RwSignal::new(form.protocol.clone());
    let keep_copy = RwSignal::new(form.keep_copy.clone());
    let without_connector = Signal::derive(move || is_live.get() && uses_connector.get() != "yes");
    let without_hold = Signal::derive(move || is_live.get() && keep_copy.get() != "no");
    let without_push = Signal::derive(move || is_live.get() && protocol.get() == "pop3");
    let without_tls = Signal::derive(move || is_live.get() && is_secure.get() != "yes");
    let standard_port = Signal::derive(move || {
        let form = AccountForm {
            protocol: protocol.get(),
            secure_connection: is_secure.get(),
            secure_connection_type: kind.get(),
            ..AccountForm::default()
        };
        form.standard_port().map(|it| it.to_string()).unwrap_or_default()
    });
    let chosen = Chosen {
        skip: form.skip_certificate.clone(),
        reason: form.skip_reason.clone(),
        until: form.skip_until.clone(),
        trust: form.trust.clone(),
        ca: form.ca_id.clone(),
        pin: form.pin.clone(),
    };
    let yes_no = [("yes", words.common.yes), ("no", words.common.no)];
    let may_write = context::user().is_some_and(|it| it.role.may(Permission::Write));
    let may_test = context::user().is_some_and(|it| it.role.may(Permission::Action));
    let wants_grant = problems.with_untracked(|it| it.iter().any(|it| it.rule == Rule::GrantNeeded));
    let action = account.as_ref().map_or_else(|| format!("{PATH}/save/new"), |it| format!("{PATH}/save/{}", it.id));
    let conflict = is_conflict.then(|| account.clone()).flatten();
    let conflict = conflict.map(|it| view! { <Conflict mine=form.clone() stored=it choices=choices.clone()/> });
    // After a conflict the next save is meant to replace what is stored now; else it is the version that was read.
    let stored_version = || account.as_ref().map(|it| it.version.to_string()).unwrap_or_default();
    let version = if is_conflict { stored_version() } else { form.version.clone() };
    let stored_form = account.clone();
    let mut interval_options: Vec<_> = INTERVALS.iter().map(|it| (it.to_string(), interval_label(*it))).collect();
    if let Ok(own) = form.interval_s.parse::<u64>()
        && !INTERVALS.contains(&own)
    {
        interval_options.push((own.to_string(), interval_label(own)));
    }
    let has_problems = is_conflict || problems.with_untracked(|it| !it.is_empty());
    let of = move |name: &'static str, hint: &str| face(name, problems, hint);
    let has_account = account.is_some();
    let back = account.as_ref().map_or_else(|| format!("{PATH}/new"), |it| format!("{PATH}/{}", it.id));
    let wanted = RwSignal::new(String::new());
    view! {
        {has_problems.then(|| view! { <ErrorTitle title=words.accounts.title/> })}
        {error.map(|error| view! { <Failure error/> })}
        <ErrorSummary problems label/>
        {conflict}
        <form class="account-form" method="post" action=action novalidate=true on:input=move |_| is_dirty.set(true)
            on:submit=move |event| check_before_post(&event, problems, is_dirty, rules)>
            <input type="hidden" name="version" value=version/>
            <section>
                <h2>{words.accounts.section_account}</h2>
                <TextField face=of("name", "") value=form.name/>
                <Radios face=of("keep_copy", words.accounts.keep_hint) options=yes_no chosen=keep_copy/>
                <TextField face=of("hold_days", words.accounts.hold_hint) value=form.hold_days numeric=true disabled=without_hold/>
                <Radios face=of("automatic_check", "") options=yes_no chosen=RwSignal::new(form.automatic_check)/>
                <SelectField face=of("interval_s", "") options=interval_options value=form.interval_s/>
                <Radios face=of("push", words.accounts.push_hint) options=yes_no chosen=RwSignal::new(form.push) disabled=without_push/>
                <Radios face=of("enabled", "") options=yes_no chosen=RwSignal::new(form.enabled)/>
            </section>
            <section>
                <h2>{words.accounts.section_server}</h2>
                <TextField face=of("address", words.accounts.address_hint) value=form.address/>
                <TextField face=of("port", words.accounts.port_hint) value=form.port numeric=true placeholder=standard_port/>
                <SelectField face=of("protocol", "") empty=words.common.choose value=form.protocol on_change=Callback::new(move |it| protocol.set(it))
                    options=[("imap", "IMAP"), ("pop3", "POP3")].map(|(key, label)| (key.to_owned(), label.to_owned())).to_vec()/>
            </section>
            <section>
                <h2>{words.accounts.section_network}</h2>
                <Radios face=of("use_network_connector", "") options=yes_no chosen=uses_connector/>
                <SelectField face=of("network_connector_id", words.accounts.connector_hint) empty=words.common.choose options=options(&choices.connectors)
                    value=form.network_connector_id disabled=without_connector/>
            </section>
            <section>
                <h2>{words.accounts.section_authentication}</h2>
                {(choices.credentials.len() > SEARCHED_FROM).then(|| view! {
                    <input type="search" class="narrow" aria-label=words.accounts.search_credentials placeholder=words.accounts.search_credentials
                        autocomplete="off" on:input=move |event| { event.stop_propagation(); wanted.set(event_target_value(&event)); } on:keydown=stay/>
                })}
                <SelectField face=of("credential_id", words.accounts.credential_hint) empty=words.common.choose options=options(&choices.credentials)
                    value=form.credential_id search=wanted/>
                <p><a href=format!("/settings/credentials/new?return={back}")>{words.accounts.register_credential}</a></p>
            </section>
            <section>
                <h2>{words.accounts.section_security}</h2>
                <TrustFields chosen face=Callback::new(move |(name, hint)| of(name, hint)) authorities=options(&choices.authorities) without_tls is_live/>
                <Radios face=of("secure_connection", "") options=yes_no chosen=is_secure/>
                <Radios face=of("secure_connection_type", words.accounts.type_hint) options=[("tls", "TLS"), ("ssl", "SSL")] chosen=kind disabled=without_tls/>
            </section>
            {has_account.then(|| view! {
                <div class="field grant" class:wanted=wants_grant>
                    <span class="radio">
                        <input type="checkbox" id="grant_credential" name="grant_credential" value="yes" aria-describedby="grant-hint"/>
                        <label for="grant_credential">{words.accounts.grant}</label>
                    </span>
                    <p class="hint" id="grant-hint">{words.accounts.grant_hint}</p>
                </div>
            })}
            <div class="buttons">
                {may_write.then(|| view! { <button class="button primary">{words.accounts.save}</button> })}
                {may_test.then(|| view! { <button class="button" name="intent" value="test">{words.accounts.test_connection}</button> })}
                <a href=PATH>{words.common.cancel}</a>
            </div>
        </form>
        {stored_form.map(|account| view! { <Aside account counts/> })}
    }
}

/// Deleting, and what a changed copy setting leaves behind: each its own form, so that no save does it by the way.
#[component]
fn Aside(account: Account, counts: MessageCounts) -> impl IntoView {
    let words = &context::words().accounts;
    let may_delete = context::user().is_some_and(|it| it.role.may(Permission::Delete));
    let (id, version) = (account.id, account.version.to_string());
    let older_path = format!("{PATH}/delete-older/{id}");
    let wanted = (!account.draft.keep_copy && counts.older_wanted > 0).then(|| {
        let keep = may_delete.then(|| view! { <button class="button">{words.keep_older}</button> });
        view! {
            <form method="post" action=format!("{older_path}/cancel")>
                <p class="note"><Icon name="clock"/>{words.older_wanted(counts.older_wanted)}</p>
                {keep}
            </form>
        }
    });
    let older = (!account.draft.keep_copy && counts.older > 0 && may_delete).then(|| {
        let hint = words.older_confirm(counts.older);
        view! {
            <div>
                <p>{words.older(counts.older)}</p>
                {confirmed("older-dialog", words.delete_older, older_path, None, hint)}
            </div>
        }
    });
    let remove = may_delete.then(|| {
        let hint = words.delete_hint(counts.only_here);
        confirmed("delete-dialog", words.delete, format!("{PATH}/delete/{id}"), Some(version), hint)
    });
    view! { <div class="aside">{wanted}{older}{remove}</div> }
}

/// A button that opens a dialog, and the form in it that does what the button says.
fn confirmed(
    id: &'static str,
    label: &'static str,
    action: String,
    version: Option<String>,
    hint: String,
) -> impl IntoView {
    let common = &context::words().common;
    view! {
        <button type="button" class="button danger-button" popovertarget=id>{label}</button>
        <div id=id popover="auto" class="floating dialog" role="dialog" aria-label=label>
            <form method="post" action=action>
                {version.map(|it| view! { <input type="hidden" name="version" value=it/> })}
                <p>{hint}</p>
                <div class="buttons">
                    <button type="button" class="button" autofocus popovertarget=id popovertargetaction="hide">{common.cancel}</button>
                    <button class="button danger-button">{common.delete}</button>
                </div>
            </form>
        </div>
    }
}

/// Both values of every field that differs.
#[component]
fn Conflict(mine: AccountForm, stored: Account, choices: AccountChoices) -> impl IntoView {
    let all = context::words();
    let words = &all.common;
    let theirs = AccountForm::of(&stored);
    let rows = [
        ("name", &mine.name, &theirs.name),
        ("keep_copy", &mine.keep_copy, &theirs.keep_copy),
        ("hold_days", &mine.hold_days, &theirs.hold_days),
        ("automatic_check", &mine.automatic_check, &theirs.automatic_check),
        ("interval_s", &mine.interval_s, &theirs.interval_s),
        ("push", &mine.push, &theirs.push),
        ("enabled", &mine.enabled, &theirs.enabled),
        ("address", &mine.address, &theirs.address),
        ("port", &mine.port, &theirs.port),
        ("protocol", &mine.protocol, &theirs.protocol),
        ("use_network_connector", &mine.use_network_connector, &theirs.use_network_connector),
        ("network_connector_id", &mine.network_connector_id, &theirs.network_connector_id),
        ("credential_id", &mine.credential_id, &theirs.credential_id),
        ("skip_certificate", &mine.skip_certificate, &theirs.skip_certificate),
        ("skip_reason", &mine.skip_reason, &theirs.skip_reason),
        ("skip_until", &mine.skip_until, &theirs.skip_until),
        ("trust", &mine.trust, &theirs.trust),
        ("ca_id", &mine.ca_id, &theirs.ca_id),
        ("pin", &mine.pin, &theirs.pin),
        ("secure_connection", &mine.secure_connection, &theirs.secure_connection),
        ("secure_connection_type", &mine.secure_connection_type, &theirs.secure_connection_type),
    ];
    let shown = |field: &str, value: &str| {
        let name = |choices: &[Choice]| choices.iter().find(|it| it.id.to_string() == value).map(|it| it.name.clone());
        let text = match (field, value) {
            ("name" | "hold_days" | "address" | "port" | "skip_reason" | "skip_until" | "pin", _) => None,
            ("trust", _) => Some(trust_label(value).to_owned()),
            ("ca_id", _) => name(&choices.authorities),
            ("network_connector_id", _) => name(&choices.connectors),
            ("credential_id", _) => name(&choices.credentials),
            ("interval_s", _) => value.parse().ok().map(interval_label),
            (_, "yes") => Some(words.yes.to_owned()),
            (_, "no") => Some(words.no.to_owned()),
            _ => Some(value.to_uppercase()),
        };
        text.unwrap_or_else(|| value.to_owned())
    };
    let row = |(field, mine, theirs): (&str, &String, &String)| {
        let (yours, stored) = (shown(field, mine), shown(field, theirs));
        (mine != theirs)
            .then(|| view! { <tr><th scope="row">{label(field)}</th><td>{yours}</td><td>{stored}</td></tr> })
    };
    view! {
        <div class="summary" role="alert">
            <h2>{words.conflict_title}</h2>
            <p>{words.conflict_hint}</p>
            <table>
                <thead><tr><th scope="col">{words.conflict_field}</th><th scope="col">{words.conflict_yours}</th><th scope="col">{words.conflict_stored}</th></tr></thead>
                <tbody>{rows.map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

/// Enter in the search for a credential does not send the form.
fn stay(event: leptos::ev::KeyboardEvent) {
    if event.key() == "Enter" {
        event.prevent_default();
    }
}
