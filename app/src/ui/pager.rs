//! The pager at the end of a report: links, so that it works before the WebAssembly has loaded.

use domain::page::Page;
use leptos::prelude::*;

use crate::context;

/// What the pager needs to know of a page.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    first: u64,
    last: u64,
    total: u64,
    page: u32,
    last_page: u32,
}

impl<T> From<&Page<T>> for Place {
    fn from(page: &Page<T>) -> Self {
        let (first, last) = page.range();
        Self { first, last, total: page.total, page: page.page, last_page: page.last_page() }
    }
}

/// First, previous, next, last, and "1-30 of 12,345". `link` gives the address of a page.
#[component]
pub fn Pager(place: Place, #[prop(into)] link: Callback<u32, String>) -> impl IntoView {
    let words = &context::words().common;
    let number = |it| context::locale().number(it);
    let range = words.range(number(place.first), number(place.last), number(place.total));
    let step = move |label: &'static str, sign: &'static str, page: u32, is_possible: bool| {
        if is_possible {
            view! { <li><a class="button" href=link.run(page) aria-label=label title=label>{sign}</a></li> }.into_any()
        } else {
            view! { <li><span class="button" aria-hidden="true">{sign}</span></li> }.into_any()
        }
    };
    let (page, last) = (place.page, place.last_page);
    view! {
        <div class="pager">
            <p role="status">{range}</p>
            {(last > 1).then(|| view! {
                <nav aria-label=words.pages>
                    <ul>
                        {step(words.first_page, "\u{ab}", 1, page > 1)}
                        {step(words.previous_page, "\u{2039}", page.saturating_sub(1).max(1), page > 1)}
                        {step(words.next_page, "\u{203a}", page.saturating_add(1), page < last)}
                        {step(words.last_page, "\u{bb}", last, page < last)}
                    </ul>
                </nav>
            })}
        </div>
    }
}
