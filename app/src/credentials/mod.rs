//! Credentials: the report and the form. A secret is only ever written here, never shown.

use domain::ids::CredentialId;
use leptos::prelude::*;
use leptos_router::{hooks::use_query_map, params::ParamsMap};

use crate::{
    context,
    served::{
        api::Part,
        page::{ServedPage, number},
    },
};

pub mod api;
pub mod form;
#[cfg(feature = "ssr")]
pub mod report;
#[cfg(feature = "ssr")]
pub mod rotation;
pub mod used;

/// The path of the report; its records stand below it.
pub const PATH: &str = "/settings/credentials";

/// Until so many looks found nothing new: the checks of many accounts take a while.
const LOOKS: u32 = 30;

/// A new password for all accounts that use the credential.
#[component]
pub fn RotationPage() -> impl IntoView {
    let part = |path: &ParamsMap, _: &ParamsMap| Part::Rotation { id: CredentialId(number(path, "id", 0)) };
    // Whoever types is not interrupted: only after a rotation is there anything to follow.
    let is_done = use_query_map().with_untracked(|it| it.get("flash").is_some());
    view! { <ServedPage title=context::words().shell.credentials part looks=if is_done { LOOKS } else { 0 }/> }
}
