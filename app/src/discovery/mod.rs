//! "Find settings": from a mail address to a new account's form. The server makes the HTML; the form posts natively, so that nothing
//! is looked up by opening a link.

use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use crate::{
    context,
    served::{api::Part, page::ServedPage},
};

#[cfg(feature = "ssr")]
pub mod found;
#[cfg(feature = "ssr")]
pub mod search;

/// Where the page is, and where its form is posted.
pub const PATH: &str = "/settings/email/imap-pop3/discover";

#[component]
pub fn DiscoveryPage() -> impl IntoView {
    let part = |_: &ParamsMap, query: &ParamsMap| Part::Discovery { address: query.get("address").unwrap_or_default() };
    view! { <ServedPage title=context::words().accounts.find_settings part/> }
}
