//! The inbox page: reads the URL, asks the server, hands plain data to the views.

use domain::ids::AccountId;
use leptos::prelude::*;
use leptos_router::{
    components::Form,
    hooks::{use_params_map, use_query_map},
};

use super::{
    api::{Inbox, last_checks, list_messages, message_source, open_message},
    check::CheckNow,
    list::MessageList,
    message::Message,
    query::{Place, View, inbox},
    runs::LastChecks,
    tabs::{Tab, Tabs},
    wording,
};
use crate::{
    accounts::{self, health::HealthCell},
    context,
    error::UserError,
    ui::{
        notice::{Empty, Failure},
        page::Page,
        pager::Pager,
    },
};

/// The messages collected from one account.
#[component]
pub fn InboxPage() -> impl IntoView {
    let words = &context::words().inbox;
    let (params, query) = (use_params_map(), use_query_map());
    let account =
        Memo::new(move |_| AccountId(params.read().get("id").and_then(|it| it.parse().ok()).unwrap_or_default()));
    let place = Memo::new(move |_| Place::from_url(&query.read()));
    // Counts the finished checks, so that list and records are read again after each.
    let n_checks = RwSignal::new(0_u32);
    let wanted = Memo::new(move |_| (account.get(), place.read().query.clone(), n_checks.get()));
    let list = Resource::new(move || wanted.get(), |(account, query, _)| list_messages(account, query));
    let runs = Resource::new(move || (account.get(), n_checks.get()), |(account, _)| last_checks(account));
    let id = Memo::new(move |_| place.read().message);
    let opened = Resource::new(
        move || (account.get(), id.get()),
        async |(account, id)| match id {
            Some(id) => Some(open_message(account, id).await),
            None => None,
        },
    );
    let wants_source = Memo::new(move |_| place.read().message.filter(|_| place.read().view == View::Source));
    let source = Resource::new(
        move || (account.get(), wants_source.get()),
        async |(account, id)| match id {
            Some(id) => Some(message_source(account, id).await),
            None => None,
        },
    );
    let on_finish = Callback::new(move |()| n_checks.update(|it| *it += 1));
    view! {
        <Page title=words.title tools=move || view! { <EditLink account=account.get_untracked()/> }>
            <Tabs account=account.get_untracked() current=Tab::Inbox/>
            <CheckNow account=account.get_untracked() on_finish/>
            <Search account place/>
            <div class="inbox" class:has-message=move || id.get().is_some()>
                <section class="inbox-side" aria-label=words.list>
                    <Transition fallback=Loading>
                        {move || {
                            let place = place.get();
                            Suspend::new(async move {
                                view! { <Side account=account.get_untracked() place answer=list.await/> }
                            })
                        }}
                    </Transition>
                </section>
                <section class="inbox-pane" aria-label=words.reading>
                    <Transition fallback=Loading>
                        {move || {
                            let place = place.get();
                            Suspend::new(async move {
                                let (opened, source) = (opened.await, source.await);
                                let account = account.get_untracked();
                                match opened {
                                    Some(Ok(content)) => {
                                        view! { <Message account place content source/> }.into_any()
                                    }
                                    Some(Err(UserError::NotFound)) => view! {
                                        <Empty title=words.gone_title hint=words.gone_hint>
                                            <a class="button" href=inbox(account)>{words.back_to_list}</a>
                                        </Empty>
                                    }.into_any(),
                                    Some(Err(error)) => view! { <Failure error/> }.into_any(),
                                    None => view! {
                                        <Empty title=words.select_title hint=words.select_hint>{None::<AnyView>}</Empty>
                                    }.into_any(),
                                }
                            })
                        }}
                    </Transition>
                </section>
            </div>
            <Transition fallback=Loading>
                {move || Suspend::new(async move {
                    match runs.await {
                        Ok(runs) => view! { <LastChecks account=account.get_untracked() runs/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Transition>
        </Page>
    }
}

#[component]
fn Loading() -> impl IntoView {
    view! { <p aria-busy="true">{context::words().common.loading}</p> }
}

#[component]
fn EditLink(account: AccountId) -> impl IntoView {
    view! { <a class="button" href=format!("{}/{account}", accounts::PATH)>{context::words().inbox.edit_account}</a> }
}

/// The search field: a form of the URL, with and without WebAssembly.
#[component]
fn Search(account: Memo<AccountId>, place: Memo<Place>) -> impl IntoView {
    let words = &context::words().inbox;
    let search = move || place.read().query.search.clone();
    view! {
        <Form method="GET" action=inbox(account.get_untracked()) attr:class="inbox-search" attr:role="search">
            <label for="q">{words.search_label}</label>
            <input type="search" id="q" name="q" value=search prop:value=search aria-describedby="q-hint" autocomplete="off"/>
            <button class="button" type="submit">{words.search}</button>
            {move || (!search().is_empty()).then(|| view! { <a href=inbox(account.get_untracked())>{words.clear}</a> })}
            <span class="hint" id="q-hint">{words.search_hint}</span>
        </Form>
    }
}

/// One page of the list, or why there is none.
#[component]
fn Side(account: AccountId, place: Place, answer: Result<Inbox, UserError>) -> impl IntoView {
    let words = &context::words().inbox;
    let Inbox { account_name, health, now, messages } = match answer {
        Ok(it) => it,
        Err(error) => return view! { <Failure error/> }.into_any(),
    };
    let title = view! {
        <h2 class="inbox-account">
            <bdi>{words.title_of(account_name)}</bdi>" "<span class="count">{words.count(messages.total)}</span>
        </h2>
        {health.failure.as_ref().map(|it| wording::next_step(it.kind, context::words())).map(|step| view! {
            <p class="inbox-standing"><HealthCell health=health.clone() now/>". "{step}</p>
        })}
    };
    if messages.items.is_empty() {
        let (heading, hint) = if place.query.search.is_empty() {
            (words.empty_title, words.empty_hint)
        } else {
            (words.no_match_title, words.no_match_hint)
        };
        let clear =
            (!place.query.search.is_empty()).then(|| view! { <a class="button" href=inbox(account)>{words.clear}</a> });
        return view! { {title}<Empty title=heading hint=hint>{clear}</Empty> }.into_any();
    }
    let pager = (&messages).into();
    let here = place.clone();
    view! {
        {title}
        <MessageList account place rows=messages.items/>
        <Pager place=pager link=move |page| here.with_page(page).href(account)/>
    }
    .into_any()
}
