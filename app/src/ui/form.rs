//! What forms share: the summary of problems, and the guard against losing what was typed.

use domain::problem::Problem;
use leptos::{ev, prelude::*, wasm_bindgen::JsCast as _, web_sys};

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

/// What stands in a form right now, as the form of texts that it posts.
#[cfg(not(feature = "ssr"))]
pub fn read<T: serde::de::DeserializeOwned + Default>(form: &web_sys::HtmlFormElement) -> T {
    let mut fields = std::collections::BTreeMap::<String, String>::new();
    let elements = form.elements();
    for nth in 0..elements.length() {
        let Some(element) = elements.item(nth) else { continue };
        let (name, value) = if let Some(input) = element.dyn_ref::<web_sys::HtmlInputElement>() {
            if matches!(input.type_().as_str(), "radio" | "checkbox") && !input.checked() {
                continue;
            }
            (input.name(), input.value())
        } else if let Some(select) = element.dyn_ref::<web_sys::HtmlSelectElement>() {
            (select.name(), select.value())
        } else if let Some(area) = element.dyn_ref::<web_sys::HtmlTextAreaElement>() {
            (area.name(), area.value())
        } else {
            continue;
        };
        fields.insert(name, value);
    }
    // By way of text: what the forms arrive with reads them here too.
    let text = serde_json::to_string(&fields).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Runs the rules on what stands in the form; the native post goes on only if none is broken.
pub fn check_before_post<T: serde::de::DeserializeOwned + Default>(
    event: &ev::SubmitEvent,
    problems: RwSignal<Vec<Problem>>,
    is_dirty: RwSignal<bool>,
    rules: fn(&T) -> Result<(), Vec<Problem>>,
) {
    #[cfg(not(feature = "ssr"))]
    {
        let target = event.target().and_then(|it| it.dyn_into::<web_sys::HtmlFormElement>().ok());
        if let Some(Err(found)) = target.map(|it| rules(&read(&it))) {
            event.prevent_default();
            problems.set(found);
            return;
        }
    }
    #[cfg(feature = "ssr")]
    {
        _ = (event, problems, rules);
    }
    is_dirty.set(false);
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
        // On the body: the router listens on the window, which hears of a click later.
        let on_click = move |event: web_sys::MouseEvent| {
            let link = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
            let Some(link) = link.and_then(|it| it.closest("a[href]").ok().flatten()) else { return };
            let stays =
                link.has_attribute("target") || link.get_attribute("href").is_some_and(|it| it.starts_with('#'));
            if stays || !is_dirty.get_untracked() {
                return;
            }
            if window().confirm_with_message(context::words().common.leave_warning).unwrap_or(true) {
                is_dirty.set(false);
            } else {
                event.prevent_default();
            }
        };
        let clicked = document().body().map(|it| it.on(ev::click, on_click));
        let clicked = StoredValue::new_local(clicked);
        on_cleanup(move || {
            closing.remove();
            clicked.dispose();
        });
    });
}
