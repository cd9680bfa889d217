//! The views of one account: its messages, what could not be fetched, what is deleted.

use domain::ids::AccountId;
use leptos::prelude::*;

use super::query::inbox;
use crate::{accounts, context};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Inbox,
    Quarantine,
    Deletions,
}

/// Where a view of an account is.
pub fn address(account: AccountId, tab: Tab) -> String {
    match tab {
        Tab::Inbox => inbox(account),
        Tab::Quarantine => format!("{}/{account}/quarantine", accounts::PATH),
        Tab::Deletions => format!("{}/{account}/deletions", accounts::PATH),
    }
}

/// Links to all of them.
#[component]
pub fn Tabs(account: AccountId, current: Tab) -> impl IntoView {
    let words = context::words();
    let tabs = [
        (Tab::Inbox, words.inbox.title),
        (Tab::Quarantine, words.ledger.quarantine),
        (Tab::Deletions, words.ledger.deletions),
    ];
    let link = |(tab, label): (Tab, &'static str)| {
        let is_here = (tab == current).then_some("page");
        view! { <li><a href=address(account, tab) aria-current=is_here>{label}</a></li> }
    };
    view! {
        <nav class="inbox-views" aria-label=words.inbox.account_views><ul>{tabs.map(link).into_iter().collect_view()}</ul></nav>
    }
}
