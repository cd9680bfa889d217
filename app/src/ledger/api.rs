//! The server functions of the ledger. A retry is a form that posts to a plain route, so these only read.

#[cfg(feature = "ssr")]
use domain::page::{PAGE_SIZE, PageRequest};
use domain::{
    ids::{AccountId, RemoteId},
    ledger::{Deletion, PlannedDeletion, Trouble},
    page::Page,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError, inbox::api::Source};

/// How much of what arrived is shown.
#[cfg(feature = "ssr")]
const SAMPLE_MAX: usize = 64 * 1024;

/// One page of what could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    pub account_name: String,
    pub page: Page<Trouble>,
}

/// One page each of what will be and of what was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletions {
    pub account_name: String,
    pub planned: Page<PlannedDeletion>,
    pub receipts: Page<Deletion>,
}

#[server(endpoint = "ledger/quarantine", input = Json, output = Json)]
pub async fn load_quarantine(account: AccountId, page: u32) -> Result<Quarantine, UserError> {
    use crate::{
        context::{actor, first_page_instead, service},
        inbox::tabs::{Tab, address},
    };

    let (service, actor) = (service()?, actor()?);
    let account_name = service.accounts().load(&actor, account).await?.draft.name;
    let page = service.ledger().trouble(&actor, account, PageRequest::new(page, PAGE_SIZE)).await?;
    first_page_instead(&page, &address(account, Tab::Quarantine));
    Ok(Quarantine { account_name, page })
}

/// The beginning of a message that could not be fetched.
#[server(endpoint = "ledger/sample", input = Json, output = Json)]
pub async fn load_sample(account: AccountId, remote: RemoteId) -> Result<Source, UserError> {
    use crate::{
        context::{actor, service},
        inbox::text::shown,
    };

    let bytes = service()?.ledger().sample(&actor()?, account, remote).await?;
    Ok(Source { is_cut: bytes.len() > SAMPLE_MAX, text: shown(&bytes, SAMPLE_MAX) })
}

#[server(endpoint = "ledger/deletions", input = Json, output = Json)]
pub async fn load_deletions(account: AccountId, planned: u32, page: u32) -> Result<Deletions, UserError> {
    use crate::{
        context::{actor, first_page_instead, service},
        inbox::tabs::{Tab, address},
    };

    let (service, actor, ledger) = (service()?, actor()?, address(account, Tab::Deletions));
    let account_name = service.accounts().load(&actor, account).await?.draft.name;
    let planned = service.ledger().planned_deletions(&actor, account, PageRequest::new(planned, PAGE_SIZE)).await?;
    let receipts = service.ledger().deletions(&actor, account, PageRequest::new(page, PAGE_SIZE)).await?;
    first_page_instead(&planned, &ledger);
    first_page_instead(&receipts, &ledger);
    Ok(Deletions { account_name, planned, receipts })
}
