//! The egress policy: what is in force, and what it says to an address. The server makes the HTML.

use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use crate::{
    context,
    served::{api::Part, page::ServedPage},
};

#[cfg(feature = "ssr")]
pub mod picture;

/// Where the page is.
pub const PATH: &str = "/settings/egress";

#[component]
pub fn EgressPage() -> impl IntoView {
    let part = |_: &ParamsMap, query: &ParamsMap| Part::Egress {
        address: query.get("address").unwrap_or_default(),
        port: query.get("port").unwrap_or_default(),
    };
    view! { <ServedPage title=context::words().shell.egress part/> }
}
