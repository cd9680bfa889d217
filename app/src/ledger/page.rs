//! The pages of the ledger.

use domain::ids::{AccountId, CheckRunId, RemoteId};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use crate::{
    context,
    served::{
        api::Part,
        page::{ServedPage, number},
    },
};

fn account(params: &ParamsMap) -> AccountId {
    number(params, "id", AccountId(0))
}

#[component]
pub fn QuarantinePage() -> impl IntoView {
    let part = |params: &ParamsMap, query: &ParamsMap| Part::Quarantine {
        account: account(params),
        page: number(query, "page", 1),
    };
    view! { <ServedPage title=context::words().ledger.quarantine part/> }
}

#[component]
pub fn SamplePage() -> impl IntoView {
    let part = |params: &ParamsMap, _: &ParamsMap| Part::Sample {
        account: account(params),
        remote: number(params, "remote", RemoteId(0)),
    };
    view! { <ServedPage title=context::words().ledger.sample part/> }
}

#[component]
pub fn DeletionsPage() -> impl IntoView {
    let part = |params: &ParamsMap, query: &ParamsMap| Part::Deletions {
        account: account(params),
        planned: number(query, "planned", 1),
        page: number(query, "page", 1),
    };
    view! { <ServedPage title=context::words().ledger.deletions part/> }
}

#[component]
pub fn TranscriptPage() -> impl IntoView {
    let part = |params: &ParamsMap, _: &ParamsMap| Part::Transcript {
        account: account(params),
        run: number(params, "run", CheckRunId(0)),
    };
    view! { <ServedPage title=context::words().checks.transcript_title part/> }
}
