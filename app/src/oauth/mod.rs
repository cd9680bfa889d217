//! OAuth 2.0 credentials: the form, how the tokens stand, and the way to the provider. The server makes the HTML.

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

#[cfg(feature = "ssr")]
pub mod device;
#[cfg(feature = "ssr")]
pub mod form;

/// Each form is posted to the address that it has below this path.
pub const PATH: &str = "/settings/credentials/oauth";

/// Half an hour: so long a code is good at most providers.
const LOOKS: u32 = 900;

/// The form of the credential that the path names.
#[component]
pub fn OAuthPage() -> impl IntoView {
    let part = |path: &ParamsMap, _: &ParamsMap| {
        let id = path.get("id").unwrap_or_default();
        Part::OAuth { id: (id != "new").then(|| CredentialId(id.parse().unwrap_or(0))) }
    };
    view! { <ServedPage title=context::words().shell.credentials part/> }
}

/// The code that somebody enters on another device, and what came of it.
#[component]
pub fn DevicePage() -> impl IntoView {
    let part = |path: &ParamsMap, _: &ParamsMap| Part::Device { id: CredentialId(number(path, "id", 0)) };
    // Why a provider gave no code stands there until somebody has read it.
    let is_followed = use_query_map().with_untracked(|it| it.get("follow").is_some());
    view! { <ServedPage title=context::words().shell.credentials part looks=if is_followed { LOOKS } else { 0 }/> }
}
