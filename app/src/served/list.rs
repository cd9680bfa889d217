//! A report of records as HTML: what it searches by, its table, its pages, and what is said where there is nothing.

use domain::{page::Page, query};
use leptos::prelude::*;

use crate::{
    context,
    ui::{notice::Empty, pager::Pager, table::Plain},
};

/// A report, without its rows.
pub struct List {
    /// Where it is.
    pub path: &'static str,
    pub title: &'static str,
    pub heads: Vec<&'static str>,
    /// What was searched for.
    pub search: String,
    /// What is said where there is no record at all: a title, a hint, and what to do.
    pub empty: (&'static str, &'static str, Option<(String, &'static str)>),
}

impl List {
    /// The report with these rows; `row` makes the cells of one.
    pub fn show<T, V: IntoView + 'static>(self, page: Page<T>, row: impl Fn(T) -> V) -> AnyView {
        let words = context::words();
        let List { path, title, heads, search, empty } = self;
        let searched =
            if search.is_empty() { String::new() } else { format!("?{}", query::encode(&[("name", search.clone())])) };
        context::first_page_instead(&page, &format!("{path}{searched}"));
        let filters = view! {
            <form method="get" action=path class="filters" role="search">
                <div class="field">
                    <label for="name">{words.accounts.name}</label>
                    <input type="search" id="name" name="name" value=search.clone() autocomplete="off"/>
                </div>
                <button class="button" type="submit">{words.common.search}</button>
            </form>
        };
        if page.items.is_empty() {
            let found = if search.is_empty() {
                let (title, hint, next) = empty;
                let next = next.map(|(href, label)| view! { <a class="button primary" href=href>{label}</a> });
                view! { <Empty title hint>{next}</Empty> }.into_any()
            } else {
                let (title, hint) = (words.common.no_matches, words.common.no_matches_hint);
                view! { <Empty title hint><a href=path>{words.common.clear_filters}</a></Empty> }.into_any()
            };
            return view! { {filters}{found} }.into_any();
        }
        let place = (&page).into();
        let link = move |number: u32| {
            let pairs = [("name", search.clone()), ("page", number.to_string())];
            format!("{path}?{}", query::encode(&pairs))
        };
        let rows = page.items.into_iter().map(|it| view! { <tr>{row(it)}</tr> }).collect_view();
        view! { {filters}<Plain caption=title heads>{rows}</Plain><Pager place link/> }.into_any()
    }
}
