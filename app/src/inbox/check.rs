//! "Check now": a form that posts without WebAssembly, and with it a live view of the stages.

use domain::{
    check::CheckRun,
    ids::{AccountId, CheckRunId},
};
use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{EventSource, MessageEvent};

use super::{
    api::{last_checks, start_check},
    runs::stage_line,
    text::plain,
    transcript::TranscriptLink,
    wording,
};
use crate::{accounts, context, error::UserError};

/// How far the check that was asked for is.
#[derive(Clone, Debug, Default, PartialEq)]
enum Progress {
    #[default]
    Idle,
    Starting,
    Run(CheckRun),
    /// The stream broke before the check had finished.
    Lost,
    NotStarted(UserError),
}

/// The button and, once pressed, the stages as they happen. `on_finish` reloads what a check may have changed.
#[component]
pub fn CheckNow(account: AccountId, on_finish: Callback<()>) -> impl IntoView {
    let words = &context::words().checks;
    let progress = RwSignal::new(Progress::Idle);
    let is_busy = move || match &*progress.read() {
        Progress::Starting => true,
        Progress::Run(run) => run.finished_at.is_none(),
        _ => false,
    };
    let on_run = Callback::new(move |run: CheckRun| {
        let is_finished = run.finished_at.is_some();
        let is_gone = progress.try_set(Progress::Run(run)).is_some();
        if is_finished && !is_gone {
            on_finish.run(());
        }
    });
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        if is_busy() {
            return;
        }
        progress.set(Progress::Starting);
        let pressed = event.submitter();
        let transcript = pressed.is_some_and(|it| it.has_attribute("data-transcript"));
        spawn_local(async move {
            match start_check(account, transcript).await {
                Ok(run) => {
                    let is_running = run.finished_at.is_none();
                    let id = run.id;
                    on_run.run(run);
                    if is_running {
                        follow(account, on_run, Callback::new(move |()| recover(account, id, progress, on_run)));
                    }
                }
                Err(error) => progress.set(Progress::NotStarted(error)),
            }
        });
    };
    view! {
        <form class="inbox-check" method="post" action=format!("{}/{account}/check", accounts::PATH) on:submit=on_submit>
            <button class="button primary" type="submit" aria-disabled=move || is_busy().then_some("true")>
                {words.check_now}
            </button>
            <button class="button" type="submit" name="transcript" value="true" data-transcript=""
                aria-disabled=move || is_busy().then_some("true")>
                {words.with_transcript}
            </button>
        </form>
        <div class="inbox-progress">
            <div role="status">{move || announcement(account, &progress.read())}</div>
            {move || stages(&progress.read())}
        </div>
    }
}

/// What is said aloud: that it runs, what arrived, or what failed and what to do.
fn announcement(account: AccountId, progress: &Progress) -> AnyView {
    let all = context::words();
    let words = &all.checks;
    match progress {
        Progress::Idle => ().into_any(),
        Progress::Starting => view! { <p>{words.starting}</p> }.into_any(),
        Progress::Lost => view! { <p>{words.lost}</p> }.into_any(),
        Progress::NotStarted(error) => {
            view! { <p><strong>{words.not_started}</strong>" "{error.wording(all)}</p> }.into_any()
        }
        Progress::Run(run) => {
            let error = run.error.clone().map(|it| {
                view! {
                    <p><strong>{wording::kind(it.kind, all)}"."</strong>" "{wording::next_step(it.kind, all)}</p>
                    <p class="hint"><bdi>{words.details(plain(&it.message))}</bdi></p>
                }
            });
            let id = run.id;
            let transcript = (run.has_transcript && run.finished_at.is_some())
                .then(|| view! { <p><TranscriptLink account run=id/></p> });
            view! { <p>{wording::result(run, all)}</p>{error}{transcript} }.into_any()
        }
    }
}

fn stages(progress: &Progress) -> AnyView {
    let Progress::Run(run) = progress else {
        return ().into_any();
    };
    let label = context::words().checks.live;
    view! { <ol class="inbox-stages" aria-label=label>{run.stages.iter().map(stage_line).collect_view()}</ol> }
        .into_any()
}

/// Listens to the running check until it has finished or the stream breaks.
fn follow(account: AccountId, on_run: Callback<CheckRun>, on_lost: Callback<()>) {
    let Ok(source) = EventSource::new(&format!("{}/{account}/check/events", accounts::PATH)) else {
        on_lost.run(());
        return;
    };
    let closing = source.clone();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let run = event.data().as_string().and_then(|it| serde_json::from_str::<CheckRun>(&it).ok());
        if let Some(run) = run {
            if run.finished_at.is_some() {
                closing.close();
            }
            on_run.run(run);
        }
    });
    source.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
    let closing = source.clone();
    let on_error = Closure::<dyn FnMut()>::new(move || {
        closing.close();
        on_lost.run(());
    });
    source.set_onerror(Some(on_error.into_js_value().unchecked_ref()));
}

/// The stream may have broken because the check had finished before it was listened to: the record tells.
fn recover(account: AccountId, id: CheckRunId, progress: RwSignal<Progress>, on_run: Callback<CheckRun>) {
    spawn_local(async move {
        let runs = last_checks(account).await.unwrap_or_default();
        match runs.into_iter().find(|it| it.id == id && it.finished_at.is_some()) {
            Some(run) => on_run.run(run),
            None => progress.set(Progress::Lost),
        }
    });
}
