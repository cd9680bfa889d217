//! Certificate authorities: the report and the form. The server makes their HTML; the form posts natively.

use domain::ids::AuthorityId;
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

/// The path of the report; its records stand below it, and each form is posted to the address that it has.
pub const PATH: &str = "/settings/authorities";

/// The report, or the form of the authority that the path names.
#[component]
pub fn AuthoritiesPage() -> impl IntoView {
    let part = |path: &ParamsMap, query: &ParamsMap| match path.get("id") {
        Some(id) => Part::Authority { id: (id != "new").then(|| AuthorityId(id.parse().unwrap_or(0))) },
        None => Part::Authorities { search: query.get("name").unwrap_or_default(), page: number(query, "page", 1) },
    };
    view! { <ServedPage title=context::words().shell.authorities part/> }
}
