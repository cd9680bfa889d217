//! The server functions of the inbox. Looking at a message marks it as read by the user, and never changes the server.

use domain::{
    account::Health,
    check::CheckRun,
    ids::{AccountId, MessageId},
    message::{MessageContent, MessageQuery, MessageRow},
    page::Page,
    time::Timestamp,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError};

/// How much of a source is shown; all of it can be downloaded.
#[cfg(feature = "ssr")]
const SOURCE_MAX: usize = 256 * 1024;
/// How many of the last checks are listed.
#[cfg(feature = "ssr")]
const N_RUNS: u32 = 20;

/// One page of an account's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    pub account_name: String,
    pub health: Health,
    pub now: Timestamp,
    pub messages: Page<MessageRow>,
}

/// The beginning of a message as the server gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub text: String,
    pub is_cut: bool,
}

#[server(endpoint = "inbox/list", input = Json, output = Json)]
pub async fn list_messages(account: AccountId, query: MessageQuery) -> Result<Inbox, UserError> {
    use crate::context::{actor, service};

    let (service, actor) = (service()?, actor()?);
    let loaded = service.accounts().load(&actor, account).await?;
    let messages = service.messages().list(&actor, account, &query).await?;
    let first = super::query::Place { query, ..Default::default() }.with_page(1);
    crate::context::first_page_instead(&messages, &first.href(account));
    Ok(Inbox { account_name: loaded.draft.name, health: loaded.health, now: service.now(), messages })
}

/// Opens a message of this account; one of another account is not found.
#[server(endpoint = "inbox/open", input = Json, output = Json)]
pub async fn open_message(account: AccountId, message: MessageId) -> Result<MessageContent, UserError> {
    use crate::context::{actor, service};

    Ok(service()?.messages().open(&actor()?, Some(account), message).await?)
}

#[server(endpoint = "inbox/source", input = Json, output = Json)]
pub async fn message_source(account: AccountId, message: MessageId) -> Result<Source, UserError> {
    use crate::context::{actor, service};

    let mut raw = service()?.messages().raw(&actor()?, Some(account), message).await?;
    let mut start = Vec::new();
    while start.len() < SOURCE_MAX
        && let Some(part) = raw.part().await?
    {
        start.extend(part);
    }
    Ok(Source { is_cut: raw.size > SOURCE_MAX as u64, text: super::text::shown(&start, SOURCE_MAX) })
}

/// The account's last checks, newest first.
#[server(endpoint = "inbox/checks", input = Json, output = Json)]
pub async fn last_checks(account: AccountId) -> Result<Vec<CheckRun>, UserError> {
    use crate::context::{actor, service};

    let page = domain::page::PageRequest::new(1, N_RUNS);
    Ok(service()?.checks().runs(&actor()?, account, page).await?.items)
}

/// Starts a check or joins the running one, and answers with how far it is.
#[server(endpoint = "inbox/check", input = Json, output = Json)]
pub async fn start_check(account: AccountId, transcript: bool) -> Result<CheckRun, UserError> {
    use crate::context::{actor, service};

    let ticket = service()?.checks().ask(&actor()?, account, transcript).await?;
    let run = ticket.updates.borrow().clone();
    Ok(run)
}
