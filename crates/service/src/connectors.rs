//! The use cases of network connectors.

use std::sync::Arc;

use domain::{
    account::{Security, UsedBy, User},
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    check::CheckError,
    connector::{
        Connector, ConnectorDraft, ConnectorForm, ConnectorKind, ConnectorTest, HostKey, TestForm, TestTarget,
    },
    ids::ConnectorId,
    page::{Page, PageRequest},
    problem::{Problem, Rule},
};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::{Probed, StageLog, StoreError},
    stages::Stages,
    visit::{open_connector, record_contact},
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

    /// Goes by the connector and tells how each stage went: to what was entered, else to the first account that uses it, else no
    /// further than the connector itself. No mail credential is sent.
    pub async fn test(&self, actor: &Actor, id: ConnectorId, form: &TestForm) -> Result<ConnectorTest, Error> {
        need(actor, Permission::Action)?;
        let connector = self.load(actor, id).await?;
        let target = match form.target().map_err(Error::Invalid)? {
            Some(target) => Some(target),
            None => self.first_account(id).await?,
        };
        // One of the tests that somebody may begin in a minute: else it would be a port scanner.
        let place = self.0.tests.may_start(&actor.name, 1, self.0.clock.now());
        let _place = place.map_err(|retry_after_s| Error::TooManyAttempts { retry_after_s })?;
        let shown = target.as_ref().map(|it| format!("{} port {}", it.address, it.port));
        let to = shown.as_ref().map(|it| format!(" to {it}")).unwrap_or_default();
        let subject = format!("connector {id} \"{}\"{to}", connector.draft.name);
        self.0.store.add_audit(&[entry(actor, self.0.clock.now(), AuditAction::ConnectorTested, subject)]).await?;
        let log = Arc::new(Stages::default());
        let approved = connector.host_key.clone();
        let Probed { host_key, error } = match open_connector(&*self.0.store, &self.0.vault, connector).await {
            Ok(via) => {
                let told = Arc::clone(&log) as Arc<dyn StageLog>;
                let probed = self.0.prober.probe(&via, target.as_ref(), told).await;
                record_contact(&*self.0.store, id, self.0.clock.now(), probed.error.as_ref()).await;
                probed
            }
            Err(error) => Probed { host_key: None, error: Some(error) },
        };
        Ok(ConnectorTest {
            target: shown,
            stages: log.take(),
            error: error.map(|it| CheckError { kind: it.kind, message: it.message }),
            needs_approval: host_key.is_some() && host_key != approved,
            host_key,
        })
    }

    async fn first_account(&self, id: ConnectorId) -> Result<Option<TestTarget>, Error> {
        for (user, _) in self.0.store.connector_used_by(id).await? {
            let User::Account(account) = user else { continue };
            let Some(account) = self.0.store.find_account(account).await? else { continue };
            let destination = account.draft.destination;
            let waits_for_tls = matches!(destination.security, Security::Implicit(_));
            return Ok(Some(TestTarget { address: destination.address, port: destination.port, waits_for_tls }));
        }
        Ok(None)
    }

    /// Pins the key that an SSH server showed and a person has compared: from now on its credential goes to whoever holds it.
    pub async fn approve_host_key(
        &self,
        actor: &Actor,
        id: ConnectorId,
        version: i64,
        host_key: &str,
    ) -> Result<(), Error> {
        need(actor, Permission::Action)?;
        let before = self.load(actor, id).await?;
        if before.draft.kind != ConnectorKind::Ssh {
            return Err(Error::field("kind", Rule::NotAnOption));
        }
        let host_key = HostKey::parse(host_key).map_err(|rule| Error::field("host_key", rule))?;
        let subject = format!("connector {id} \"{}\"", before.draft.name);
        let entry = AuditEntry {
            before: picture(&before.host_key),
            after: picture(&host_key),
            ..entry(actor, self.0.clock.now(), AuditAction::HostKeyApproved, subject)
        };
        self.0.store.approve_host_key(id, version, &host_key, &[entry]).await?;
        Ok(())
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
