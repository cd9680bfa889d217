//! One test: how it went, what to do, what is different, what was seen.

use domain::{
    connection_test::{ConnectionTest, StepRecord, TestEnd},
    time::Timestamp,
};
use leptos::prelude::*;

use super::{evidence::Evidence, text, wording};
use crate::{accounts, context, inbox::text::plain, ui::icon::Icon};

/// All of it. With `run`, it can be stopped while it runs.
#[component]
pub fn Outcome(test: ConnectionTest, at: Timestamp, run: Option<String>) -> impl IntoView {
    let all = context::words();
    let words = &all.connection_tests;
    let steps = test.steps.iter().map(step_line).collect_view();
    let copied = text::text(&test, at, all);
    let rows = copied.lines().count().min(30).to_string();
    // The server writes the children of a text area as they are.
    let copied = copied.replace('&', "&amp;").replace('<', "&lt;");
    view! {
        <Headline test=test.clone() run/>
        <Differences test=test.clone()/>
        <h3>{words.steps}</h3>
        <ol class="inbox-stages" aria-label=words.steps>{steps}</ol>
        <Evidence test/>
        <details>
            <summary>{words.as_text}</summary>
            <p class="hint" id="text-hint">{words.as_text_hint}</p>
            <textarea class="test-text" readonly rows=rows aria-label=words.as_text aria-describedby="text-hint"
                inner_html=copied></textarea>
        </details>
    }
}

/// That it runs, or how it ended and what to do next.
#[component]
fn Headline(test: ConnectionTest, run: Option<String>) -> impl IntoView {
    let all = context::words();
    let words = &all.connection_tests;
    let headline = wording::headline(&test, all);
    match &test.end {
        None => {
            let cancel = run.map(|run| {
                view! {
                    <form method="post" action=format!("{}/test/{run}/cancel", accounts::PATH)>
                        <button class="button">{words.cancel}</button>
                    </form>
                }
            });
            view! {
                <p aria-busy="true">{headline}</p>
                {cancel}
                <noscript><p><a href="">{words.refresh}</a></p></noscript>
            }
            .into_any()
        }
        Some(TestEnd::Passed) => view! { <p class="flash">{headline}</p> }.into_any(),
        Some(TestEnd::Cancelled) => view! { <p class="note">{headline}</p> }.into_any(),
        Some(TestEnd::Failed(failure)) => {
            let next = test.advice().map(|it| wording::advice(it, all));
            view! {
                <div class="alert">
                    <p><strong>{headline}</strong></p>
                    <p><bdi>{plain(&failure.message)}</bdi></p>
                    <p><strong>{words.next_step}": "</strong>{next}</p>
                </div>
            }
            .into_any()
        }
    }
}

/// What is not as the last good test saw it.
#[component]
fn Differences(test: ConnectionTest) -> impl IntoView {
    let all = context::words();
    let words = &all.connection_tests;
    if test.end.is_none() {
        return ().into_any();
    }
    let Some(at) = test.compared_with else {
        return view! { <p class="hint">{words.not_compared}</p> }.into_any();
    };
    let found: Vec<_> = test.differences.iter().flat_map(|it| wording::difference(it, all)).collect();
    let list = if found.is_empty() {
        view! { <p>{words.no_differences}</p> }.into_any()
    } else {
        let found = found.into_iter().map(|it| view! { <li><bdi>{it}</bdi></li> }).collect_view();
        view! { <ul class="test-differences">{found}</ul> }.into_any()
    };
    view! { <h3>{words.compared(wording::moment(at))}</h3>{list} }.into_any()
}

/// One step: icon, word, time, and what was noted.
fn step_line(record: &StepRecord) -> impl IntoView + use<> {
    let all = context::words();
    let words = &all.connection_tests;
    let (icon, word, class) =
        if record.ok { ("check", words.ok, "stage-ok") } else { ("alert", words.not_ok, "stage-failed") };
    view! {
        <li class=class>
            <Icon name=icon/>
            <span>{wording::step(record.step, all)}": "{word}</span>
            <span class="hint">{words.ms(record.ms)}</span>
            <bdi class="hint">{plain(&record.detail)}</bdi>
        </li>
    }
}
