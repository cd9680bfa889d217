//! A report's table: a native one inside a labelled region that scrolls, with headings that are links.

use leptos::prelude::*;

use super::icon::Icon;
use crate::context;

/// A heading that sorts.
#[derive(Clone, Debug)]
pub struct Heading {
    pub label: &'static str,
    /// Where sorting by it leads.
    pub href: String,
    /// `ascending` or `descending` on the one column that the report is sorted by.
    pub sorted: Option<&'static str>,
}

/// The table; `children` are its rows. The last column is for actions.
#[component]
pub fn Report(caption: &'static str, headings: Vec<Heading>, children: Children) -> impl IntoView {
    let words = &context::words().common;
    let head = |it: Heading| {
        let icon = match it.sorted {
            Some("ascending") => Some("up"),
            Some(_) => Some("down"),
            None => None,
        };
        view! {
            <th scope="col" aria-sort=it.sorted>
                <a href=it.href>{it.label}{icon.map(|name| view! { <Icon name/> })}</a>
            </th>
        }
    };
    view! {
        <div class="table-region" role="region" aria-label=caption tabindex="0">
            <table class="report">
                <caption class="visually-hidden">{caption}". "{words.sorted_hint}</caption>
                <thead>
                    <tr>
                        {headings.into_iter().map(head).collect_view()}
                        <th scope="col">{words.actions}</th>
                    </tr>
                </thead>
                <tbody>{children()}</tbody>
            </table>
        </div>
    }
}

/// A table that does not sort.
#[component]
pub fn Plain(caption: &'static str, heads: Vec<&'static str>, children: Children) -> impl IntoView {
    let heads = heads.into_iter().map(|it| view! { <th scope="col">{it}</th> }).collect_view();
    view! {
        <div class="table-region" role="region" aria-label=caption tabindex="0">
            <table class="plain">
                <caption class="visually-hidden">{caption}</caption>
                <thead><tr>{heads}</tr></thead>
                <tbody>{children()}</tbody>
            </table>
        </div>
    }
}
