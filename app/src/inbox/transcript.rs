//! The dialogue of a check with the server, on a page of its own. All of it is text.

use domain::ids::{AccountId, CheckRunId};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::{
    api::{Source, load_transcript},
    message::pre,
    query::inbox,
};
use crate::{
    accounts, context,
    credentials::used::id_in_path,
    error::UserError,
    ui::{notice::Failure, page::Page},
};

#[component]
pub fn TranscriptPage() -> impl IntoView {
    let words = &context::words().checks;
    let params = use_params_map();
    let account = Memo::new(move |_| id_in_path(params.read().get("id")).unwrap_or(AccountId(0)));
    let run = Memo::new(move |_| id_in_path(params.read().get("run")).unwrap_or(CheckRunId(0)));
    let answer =
        Resource::new_blocking(move || (account.get(), run.get()), |(account, run)| load_transcript(account, run));
    let back = move || inbox(account.get());
    view! {
        <Page title=words.transcript_title>
            <p class="inbox-note">{words.transcript_hint}</p>
            <Text answer label=words.transcript/>
            <p><a href=back>{context::words().inbox.title}</a></p>
        </Page>
    }
}

/// Text that came from a server, or why there is none.
#[component]
pub fn Text(answer: Resource<Result<Source, UserError>>, label: &'static str) -> impl IntoView {
    view! {
        <Suspense fallback=|| view! { <p aria-busy="true">{context::words().common.loading}</p> }>
            {move || Suspend::new(async move {
                match answer.await {
                    Ok(Source { text, is_cut }) => view! {
                        {is_cut.then(|| view! { <p class="inbox-note">{context::words().ledger.cut}</p> })}
                        {pre(label, text, "inbox-source")}
                    }.into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
}

#[component]
pub fn TranscriptLink(account: AccountId, run: CheckRunId) -> impl IntoView {
    let href = format!("{}/{account}/checks/{run}/transcript", accounts::PATH);
    view! { <a href=href>{context::words().checks.transcript}</a> }
}
