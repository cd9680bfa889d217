//! The server function of pages that only show.

use domain::ids::{
    AccountId, AuthorityId, CheckRunId, ConnectionTestId, ConnectorId, CredentialId, RemoteId, ScheduleId,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::records::Records;
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
    List { of: Records, search: String, page: u32 },
    Runs { id: ScheduleId, page: u32 },
    Authority { id: Option<AuthorityId> },
    Egress { address: String, port: String },
    Agents { connector: ConnectorId },
    ConnectionTests { account: AccountId, shown: Option<ConnectionTestId> },
    ConnectionTest { run: String },
    Posture { query: String },
    OAuth { id: Option<CredentialId> },
    Device { id: CredentialId },
    Rotation { id: CredentialId },
    Discovery { address: String },
}

/// A part as HTML. Everything in it that came from outside was escaped as in any page.
#[server(endpoint = "parts/load", input = Json, output = Json)]
pub async fn load_part(part: Part) -> Result<String, UserError> {
    use crate::{
        accounts, agents, audit, authorities, checks, connection_tests, connectors, credentials, discovery, egress,
        ledger, oauth, posture, schedules, smtp,
    };

    crate::context::provide();
    let view = match part {
        Part::Checks => checks::picture::load().await?,
        Part::Quarantine { account, page } => ledger::quarantine::load(account, page).await?,
        Part::Sample { account, remote } => ledger::dialogue::sample(account, remote).await?,
        Part::Deletions { account, planned, page } => ledger::deletions::load(account, planned, page).await?,
        Part::Transcript { account, run } => ledger::dialogue::transcript(account, run).await?,
        Part::Deleted { page } => accounts::deleted::load(page).await?,
        Part::Audit { query } => audit::entries::load(&query).await?,
        Part::List { of: Records::Authorities, search, page } => authorities::report::load(search, page).await?,
        Part::List { of: Records::Connectors, search, page } => connectors::report::load(search, page).await?,
        Part::List { of: Records::Credentials, search, page } => credentials::report::load(search, page).await?,
        Part::List { of: Records::Schedules, search, page } => schedules::report::load(search, page).await?,
        Part::List { of: Records::Smtp, search, page } => smtp::report::load(search, page).await?,
        Part::Runs { id, page } => schedules::history::load(id, page).await?,
        Part::Authority { id } => authorities::form::load(id).await?,
        Part::Egress { address, port } => egress::picture::load(address, port).await?,
        Part::Agents { connector } => agents::report::load(connector).await?,
        Part::ConnectionTests { account, shown } => connection_tests::account::load(account, shown).await?,
        Part::ConnectionTest { run } => connection_tests::account::load_run(&run).await?,
        Part::Posture { query } => posture::picture::load(&query).await?,
        Part::OAuth { id } => oauth::form::load(id).await?,
        Part::Device { id } => oauth::device::load(id).await?,
        Part::Rotation { id } => credentials::rotation::load(id).await?,
        Part::Discovery { address } => discovery::search::load(address)?,
    };
    Ok(view.to_html())
}
