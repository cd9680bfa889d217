//! The server functions of the inbox. Looking at a message marks it as read by the user, and never changes the server.

use domain::{
    check::CheckRun,
    ids::{AccountId, MessageId},
    message::{MessageContent, MessageQuery, MessageRow},
    page::Page,
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
    let account_name = service.accounts().load(&actor, account).await?.draft.name;
    let messages = service.messages().list(&actor, account, &query).await?;
    Ok(Inbox { account_name, messages })
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

    let raw = service()?.messages().raw(&actor()?, Some(account), message).await?;
    let start = raw.get(..SOURCE_MAX).unwrap_or(&raw);
    Ok(Source { text: super::text::plain(&String::from_utf8_lossy(start)), is_cut: start.len() < raw.len() })
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
pub async fn start_check(account: AccountId) -> Result<CheckRun, UserError> {
    use crate::context::{actor, service};

    let ticket = service()?.checks().ask(&actor()?, account).await?;
    let run = ticket.updates.borrow().clone();
    Ok(run)
}
