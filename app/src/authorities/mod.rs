//! Certificate authorities: the report and the form. The server makes their HTML; the form posts natively.

use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use crate::{
    context,
    served::{
        api::Part,
        page::{ServedPage, number},
    },
};

#[cfg(feature = "ssr")]
pub mod form;
#[cfg(feature = "ssr")]
pub mod report;

/// The path of the report; its records stand below it.
pub const PATH: &str = "/settings/authorities";

#[component]
pub fn ReportPage() -> impl IntoView {
    let part = |_: &ParamsMap, query: &ParamsMap| Part::Authorities {
        search: query.get("name").unwrap_or_default(),
        page: number(query, "page", 1),
    };
    view! { <ServedPage title=context::words().trust.title part/> }
}

/// A new authority, or a stored one.
#[component]
pub fn FormPage() -> impl IntoView {
    let part = |path: &ParamsMap, _: &ParamsMap| Part::Authority {
        id: path.get("id").filter(|it| it != "new").map(|it| domain::ids::AuthorityId(it.parse().unwrap_or(0))),
    };
    view! { <ServedPage title=context::words().trust.ca part/> }
}
