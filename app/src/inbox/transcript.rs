//! The link to the dialogue of a check.

use domain::ids::{AccountId, CheckRunId};
use leptos::prelude::*;

use crate::{accounts, context};

#[component]
pub fn TranscriptLink(account: AccountId, run: CheckRunId) -> impl IntoView {
    let href = format!("{}/{account}/checks/{run}/transcript", accounts::PATH);
    view! { <a href=href>{context::words().checks.transcript}</a> }
}
