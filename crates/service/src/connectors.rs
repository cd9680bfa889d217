//! The use cases of network connectors.

use domain::{
    account::UsedBy,
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    connector::{Connector, ConnectorDraft, ConnectorForm},
    ids::ConnectorId,
    page::{Page, PageRequest},
    problem::{Problem, Rule},
};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::StoreError,
};

/// The use cases of network connectors.
pub struct Connectors<'a>(pub(crate) &'a Parts);

impl Connectors<'_> {
    pub async fn list(&self, actor: &Actor, search: &str, page: PageRequest) -> Result<Page<Connector>, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.list_connectors(search, page).await?)
    }

    pub async fn load(&self, actor: &Actor, id: ConnectorId) -> Result<Connector, Error> {
        need(actor, Permission::List)?;
        self.0.store.find_connector(id).await?.ok_or(Error::NotFound)
    }

    pub async fn used_by(&self, actor: &Actor, id: ConnectorId) -> Result<UsedBy, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.connector_used_by(id).await?)
    }

    /// Adds a connector (`id` is `None`) or changes one.
    ///
    /// Moving a connector that accounts use sends their credentials another way: that needs permission Action and must be
    /// confirmed by `grant_credential`, like a changed destination of the accounts themselves.
    pub async fn save(
        &self,
        actor: &Actor,
        id: Option<ConnectorId>,
        form: &ConnectorForm,
    ) -> Result<ConnectorId, Error> {
        need(actor, Permission::Write)?;
        let draft = ConnectorDraft::try_from(form).map_err(Error::Invalid)?;
        let now = self.0.clock.now();
        let Some(id) = id else {
            if draft.credential_id.is_some() {
                need(actor, Permission::Action)?;
            }
            let subject = format!("connector \"{}\"", draft.name);
            let entry =
                AuditEntry { after: picture(&draft), ..entry(actor, now, AuditAction::ConnectorAdded, subject) };
            return Ok(self.0.store.add_connector(&draft, &[entry]).await?);
        };
        let before = self.load(actor, id).await?;
        if form.version.parse() != Ok(before.version) {
            return Err(Error::Conflict);
        }
        let subject = format!("connector {id} \"{}\"", draft.name);
        let mut entries = vec![AuditEntry {
            before: picture(&before.draft),
            after: picture(&draft),
            ..entry(actor, now, AuditAction::ConnectorChanged, subject.clone())
        }];
        if draft.moves(&before.draft) {
            need(actor, Permission::Action)?;
            if before.n_uses > 0 {
                if form.grant_credential != "yes" {
                    return Err(Error::Invalid(vec![Problem::new("address", Rule::GrantNeeded)]));
                }
                let subject = format!("credentials of {} accounts behind {subject}", before.n_uses);
                entries.push(AuditEntry {
                    after: picture(&draft),
                    ..entry(actor, now, AuditAction::CredentialGranted, subject)
                });
            }
        }
        self.0.store.change_connector(id, before.version, &draft, &entries).await?;
        Ok(id)
    }

    /// Refuses with what uses it while anything does.
    pub async fn remove(&self, actor: &Actor, id: ConnectorId, version: i64) -> Result<(), Error> {
        need(actor, Permission::Delete)?;
        let before = self.load(actor, id).await?;
        let subject = format!("connector {id} \"{}\"", before.draft.name);
        let entry = AuditEntry {
            before: picture(&before.draft),
            ..entry(actor, self.0.clock.now(), AuditAction::ConnectorRemoved, subject)
        };
        match self.0.store.remove_connector(id, version, &[entry]).await {
            Err(StoreError::InUse) => Err(Error::InUse(self.0.store.connector_used_by(id).await?)),
            other => Ok(other?),
        }
    }
}
