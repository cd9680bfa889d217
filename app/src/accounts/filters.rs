//! The search fields of the report: they act as one types or chooses; without script the Search button sends them.

use std::time::Duration;

use domain::account::{AccountQuery, AccountSort, HealthState};
use leptos::{
    ev,
    leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle},
    prelude::*,
};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use super::health::state_label;
use crate::context;

/// Between the last letter and the new rows.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// How a change of the filters enters the browser's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Back leads to what was before.
    New,
    /// More of what one is typing.
    Same,
}

/// What the filter asks of the field that has this name in the address; empty if nothing.
fn asked(query: &AccountQuery, key: &str) -> String {
    let pairs = domain::query::decode(&query.to_query_string());
    pairs.into_iter().find(|it| it.0 == key).map(|it| it.1).unwrap_or_default()
}

/// The same query, but for what it asks of one field.
fn asking(query: &AccountQuery, key: &str, value: String) -> AccountQuery {
    let mut pairs = domain::query::decode(&query.to_query_string());
    pairs.retain(|it| it.0 != key);
    pairs.push((key.to_owned(), value));
    AccountQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))).0
}

#[component]
pub fn Filters(#[prop(into)] query: Signal<AccountQuery>, is_open_by_url: bool) -> impl IntoView {
    let words = context::words();
    let navigate = use_navigate();
    // Any other filter begins at the first page again.
    let go = Callback::new(move |(mut change, step): (AccountQuery, Step)| {
        change.page.page = 1;
        let address = super::report::address(&change);
        navigate(
            &address,
            NavigateOptions { replace: step == Step::Same, scroll: false, ..NavigateOptions::default() },
        );
    });
    let n_hidden = move || {
        let filter = query.get().filter;
        let flags = [
            filter.secure_connection,
            filter.automatic_check,
            filter.keep_copy,
            filter.skip_certificate,
            filter.enabled,
        ];
        flags.iter().flatten().count() + usize::from(filter.health.is_some())
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
fn NameFilter(query: Signal<AccountQuery>, go: Callback<(AccountQuery, Step)>) -> impl IntoView {
    let waiting = StoredValue::new(None::<TimeoutHandle>);
    let forget = move || {
        if let Some(Some(handle)) = waiting.try_get_value() {
            handle.clear();
        }
    };
    // Whoever leaves within the pause takes the search along.
    on_cleanup(forget);
    let initial = query.get_untracked().filter.name;
    let typed = StoredValue::new(initial.clone());
    let on_name = move |event: ev::Event| {
        let name = event_target_value(&event);
        typed.set_value(name.clone());
        let search = move || {
            let mut next = query.get_untracked();
            // More letters belong to the same step.
            let step = if next.filter.name.is_empty() { Step::New } else { Step::Same };
            name.trim().clone_into(&mut next.filter.name);
            go.run((next, step));
        };
        forget();
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
fn MoreFilters(query: Signal<AccountQuery>, go: Callback<(AccountQuery, Step)>) -> impl IntoView {
    let words = context::words();
    let it = &words.accounts;
    let yes_no = || vec![("true", words.common.yes), ("false", words.common.no)];
    let states = vec![("enabled", it.enabled_status), ("disabled", it.disabled_status)];
    let healths = HealthState::ALL.map(|it| (it.as_str(), state_label(it, words))).to_vec();
    let fields = [
        ("secure_connection", it.secure_connection, yes_no()),
        ("automatic_check", it.automatic_check, yes_no()),
        ("keep_copy", it.keep_copy, yes_no()),
        ("skip_certificate", it.skip_certificate, yes_no()),
        ("status", it.status, states),
        ("health", it.health, healths),
    ];
    let select = move |(key, label, options): (&'static str, &'static str, Vec<(&'static str, &'static str)>)| {
        let chosen = Memo::new(move |_| asked(&query.read(), key));
        let choose = move |event: ev::Event| {
            go.run((asking(&query.read_untracked(), key, event_target_value(&event)), Step::New));
        };
        let option = move |(value, label): (&'static str, &'static str)| {
            view! { <option value=value selected=move || *chosen.read() == value>{label}</option> }
        };
        let id = format!("filter-{key}");
        view! {
            <div class="filter">
                <label for=id.clone()>{label}</label>
                <select id=id name=key prop:value=chosen on:change=choose>
                    {option(("", words.common.any))}
                    {options.into_iter().map(option).collect_view()}
                </select>
            </div>
        }
    };
    fields.map(select).into_iter().collect_view()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_chosen_and_taken_back_without_touching_the_others() {
        let query = AccountQuery::from_query_string("name=a%20b&keep_copy=false&sort=-port");
        let late = asking(&query, "health", "late".to_owned());
        assert_eq!((asked(&late, "health"), asked(&late, "keep_copy")), ("late".to_owned(), "false".to_owned()));
        assert_eq!(late.filter.health, Some(HealthState::Late));
        assert_eq!(asking(&late, "health", String::new()), query);
    }
}
