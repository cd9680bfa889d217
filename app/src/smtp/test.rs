//! "Test setting": sends a short message and shows how each stage went, with and without WebAssembly.

use domain::{ids::SmtpId, smtp::SmtpTest};
use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use leptos_router::hooks::use_params_map;

use super::{
    PATH,
    api::{TestAnswer, load_test, test_smtp},
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
    let id = Memo::new(move |_| id_in_path(params.read().get("id")).unwrap_or(SmtpId(0)));
    let answer = Resource::new_blocking(move || id.get(), load_test);
    view! {
        <Page title=words.smtp.test>
            <Suspense fallback=move || view! { <p class="loading" role="status">{words.common.loading}</p> }>
                {move || Suspend::new(async move {
                    match answer.await {
                        Ok(answer) => view! { <Test id=id.get_untracked() answer/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Suspense>
        </Page>
    }
}

#[component]
fn Test(id: SmtpId, answer: TestAnswer) -> impl IntoView {
    let words = &context::words().smtp;
    let TestAnswer { server, recipient, result, problems } = answer;
    let problems = RwSignal::new(problems);
    let result = RwSignal::new(result);
    let failure = RwSignal::new(None::<UserError>);
    let is_busy = RwSignal::new(false);
    let wanted = RwSignal::new(recipient.clone());
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        if is_busy.get_untracked() {
            return;
        }
        is_busy.set(true);
        result.set(None);
        problems.set(Vec::new());
        failure.set(None);
        spawn_local(async move {
            match test_smtp(id, wanted.get_untracked()).await {
                Ok(test) => result.set(Some(test)),
                Err(UserError::Invalid(found)) => problems.set(found),
                Err(error) => failure.set(Some(error)),
            }
            is_busy.set(false);
        });
    };
    let face = Face {
        name: "recipient",
        label: words.recipient,
        error: live_error(problems, "recipient", words.recipient),
        required: true,
        ..Face::default()
    };
    view! {
        <p><bdi>{server}</bdi></p>
        <form class="card form" method="post" action=format!("{PATH}/{id}/test") novalidate=true on:submit=on_submit
            on:input=move |event| wanted.set(event_target_value(&event))>
            <TextField face value=recipient kind="email"/>
            <div class="buttons">
                <button class="button primary" aria-disabled=move || is_busy.get().then_some("true")>{words.send_test}</button>
                <a class="button" href=PATH>{context::words().common.cancel}</a>
            </div>
        </form>
        <div role="status">
            {move || is_busy.get().then(|| view! { <p>{words.testing}</p> })}
            {move || failure.get().map(|error| view! { <Failure error/> })}
            {move || result.get().map(|test| view! { <Outcome test/> })}
        </div>
    }
}

/// The stages, and how it ended.
#[component]
fn Outcome(test: SmtpTest) -> impl IntoView {
    let all = context::words();
    let end = match test.error {
        None => view! { <p class="flash">{all.smtp.taken}</p> }.into_any(),
        Some(error) => view! {
            <div class="alert">
                <p><strong>{wording::kind(error.kind, all)}"."</strong></p>
                <p class="hint"><bdi>{all.checks.details(plain(&error.message))}</bdi></p>
            </div>
        }
        .into_any(),
    };
    view! {
        {end}
        <ol class="inbox-stages" aria-label=all.checks.live>{test.stages.iter().map(stage_line).collect_view()}</ol>
    }
}
