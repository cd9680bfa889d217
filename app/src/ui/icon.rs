//! Icons in one style, 16 px, stroke 1.75, after the shapes of the Lucide set; always beside a word.

use leptos::prelude::*;

/// A shape by its name.
#[component]
pub fn Icon(name: &'static str) -> impl IntoView {
    let path = match name {
        "check" => "M3 8.5 6.5 12 13 4.5",
        "alert" => "M8 2 1.5 13.5h13L8 2Zm0 4.5V9.5M8 11.7v.1",
        "stop" => "M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5L5 1.5ZM5.5 5.5l5 5M10.5 5.5l-5 5",
        "clock" => "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM8 4.5V8l2.5 1.5",
        "pencil" => "m11 2.5 2.5 2.5L5.5 13 2 14l1-3.5 8-8Z",
        "inbox" => "M1.5 9.5 3.5 3h9l2 6.5v4h-13v-4Zm0 0h4l1 2h3l1-2h4",
        "up" => "M8 13V3M4 7l4-4 4 4",
        "down" => "M8 3v10M4 9l4 4 4-4",
        "menu" => "M2 4h12M2 8h12M2 12h12",
        _ => "M4 6l4 4 4-4",
    };
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none"
            stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">
            <path d=path></path>
        </svg>
    }
}

/// The mark: a post horn.
#[component]
pub fn Mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" fill="none" stroke="currentColor"
            stroke-width="2" stroke-linecap="round" stroke-linejoin="round">
            <path d="M3 13a6 6 0 1 0 6-6h6l6-4v12l-6-4H9a2.5 2.5 0 1 1-2.5 2.5"></path>
        </svg>
    }
}
