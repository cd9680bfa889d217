//! The views of one account: its messages, what could not be fetched, what is deleted, tests of its connection.

use domain::{actor::Permission, ids::AccountId};
use leptos::prelude::*;

use super::query::inbox;
use crate::{accounts, context};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Inbox,
    Quarantine,
    Deletions,
    Test,
}

/// Where a view of an account is.
pub fn address(account: AccountId, tab: Tab) -> String {
    match tab {
        Tab::Inbox => inbox(account),
        Tab::Quarantine => format!("{}/{account}/quarantine", accounts::PATH),
        Tab::Deletions => format!("{}/{account}/deletions", accounts::PATH),
        Tab::Test => format!("{}/{account}/test", accounts::PATH),
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
        (Tab::Test, words.accounts.test_connection),
    ];
    let may_test = context::user().is_some_and(|it| it.role.may(Permission::Action));
    let link = |(tab, label): (Tab, &'static str)| {
        let is_here = (tab == current).then_some("page");
        view! { <li><a href=address(account, tab) aria-current=is_here>{label}</a></li> }
    };
    view! {
        <nav class="inbox-views" aria-label=words.inbox.account_views><ul>{tabs.into_iter().filter(|(tab, _)| may_test || *tab != Tab::Test).map(link).collect_view()}</ul></nav>
    }
}
