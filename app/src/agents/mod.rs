//! The agents of a network connector. The server makes the HTML; its forms post natively.

use domain::ids::ConnectorId;
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
pub mod report;

/// Looks in a row without anything new: five minutes, in which somebody starts an agent elsewhere.
const LOOKS: u32 = 150;

fn part(path: &ParamsMap, _: &ParamsMap) -> Part {
    Part::Agents { connector: ConnectorId(number(path, "id", 0)) }
}

/// Follows which agents come and go.
#[component]
pub fn AgentsPage() -> impl IntoView {
    view! { <ServedPage title=context::words().connectors.agents part looks=LOOKS/> }
}

/// With a code that is shown once, and so never looks again.
#[component]
pub fn CodePage() -> impl IntoView {
    view! { <ServedPage title=context::words().connectors.agents part/> }
}
