//! What forms share: the summary of problems, and the guard against losing what was typed.

use domain::problem::Problem;
use leptos::{ev, prelude::*};

use crate::{context, error::problem_wording};

/// The words of the first problem of a field.
pub fn error_of(problems: &[Problem], field: &str, label: &str) -> Option<String> {
    let problem = problems.iter().find(|it| it.field == field)?;
    Some(problem_wording(&problem.rule, label, context::words()))
}

/// The same, following the problems as they change.
pub fn live_error(
    problems: RwSignal<Vec<Problem>>,
    field: &'static str,
    label: &'static str,
) -> Signal<Option<String>> {
    Signal::derive(move || error_of(&problems.read(), field, label))
}

/// All problems, each linked to its field, with focus on the summary as it appears.
#[component]
pub fn ErrorSummary(
    #[prop(into)] problems: Signal<Vec<Problem>>,
    /// The label of a field by its name.
    label: fn(&str) -> &'static str,
) -> impl IntoView {
    let summary = NodeRef::<leptos::html::Div>::new();
    Effect::new(move |_| {
        if !problems.read().is_empty()
            && let Some(summary) = summary.get()
        {
            _ = summary.focus();
        }
    });
    let line = move |it: Problem| {
        let text = problem_wording(&it.rule, label(&it.field), context::words());
        view! { <li><a href=format!("#{}", it.field) rel="external">{text}</a></li> }
    };
    move || {
        let problems = problems.get();
        (!problems.is_empty()).then(|| {
            view! {
                <div class="summary" role="alert" tabindex="-1" node_ref=summary>
                    <h2>{context::words().common.problem_title}</h2>
                    <ul>{problems.into_iter().map(line).collect_view()}</ul>
                </div>
            }
        })
    }
}

/// Asks before a page with unsaved changes is left. `is_dirty` is only looked at then.
pub fn guard_unsaved(is_dirty: RwSignal<bool>) {
    Effect::new(move || {
        let closing = window_event_listener(ev::beforeunload, move |event| {
            if is_dirty.get_untracked() {
                event.prevent_default();
            }
        });
        on_cleanup(move || closing.remove());
    });
}
