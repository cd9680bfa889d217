//! The audit report: filters in the URL, newest first.

use leptos::prelude::*;

use crate::{
    context,
    served::{api::Part, page::ServedPage},
};

/// The path of the report.
pub const PATH: &str = "/settings/audit";

#[component]
pub fn ReportPage() -> impl IntoView {
    let part = |_: &_, query: &leptos_router::params::ParamsMap| Part::Audit {
        query: query.to_query_string().trim_start_matches('?').to_owned(),
    };
    view! { <ServedPage title=context::words().shell.audit part/> }
}
