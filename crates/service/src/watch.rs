//! The use cases of the watch: how the checks are going, and who is told when they are not.

use domain::{
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    incident::{Overview, causes},
    notices::{Notices, NoticesForm},
};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::{Store, StoreError, Tally},
};

/// Incidents that the overview shows.
const INCIDENTS_SHOWN: u32 = 50;
/// Running checks that it shows.
const RUNNING_SHOWN: u32 = 50;
const SETTING: &str = "notices";

/// The use cases of the watch.
pub struct Watch<'a>(pub(crate) &'a Parts);

impl Watch<'_> {
    /// How the checks are going now.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview, Error> {
        need(actor, Permission::List)?;
        let store = &self.0.store;
        let Tally { n_automatic, n_running, n_due, n_late, n_failing, n_stopped, n_quarantined } =
            store.tally(self.0.clock.now()).await?;
        Ok(Overview {
            n_automatic,
            n_running,
            n_due,
            n_late,
            n_failing,
            n_stopped,
            n_quarantined,
            running: store.list_running(RUNNING_SHOWN).await?,
            causes: causes(store.ailing().await?),
            instances: store.list_instances().await?,
            incidents: store.list_incidents(INCIDENTS_SHOWN).await?,
        })
    }

    /// Who is told; of the webhook no more than scheme and authority for those who may not post to it.
    pub async fn notices(&self, actor: &Actor) -> Result<Notices, Error> {
        need(actor, Permission::List)?;
        let notices = notices(&*self.0.store).await?;
        Ok(if actor.role.may(Permission::Action) { notices } else { notices.without_secrets() })
    }

    pub async fn change_notices(&self, actor: &Actor, form: &NoticesForm) -> Result<(), Error> {
        need(actor, Permission::Write)?;
        need(actor, Permission::Action)?;
        let after = Notices::try_from(form).map_err(Error::Invalid)?;
        let before = notices(&*self.0.store).await?;
        let mut shown = after.clone().without_secrets();
        if let Some(webhook) = shown.webhook.as_mut().filter(|_| after.webhook != before.webhook) {
            "replaced".clone_into(&mut webhook.path);
        }
        let entry = AuditEntry {
            before: picture(&before.without_secrets()),
            after: picture(&shown),
            ..entry(actor, self.0.clock.now(), AuditAction::NoticesChanged, "notices".to_owned())
        };
        let text = serde_json::to_string(&after).map_err(|it| Error::internal(&it))?;
        Ok(self.0.store.set_setting(SETTING, &text, &[entry]).await?)
    }

    /// Sends a notice that says that it is a test, by every way that is set; answers with what came of it.
    pub async fn test_notices(&self, actor: &Actor) -> Result<String, Error> {
        need(actor, Permission::Action)?;
        let now = self.0.clock.now();
        let entry = entry(actor, now, AuditAction::NoticesTested, "notices".to_owned());
        self.0.store.add_audit(&[entry]).await?;
        Ok(self.0.notifier.test(&notices(&*self.0.store).await?).await)
    }
}

/// The settings of notices, as they were saved.
pub async fn notices(store: &dyn Store) -> Result<Notices, StoreError> {
    let Some(text) = store.setting(SETTING).await? else { return Ok(Notices::default()) };
    serde_json::from_str(&text).map_err(|_| StoreError::Corrupt { table: "settings", column: "value", row: 0 })
}
