//! "Test connector": goes by it once and shows how each stage went; where an SSH server shows a key that nobody has approved,
//! it is approved here. With and without WebAssembly.

use domain::{
    connector::{Connector, ConnectorTest, HostKey, TestForm},
    ids::ConnectorId,
};
use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use leptos_router::hooks::use_params_map;
use wasm_bindgen::JsCast as _;
use web_sys::{HtmlFormElement, HtmlInputElement};

use super::{
    PATH,
    api::{TestAnswer, load_test, test_connector},
    may_act,
};
use crate::{
    context,
    credentials::used::id_in_path,
    error::UserError,
    inbox::{runs::stage_line, text::plain, wording},
    ui::{
        field::{Face, TextField},
        form::live_error,
        notice::Failure,
        page::Page,
    },
};

#[component]
pub fn TestPage() -> impl IntoView {
    let words = context::words();
    let params = use_params_map();
    let id = Memo::new(move |_| id_in_path(params.read().get("id")).unwrap_or(ConnectorId(0)));
    let answer = Resource::new_blocking(move || id.get(), load_test);
    view! {
        <Page title=words.connectors.test>
            <Suspense fallback=move || view! { <p class="loading" role="status">{words.common.loading}</p> }>
                {move || Suspend::new(async move {
                    match answer.await {
                        Ok(TestAnswer { connector: Some(connector), form, result, problems }) => {
                            view! { <Test connector form result problems/> }.into_any()
                        }
                        Ok(_) => view! { <Failure error=UserError::NotFound/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Suspense>
        </Page>
    }
}

/// What stands in the form now.
fn typed(form: &HtmlFormElement) -> TestForm {
    let input = |name: &str| form.query_selector(&format!("[name={name}]")).ok().flatten();
    let text = |name: &str| input(name).and_then(|it| it.dyn_into::<HtmlInputElement>().ok()).map(|it| it.value());
    TestForm { address: text("address").unwrap_or_default(), port: text("port").unwrap_or_default() }
}

#[component]
fn Test(
    connector: Connector,
    form: TestForm,
    result: Option<ConnectorTest>,
    problems: Vec<domain::problem::Problem>,
) -> impl IntoView {
    let words = &context::words().connectors;
    let id = connector.id;
    let problems = RwSignal::new(problems);
    let result = RwSignal::new(result);
    let failure = RwSignal::new(None::<UserError>);
    let is_busy = RwSignal::new(false);
    let on_submit = move |event: SubmitEvent| {
        let Some(form) = event.target().and_then(|it| it.dyn_into::<HtmlFormElement>().ok()) else { return };
        event.prevent_default();
        if is_busy.get_untracked() {
            return;
        }
        is_busy.set(true);
        result.set(None);
        problems.set(Vec::new());
        failure.set(None);
        let form = typed(&form);
        spawn_local(async move {
            match test_connector(id, form).await {
                Ok(test) => result.set(Some(test)),
                Err(UserError::Invalid(found)) => problems.set(found),
                Err(error) => failure.set(Some(error)),
            }
            is_busy.set(false);
        });
    };
    let face = move |name: &'static str, label: &'static str| Face {
        name,
        label,
        error: live_error(problems, name, label),
        ..Face::default()
    };
    let draft = &connector.draft;
    let shown = format!("{} ({}, {} {})", draft.name, draft.kind.label(), draft.address, draft.port);
    let (version, approved) = (connector.version, connector.host_key);
    view! {
        <p><bdi>{shown}</bdi></p>
        <form class="card form" method="post" action=format!("{PATH}/{id}/test") novalidate=true on:submit=on_submit>
            <p class="hint">{words.test_hint}</p>
            <TextField face=face("address", words.target_address) value=form.address/>
            <TextField face=face("port", words.target_port) value=form.port numeric=true/>
            <div class="buttons">
                <button class="button primary" aria-disabled=move || is_busy.get().then_some("true")>{words.run_test}</button>
                <a class="button" href=format!("{PATH}/{id}")>{words.cancel}</a>
            </div>
        </form>
        <div role="status" class="results">
            {move || is_busy.get().then(|| view! { <p>{words.testing}</p> })}
            {move || failure.get().map(|error| view! { <Failure error/> })}
            {move || {
                let approved = approved.clone();
                result.get().map(|test| view! { <Outcome id version approved test/> })
            }}
        </div>
    }
}

/// The stages, how it ended, and the key that has to be approved.
#[component]
fn Outcome(id: ConnectorId, version: i64, approved: Option<HostKey>, test: ConnectorTest) -> impl IntoView {
    let all = context::words();
    let words = &all.connectors;
    let ConnectorTest { target, stages, error, host_key, needs_approval } = test;
    let end = match error {
        None => view! { <p class="flash">{words.passed}</p> }.into_any(),
        Some(error) => view! {
            <div class="alert">
                <p><strong>{wording::kind(error.kind, all)}"."</strong></p>
                <p class="hint"><bdi>{all.checks.details(plain(&error.message))}</bdi></p>
            </div>
        }
        .into_any(),
    };
    let target = target.map_or_else(|| words.tested_alone.to_owned(), |it| words.tested_to(it));
    let unapproved = host_key.filter(|_| needs_approval);
    view! {
        {end}
        <p class="hint"><bdi>{target}</bdi></p>
        <ol class="inbox-stages" aria-label=words.stages>{stages.iter().map(stage_line).collect_view()}</ol>
        {unapproved.map(|shown| view! { <Approval id version approved shown/> })}
    }
}

/// The key that the server showed, for a person to compare and approve.
#[component]
fn Approval(id: ConnectorId, version: i64, approved: Option<HostKey>, shown: HostKey) -> impl IntoView {
    let words = &context::words().connectors;
    let text = if approved.is_some() { words.approve_changed } else { words.approve_new };
    let before = approved.map(|it| view! { <p class="hash">{words.host_key_before(it.as_str())}</p> });
    let class = if before.is_some() { "button danger" } else { "button primary" };
    let button = may_act().then(|| view! { <button class=class type="submit">{words.approve}</button> });
    view! {
        <form class="card form" method="post" action=format!("{PATH}/host-key/{id}")>
            <input type="hidden" name="version" value=version.to_string()/>
            <input type="hidden" name="host_key" value=shown.to_string()/>
            <h2>{words.host_key}</h2>
            <p class="hash"><code>{shown.to_string()}</code></p>
            {before}
            <p>{text}</p>
            <div class="buttons">{button}</div>
        </form>
    }
}
