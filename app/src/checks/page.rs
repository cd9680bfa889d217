//! The page of checks, which follows them.

use leptos::prelude::*;

use crate::{
    context,
    served::{api::Part, page::ServedPage},
};

#[component]
pub fn ChecksPage() -> impl IntoView {
    view! { <ServedPage title=context::words().shell.checks part=|_, _| Part::Checks looks=u32::MAX/> }
}
