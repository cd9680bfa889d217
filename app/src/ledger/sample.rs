//! The beginning of a message that could not be fetched, as far as it came.

use domain::ids::{AccountId, RemoteId};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::api::load_sample;
use crate::{
    context,
    credentials::used::id_in_path,
    inbox::{
        tabs::{Tab, address},
        transcript::Text,
    },
    ui::page::Page,
};

#[component]
pub fn SamplePage() -> impl IntoView {
    let words = &context::words().ledger;
    let params = use_params_map();
    let account = Memo::new(move |_| id_in_path(params.read().get("id")).unwrap_or(AccountId(0)));
    let remote = Memo::new(move |_| id_in_path(params.read().get("remote")).unwrap_or(RemoteId(0)));
    let answer =
        Resource::new_blocking(move || (account.get(), remote.get()), |(account, remote)| load_sample(account, remote));
    let back = move || address(account.get(), Tab::Quarantine);
    view! {
        <Page title=words.sample>
            <p class="inbox-note">{words.sample_hint}</p>
            <Text answer label=words.sample/>
            <p><a href=back>{words.quarantine}</a></p>
        </Page>
    }
}
