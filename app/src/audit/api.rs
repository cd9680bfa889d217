//! The server function of the audit log.

use domain::{
    audit::{AuditQuery, AuditRow},
    page::Page,
};
use leptos::prelude::*;

use crate::{codec::Json, error::UserError};

/// One page of the log, newest first.
#[server(endpoint = "audit/list", input = Json, output = Json)]
pub async fn list_audit(query: AuditQuery) -> Result<Page<AuditRow>, UserError> {
    use crate::context::{actor, service};

    Ok(service()?.audit().list(&actor()?, &query).await?)
}
