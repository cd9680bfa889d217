//! The search fields of the report: they act as one types or chooses; without script the Search button sends them.

use std::time::Duration;

use domain::account::{AccountFilter, AccountQuery, AccountSort};
use leptos::{
    ev,
    leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle},
    prelude::*,
};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use crate::context;

/// Between the last letter and the new rows.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// The field of a filter behind More.
type Flag = fn(&mut AccountFilter) -> &mut Option<bool>;

#[component]
pub fn Filters(#[prop(into)] query: Signal<AccountQuery>, is_open_by_url: bool) -> impl IntoView {
    let words = context::words();
    let navigate = use_navigate();
    // Any other filter begins at the first page again.
    let go = Callback::new(move |change: AccountQuery| {
        let mut change = change;
        change.page.page = 1;
        let address = super::report::address(&change);
        navigate(&address, NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() });
    });
    let n_hidden = move || {
        let filter = query.get().filter;
        [filter.secure_connection, filter.automatic_check, filter.keep_copy, filter.enabled].iter().flatten().count()
    };
    let is_open = RwSignal::new(is_open_by_url || untrack(n_hidden) > 0);
    // The rows follow already; a full load would only flicker.
    let on_submit = move |event: ev::SubmitEvent| event.prevent_default();
    let has_sort = query.get_untracked().sort != AccountSort::default();
    let clear = move || super::report::address(&AccountQuery { sort: query.get().sort, ..AccountQuery::default() });
    view! {
        <form class="filters" method="get" action=super::PATH role="search" aria-label=words.accounts.filters on:submit=on_submit>
            <NameFilter query go/>
            <button type="submit" class="button">{words.common.search}</button>
            <button type="submit" class="button" name="more" value="1" aria-expanded=move || is_open.get().to_string()
                aria-controls="more-filters" aria-describedby="more-active"
                on:click=move |event| { event.prevent_default(); is_open.update(|it| *it = !*it); }>
                {words.common.more}
            </button>
            <span class="badge" id="more-active" hidden=move || n_hidden() == 0>{move || words.accounts.more_active(n_hidden())}</span>
            {move || (!query.get().filter.is_empty()).then(|| view! { <a class="clear" href=clear>{words.common.clear_filters}</a> })}
            <div id="more-filters" class="more-filters" hidden=move || !is_open.get()><MoreFilters query go/></div>
            {move || has_sort.then(|| view! { <input type="hidden" name="sort" value=move || query.get().sort.to_param()/> })}
        </form>
    }
}

#[component]
fn NameFilter(query: Signal<AccountQuery>, go: Callback<AccountQuery>) -> impl IntoView {
    let waiting = StoredValue::new(None::<TimeoutHandle>);
    let initial = query.get_untracked().filter.name;
    let typed = StoredValue::new(initial.clone());
    let on_name = move |event: ev::Event| {
        let name = event_target_value(&event);
        typed.set_value(name.clone());
        let search = move || {
            let mut next = query.get_untracked();
            name.trim().clone_into(&mut next.filter.name);
            go.run(next);
        };
        if let Some(earlier) = waiting.get_value() {
            earlier.clear();
        }
        waiting.set_value(set_timeout_with_handle(search, DEBOUNCE).ok());
    };
    // What stands in the field stays as it was typed, a space at its end too, while it means what the URL says.
    let shown = move || {
        let (name, typed) = (query.get().filter.name, typed.get_value());
        if typed.trim() == name { typed } else { name }
    };
    view! {
        <div class="filter">
            <label for="filter-name">{context::words().accounts.name}</label>
            <input type="search" id="filter-name" name="name" value=initial autocomplete="off" prop:value=shown on:input=on_name/>
        </div>
    }
}

#[component]
fn MoreFilters(query: Signal<AccountQuery>, go: Callback<AccountQuery>) -> impl IntoView {
    let words = context::words();
    let yes_no = [("", words.common.any), ("true", words.common.yes), ("false", words.common.no)];
    let states = [
        ("", words.common.any),
        ("enabled", words.accounts.enabled_status),
        ("disabled", words.accounts.disabled_status),
    ];
    let select = move |key: &'static str,
                       label: &'static str,
                       options: [(&'static str, &'static str); 3],
                       flag: Flag| {
        let chosen = move || match *flag(&mut query.get().filter) {
            None => options[0].0,
            Some(true) => options[1].0,
            Some(false) => options[2].0,
        };
        let choose = move |event: ev::Event| {
            let value = event_target_value(&event);
            let mut next = query.get_untracked();
            let nth = options.iter().position(|it| it.0 == value);
            *flag(&mut next.filter) = nth.filter(|it| *it > 0).map(|it| it == 1);
            go.run(next);
        };
        let option = move |(value, label): (&'static str, &'static str)| {
            view! { <option value=value selected=move || chosen() == value>{label}</option> }
        };
        let id = format!("filter-{key}");
        view! {
            <div class="filter">
                <label for=id.clone()>{label}</label>
                <select id=id name=key prop:value=chosen on:change=choose>{options.map(option).collect_view()}</select>
            </div>
        }
    };
    view! {
        {select("secure_connection", words.accounts.secure_connection, yes_no, |it| &mut it.secure_connection)}
        {select("automatic_check", words.accounts.automatic_check, yes_no, |it| &mut it.automatic_check)}
        {select("keep_copy", words.accounts.keep_copy, yes_no, |it| &mut it.keep_copy)}
        {select("status", words.accounts.status, states, |it| &mut it.enabled)}
    }
}
