//! Certificate authorities: the report and the form. The server makes their HTML; the form posts natively.

use domain::ids::AuthorityId;
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use crate::{
    context,
    served::{api::Part, page::ServedPage},
};

#[cfg(feature = "ssr")]
pub mod form;
#[cfg(feature = "ssr")]
pub mod report;

/// The path of the report; its records stand below it, and each form is posted to the address that it has.
pub const PATH: &str = "/settings/authorities";

/// The form of the authority that the path names.
#[component]
pub fn FormPage() -> impl IntoView {
    let part = |path: &ParamsMap, _: &ParamsMap| Part::Authority {
        id: path.get("id").filter(|it| it != "new").map(|it| AuthorityId(it.parse().unwrap_or(0))),
    };
    view! { <ServedPage title=context::words().shell.authorities part/> }
}
