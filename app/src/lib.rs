//! What people see.
#![recursion_limit = "256"]
use leptos::prelude::*;
#[component]
pub fn App() -> impl IntoView {
    view! { <main></main> }
}
