//! The security posture: what is plain, skipped, pinned, weak, shared, silent, or about to end. The server makes the HTML.

use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use crate::{
    context,
    served::{api::Part, page::ServedPage},
};

#[cfg(feature = "ssr")]
pub mod picture;

/// Where the page is; its downloads stand below it.
pub const PATH: &str = "/settings/posture";

#[component]
pub fn PosturePage() -> impl IntoView {
    let part = |_: &ParamsMap, query: &ParamsMap| Part::Posture {
        query: query.to_query_string().trim_start_matches('?').to_owned(),
    };
    view! { <ServedPage title=context::words().shell.posture part/> }
}
