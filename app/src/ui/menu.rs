//! A menu that opens as a popover, with the keys of a menu (ARIA Authoring Practices, menu button).

use leptos::{ev, prelude::*, wasm_bindgen::JsCast as _, web_sys};

/// The items among which `event` moves: those of the menu that it is in.
fn items(menu: &web_sys::Element) -> Vec<web_sys::HtmlElement> {
    let Ok(found) = menu.query_selector_all("[role=menuitem]") else { return Vec::new() };
    (0..found.length()).filter_map(|nth| found.item(nth)?.dyn_into().ok()).collect()
}

/// Arrows, Home and End move; Tab closes.
fn on_key(event: ev::KeyboardEvent) {
    let Some(menu) = event.current_target().and_then(|it| it.dyn_into::<web_sys::HtmlElement>().ok()) else { return };
    let items = items(&menu);
    let now = document().active_element();
    let place = items.iter().position(|it| now.as_ref().is_some_and(|now| it.is_same_node(Some(now))));
    let count = items.len();
    let next = match (event.key().as_str(), place) {
        ("ArrowDown", place) => place.map_or(0, |it| (it + 1) % count.max(1)),
        ("ArrowUp", place) => (place.unwrap_or(0) + count.saturating_sub(1)) % count.max(1),
        ("Home", _) => 0,
        ("End", _) => count.saturating_sub(1),
        ("Tab", _) => {
            _ = menu.hide_popover();
            return;
        }
        _ => return,
    };
    event.prevent_default();
    if let Some(item) = items.get(next) {
        _ = item.focus();
    }
}

/// A button and the menu that it opens; `children` are links with the role `menuitem`.
#[component]
pub fn MenuButton(id: &'static str, label: &'static str, children: Children) -> impl IntoView {
    let is_open = RwSignal::new(false);
    let on_toggle = move |event: web_sys::Event| {
        let Some(menu) = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok()) else { return };
        let open = menu.matches(":popover-open").unwrap_or(false);
        is_open.set(open);
        if open && let Some(first) = items(&menu).first() {
            _ = first.focus();
        }
    };
    view! {
        <button type="button" class="button" popovertarget=id aria-haspopup="menu" aria-expanded=move || is_open.get().to_string()>
            {label}<super::icon::Icon name="chevron"/>
        </button>
        <div id=id popover="auto" class="floating menu" role="menu" aria-label=label on:keydown=on_key on:toggle=on_toggle>{children()}</div>
    }
}
