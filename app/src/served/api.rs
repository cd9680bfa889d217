//! The server function of pages that only show.

use domain::ids::{AccountId, AuthorityId, CheckRunId, CredentialId, RemoteId, ScheduleId};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError};

/// What there is to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Checks,
    Quarantine { account: AccountId, page: u32 },
    Sample { account: AccountId, remote: RemoteId },
    Deletions { account: AccountId, planned: u32, page: u32 },
    Transcript { account: AccountId, run: CheckRunId },
    Deleted { page: u32 },
    Audit { query: String },
    Runs { id: ScheduleId, page: u32 },
    Authorities { search: String, page: u32 },
    Authority { id: Option<AuthorityId> },
    Egress { address: String, port: String },
    OAuth { id: Option<CredentialId> },
    Rotation { id: CredentialId },
}

/// A part as HTML. Everything in it that came from outside was escaped as in any page.
#[server(endpoint = "parts/load", input = Json, output = Json)]
pub async fn load_part(part: Part) -> Result<String, UserError> {
    use crate::{accounts, audit, authorities, checks, credentials, egress, ledger, oauth, schedules};

    crate::context::provide();
    let view = match part {
        Part::Checks => checks::picture::load().await?,
        Part::Quarantine { account, page } => ledger::quarantine::load(account, page).await?,
        Part::Sample { account, remote } => ledger::dialogue::sample(account, remote).await?,
        Part::Deletions { account, planned, page } => ledger::deletions::load(account, planned, page).await?,
        Part::Transcript { account, run } => ledger::dialogue::transcript(account, run).await?,
        Part::Deleted { page } => accounts::deleted::load(page).await?,
        Part::Audit { query } => audit::entries::load(&query).await?,
        Part::Runs { id, page } => schedules::history::load(id, page).await?,
        Part::Authorities { search, page } => authorities::report::load(&search, page).await?,
        Part::Authority { id } => authorities::form::load(id).await?,
        Part::Egress { address, port } => egress::picture::load(address, port).await?,
        Part::OAuth { id } => oauth::form::load(id).await?,
        Part::Rotation { id } => credentials::rotation::load(id).await?,
    };
    Ok(view.to_html())
}
