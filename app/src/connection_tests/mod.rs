//! "Test connection": the tests of an account, and a single one of what was typed into the form. The server makes their HTML; all
//! buttons post natively.

use domain::ids::AccountId;
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
pub mod account;
#[cfg(feature = "ssr")]
pub mod evidence;
#[cfg(feature = "ssr")]
pub mod outcome;
#[cfg(feature = "ssr")]
mod text;
#[cfg(feature = "ssr")]
pub mod ways;
#[cfg(feature = "ssr")]
mod wording;

/// Looks without anything new: longer than a test may take.
const LOOKS: u32 = 40;

#[component]
pub fn TestPage() -> impl IntoView {
    let part = |path: &ParamsMap, query: &ParamsMap| match path.get("run") {
        Some(run) => Part::ConnectionTest { run },
        None => Part::ConnectionTests {
            account: number(path, "id", AccountId(0)),
            shown: query.get("result").and_then(|it| it.parse().ok()),
        },
    };
    view! { <ServedPage title=context::words().accounts.test_connection part looks=LOOKS/> }
}
