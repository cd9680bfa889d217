//! The frame of every page: skip link, top bar, side menu, title.

use domain::actor::Permission;
use leptos::{ev, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_location;

use super::{
    icon::{Icon, Mark},
    notice::Flash,
};
use crate::context;

/// The document's title. The server writes it unescaped, so it is escaped here; the browser sets it as text.
fn document_title(title: &str) -> String {
    let full = format!("{title} \u{2013} {}", context::words().common.product);
    if cfg!(feature = "ssr") { full.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;") } else { full }
}

/// The title of a form that came back with problems: whoever does not see the page hears it first.
#[component]
pub fn ErrorTitle(title: &'static str) -> impl IntoView {
    view! { <Title text=document_title(&context::words().common.error_prefix(title))/> }
}

/// A page within the frame. `tools` stand on the title's line.
#[component]
pub fn Page(
    #[prop(into)] title: String,
    #[prop(optional, into)] count: Option<Signal<Option<String>>>,
    #[prop(optional, into)] tools: ViewFn,
    children: Children,
) -> impl IntoView {
    let words = context::words();
    let heading = NodeRef::<leptos::html::H1>::new();
    // A change of the route moves focus to the heading; a change of the query leaves it where it is.
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let now = path.get();
        if before.is_some_and(|it| it != now)
            && let Some(heading) = heading.get()
        {
            _ = heading.focus();
        }
        now
    });
    let count = move || count.and_then(|it| it.get()).map(|it| view! { <span class="count">"("{it}")"</span> });
    view! {
        <Title text=document_title(&title)/>
        <a class="skip" href="#main">{words.shell.skip}</a>
        <TopBar/>
        <div class="frame">
            <SideMenu/>
            <main id="main">
                <Flash/>
                <div class="title-line">
                    <h1 tabindex="-1" node_ref=heading>{title}" "{count}</h1>
                    <div class="tools">{tools.run()}</div>
                </div>
                {children()}
            </main>
        </div>
    }
}

/// A page before sign-in: only a card.
#[component]
pub fn BarePage(title: &'static str, children: Children) -> impl IntoView {
    view! {
        <Title text=document_title(title)/>
        <main class="bare" id="main">
            <p class="brand"><Mark/>{context::words().common.product}</p>
            <h1>{title}</h1>
            {children()}
        </main>
    }
}

#[component]
fn TopBar() -> impl IntoView {
    let words = &context::words().shell;
    view! {
        <header class="top">
            <button type="button" class="side-button" popovertarget="side-menu"><Icon name="menu"/>{words.menu}</button>
            <a class="brand" href=crate::accounts::PATH><Mark/>{context::words().common.product}</a>
            <nav aria-label=words.main_menu>
                <ul>
                    <li class="drop"><Products/></li>
                </ul>
            </nav>
            <UserMenu/>
        </header>
    }
}

/// Opens on click, on hover and on focus; Escape closes it wherever the pointer is.
#[component]
fn Products() -> impl IntoView {
    let words = &context::words().shell;
    let is_open = RwSignal::new(false);
    let button = NodeRef::<leptos::html::Button>::new();
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" && is_open.get_untracked() {
            is_open.set(false);
            if let Some(button) = button.get_untracked() {
                _ = button.focus();
                is_open.set(false);
            }
        }
    };
    let on_leave = move |event: ev::FocusEvent| {
        use leptos::wasm_bindgen::JsCast as _;
        let inside = event.current_target().zip(event.related_target()).is_some_and(|(menu, next)| {
            let next = next.dyn_ref::<leptos::web_sys::Node>();
            menu.dyn_ref::<leptos::web_sys::Node>().is_some_and(|it| it.contains(next))
        });
        if !inside {
            is_open.set(false);
        }
    };
    view! {
        <div class="disclosure" on:keydown=on_key on:focusout=on_leave on:mouseenter=move |_| is_open.set(true)
            on:mouseleave=move |_| is_open.set(false)>
            <button type="button" node_ref=button aria-expanded=move || is_open.get().to_string() aria-controls="products-menu"
                on:focus=move |_| is_open.set(true) on:click=move |_| is_open.set(true)>
                {words.products}<Icon name="chevron"/>
            </button>
            <ul id="products-menu" class="floating" class:open=is_open on:click=move |_| is_open.set(false)>
                <li><a href=crate::accounts::PATH>{words.settings}</a></li>
            </ul>
        </div>
    }
}

/// Language, theme, sign-out: plain forms, so that they work without script.
#[component]
fn UserMenu() -> impl IntoView {
    let words = &context::words().shell;
    let location = use_location();
    let back = move || {
        format!(
            "{}{}",
            location.pathname.get(),
            location.search.with(|it| if it.is_empty() { String::new() } else { format!("?{it}") })
        )
    };
    let theme = use_context::<context::Theme>().unwrap_or_default().0;
    let locale = context::locale();
    let themes = [("system", words.system), ("light", words.light), ("dark", words.dark)];
    let name = context::user().map(|it| it.name).unwrap_or_default();
    view! {
        <div class="user">
            <button type="button" popovertarget="user-menu"><span class="visually-hidden">{words.user_menu}" "</span>{name}<Icon name="chevron"/></button>
            <div id="user-menu" popover="auto" class="floating user-menu">
                <form method="post" action="/preferences">
                    <input type="hidden" name="return" value=back/>
                    <label for="locale">{words.language}</label>
                    <select id="locale" name="locale">
                        {words::Locale::ALL.map(|it| view! { <option value=it.tag() selected=it == locale>{it.own_name()}</option> }).collect_view()}
                    </select>
                    <label for="theme">{words.theme}</label>
                    <select id="theme" name="theme">
                        {themes.map(|(it, label)| view! { <option value=it selected=it == theme>{label}</option> }).collect_view()}
                    </select>
                    <button class="button">{words.apply}</button>
                </form>
                <form method="post" action="/sign-out"><button class="button">{words.sign_out}</button></form>
            </div>
        </div>
    }
}

#[component]
fn SideMenu() -> impl IntoView {
    let words = context::words();
    let path = use_location().pathname;
    let item = move |href: &'static str, label: &'static str| {
        let current = move || path.read().starts_with(href).then_some("page");
        view! { <li><a href=href aria-current=current>{label}</a></li> }
    };
    let may_query = context::user().is_some_and(|it| it.role.may(Permission::Query));
    view! {
        <nav class="side" id="side-menu" popover="auto" aria-label=words.shell.side_menu>
            <h2>{words.shell.email}</h2>
            <ul>
                {item(crate::accounts::PATH, words.accounts.title)}
                {item(crate::checks::PATH, words.shell.checks)}
                {item(crate::notices::PATH, words.shell.notices)}
                {item(crate::smtp::PATH, words.shell.smtp)}
                {item(crate::schedules::PATH, words.shell.schedules)}
            </ul>
            <h2>{words.shell.settings}</h2>
            <ul>
                {item("/settings/credentials", words.shell.credentials)}
                {item("/settings/connectors", words.shell.connectors)}
                {item(crate::authorities::PATH, words.shell.authorities)}
                {item(crate::egress::PATH, words.shell.egress)}
                {item(crate::posture::PATH, words.shell.posture)}
                {may_query.then(|| item("/settings/audit", words.shell.audit))}
            </ul>
        </nav>
    }
}

/// Nothing is at this address.
#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(http::StatusCode::NOT_FOUND);
    }
    let words = &context::words().common;
    view! { <Page title=words.not_found><p>{words.not_found_hint}</p></Page> }
}
