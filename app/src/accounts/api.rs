//! Server functions of the account screens: parse, call, map.

use domain::{
    account::{Account, AccountChoices, AccountForm, AccountQuery, AccountRow, MessageCounts},
    page::Page,
    time::Timestamp,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError, posted::Posted};

/// One page of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportAnswer {
    pub page: Page<AccountRow>,
    /// Whether there is any account at all.
    pub any: bool,
    pub now: Timestamp,
}

/// Everything that the form shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormAnswer {
    pub posted: Posted<AccountForm>,
    pub choices: AccountChoices,
    /// The stored account; `None` for a new one.
    pub account: Option<Account>,
    pub counts: MessageCounts,
}

#[server(endpoint = "accounts/list", input = Json, output = Json)]
pub async fn list_accounts(query: AccountQuery) -> Result<ReportAnswer, UserError> {
    let (service, actor) = (crate::context::service()?, crate::context::actor()?);
    let page = service.accounts().list(&actor, &query).await?;
    let first = AccountQuery { page: domain::page::PageRequest::new(1, query.page.page_size), ..query };
    crate::context::first_page_instead(&page, &super::report::address(&first));
    let any = page.total > 0 || service.accounts().any(&actor).await?;
    Ok(ReportAnswer { page, any, now: service.now() })
}

#[server(endpoint = "accounts/form", input = Json, output = Json)]
pub async fn load_account_form(id: Option<i64>) -> Result<FormAnswer, UserError> {
    let (service, actor) = (crate::context::service()?, crate::context::actor()?);
    let accounts = service.accounts();
    let account = match id {
        Some(id) => Some(accounts.load(&actor, domain::ids::AccountId(id)).await?),
        None => None,
    };
    let counts = match &account {
        Some(account) => accounts.counts(&actor, account.id).await?,
        None => MessageCounts::default(),
    };
    let fresh = || Posted {
        form: account.as_ref().map_or_else(AccountForm::new_account, AccountForm::of),
        ..Posted::default()
    };
    let posted = use_context::<Posted<AccountForm>>().unwrap_or_else(fresh);
    Ok(FormAnswer { posted, choices: accounts.choices(&actor).await?, account, counts })
}
