//! The audit log: written with every change, read by those who may query.

use domain::{
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry, AuditQuery, AuditRow},
    page::Page,
    time::Timestamp,
};
use serde::Serialize;

use crate::{Error, Parts, error::need};

/// Reading the audit log.
pub struct Audit<'a>(pub(crate) &'a Parts);

impl Audit<'_> {
    pub async fn list(&self, actor: &Actor, query: &AuditQuery) -> Result<Page<AuditRow>, Error> {
        need(actor, Permission::Query)?;
        Ok(self.0.store.list_audit(query).await?)
    }
}

/// An entry about to be written.
pub(crate) fn entry(actor: &Actor, at: Timestamp, action: AuditAction, subject: String) -> AuditEntry {
    AuditEntry {
        at,
        actor: actor.name.clone(),
        origin: actor.origin.clone(),
        action,
        subject,
        before: None,
        after: None,
    }
}

/// What a record looked like, as the log keeps it. Nothing that serialises in `domain` holds a secret that was stored.
pub(crate) fn picture(record: &impl Serialize) -> Option<String> {
    serde_json::to_string(record).ok()
}
