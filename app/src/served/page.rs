//! The page around a part, and how it follows what happens.

use std::time::Duration;

use leptos::{
    leptos_dom::helpers::set_interval_with_handle, prelude::*, task::spawn_local, wasm_bindgen::JsCast as _, web_sys,
};
use leptos_router::{
    hooks::{use_params_map, use_query_map},
    params::ParamsMap,
};

use super::api::{Part, load_part};
use crate::{
    context,
    ui::{notice::Failure, page::Page},
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Half an hour: a page that is left open must not keep its session alive.
const LOOKS_MAX: u32 = 900;

/// The number that a parameter holds.
pub fn number<T: std::str::FromStr>(params: &ParamsMap, key: &str, otherwise: T) -> T {
    params.get(key).and_then(|it| it.parse().ok()).unwrap_or(otherwise)
}

/// Reads the address, asks the server, shows what it made.
#[component]
pub fn ServedPage(
    title: &'static str,
    /// From the parameters of the path and of the query.
    part: fn(&ParamsMap, &ParamsMap) -> Part,
    /// Looks again and again while it can be seen, until so many looks in a row found nothing new.
    #[prop(optional)]
    looks: u32,
    /// On the title's line.
    #[prop(optional, into)]
    tools: ViewFn,
) -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let part = Memo::new(move |_| part(&params.read(), &query.read()));
    let answer = Resource::new_blocking(move || part.get(), load_part);
    view! {
        <Page title=title tools=tools>
            <Transition fallback=|| view! { <p aria-busy="true">{context::words().common.loading}</p> }>
                {move || Suspend::new(async move {
                    match answer.await {
                        Ok(html) => view! { <Shown html part looks/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Transition>
        </Page>
    }
}

/// Keeps what was seen last if a look fails, and says so.
#[component]
fn Shown(html: String, part: Memo<Part>, looks: u32) -> impl IntoView {
    let failure = RwSignal::new(None::<String>);
    let root = NodeRef::<leptos::html::Div>::new();
    let is_waiting = StoredValue::new(false);
    // In a row without anything new, and all of them.
    let n_looks = StoredValue::new((0, 0));
    let look = move || {
        let (n_idle, n_all) = n_looks.get_value();
        if document().hidden() || is_waiting.get_value() || n_idle >= looks {
            return;
        }
        if n_all >= LOOKS_MAX {
            failure.set(Some(context::words().checks.paused.to_owned()));
            return;
        }
        n_looks.set_value((n_idle + 1, n_all + 1));
        is_waiting.set_value(true);
        spawn_local(async move {
            let answer = load_part(part.get_untracked()).await;
            _ = is_waiting.try_set_value(false);
            let reason = match answer {
                Ok(html) => {
                    if let Some(Some(root)) = root.try_get_untracked()
                        && renew(&root, &html)
                    {
                        _ = n_looks.try_update_value(|it| it.0 = 0);
                    }
                    None
                }
                Err(error) => {
                    let words = context::words();
                    Some(words.checks.stale(error.wording(words)))
                }
            };
            _ = failure.try_set(reason);
        });
    };
    Effect::new(move || {
        let handle = if looks > 0 { set_interval_with_handle(look, EVERY).ok() } else { None };
        on_cleanup(move || {
            if let Some(handle) = handle {
                handle.clear();
            }
        });
    });
    view! {
        <div role="status">{move || failure.get().map(|it| view! { <p class="alert">{it}</p> })}</div>
        <div node_ref=root inner_html=html></div>
    }
}

fn sections(root: &web_sys::Element) -> Vec<web_sys::Element> {
    let Ok(found) = root.query_selector_all(":scope > *") else { return Vec::new() };
    (0..found.length()).filter_map(|nth| found.item(nth)?.dyn_into().ok()).collect()
}

/// Puts new HTML in the place of the old, section by section, and leaves alone what did not change: whoever reads or scrolls
/// there stays where they are. Focus stays on what has the same address or name. Answers whether anything changed.
fn renew(root: &web_sys::Element, html: &str) -> bool {
    let Ok(fresh) = document().create_element("div") else { return false };
    fresh.set_inner_html(html);
    let focus = document().active_element().filter(|it| root.contains(Some(it))).and_then(|it| {
        let attribute = |name: &str| Some(format!("[{name}=\"{}\"]", it.get_attribute(name)?));
        attribute("href").or_else(|| attribute("aria-label"))
    });
    let (old, new) = (sections(root), sections(&fresh));
    let mut is_new = old.len() != new.len();
    if old.len() == new.len() {
        for (old, new) in old.iter().zip(&new) {
            let html = new.outer_html();
            if old.outer_html() != html {
                old.set_outer_html(&html);
                is_new = true;
            }
        }
    } else {
        root.set_inner_html(html);
    }
    let focus = focus.and_then(|it| root.query_selector(&it).ok().flatten());
    if let Some(element) = focus.and_then(|it| it.dyn_into::<web_sys::HtmlElement>().ok()) {
        _ = element.focus();
    }
    is_new
}
