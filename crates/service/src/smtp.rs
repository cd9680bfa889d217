//! The use cases of outgoing mail.

use std::sync::Arc;

use domain::{
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    check::CheckError,
    email::EmailAddress,
    ids::SmtpId,
    page::{Page, PageRequest},
    problem::{Problem, Rule},
    smtp::{Smtp, SmtpChoices, SmtpDraft, SmtpForm, SmtpTest},
    time::Timestamp,
};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    open_submission,
    ports::{SendError, StageLog},
    stages::Stages,
};

/// The use cases of outgoing mail.
pub struct SmtpAccounts<'a>(pub(crate) &'a Parts);

impl SmtpAccounts<'_> {
    pub async fn list(&self, actor: &Actor, search: &str, page: PageRequest) -> Result<Page<Smtp>, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.list_smtp(search, page).await?)
    }

    pub async fn load(&self, actor: &Actor, id: SmtpId) -> Result<Smtp, Error> {
        need(actor, Permission::List)?;
        self.0.store.find_smtp(id).await?.ok_or(Error::NotFound)
    }

    pub async fn choices(&self, actor: &Actor) -> Result<SmtpChoices, Error> {
        need(actor, Permission::List)?;
        Ok(SmtpChoices {
            credentials: self.0.store.credential_choices().await?,
            connectors: self.0.store.connector_choices().await?,
            authorities: self.0.store.authority_choices().await?,
        })
    }

    /// Adds a record (`id` is `None`) or changes one, under the rule of grants: a credential goes only to a destination that it
    /// was granted for.
    pub async fn save(&self, actor: &Actor, id: Option<SmtpId>, form: &SmtpForm) -> Result<SmtpId, Error> {
        need(actor, Permission::Write)?;
        let draft = SmtpDraft::try_from(form).map_err(Error::Invalid)?;
        let now = self.0.clock.now();
        let Some(id) = id else {
            let subject = format!("SMTP \"{}\"", draft.name);
            let mut entries = vec![AuditEntry {
                after: picture(&draft),
                ..entry(actor, now, AuditAction::SmtpAdded, subject.clone())
            }];
            entries.extend(grant(actor, now, &subject, &draft)?);
            return Ok(self.0.store.add_smtp(&draft, &entries).await?);
        };
        let before = self.load(actor, id).await?;
        if form.version.parse() != Ok(before.version) {
            return Err(Error::Conflict);
        }
        let subject = format!("SMTP {id} \"{}\"", draft.name);
        let mut entries = vec![AuditEntry {
            before: picture(&before.draft),
            after: picture(&draft),
            ..entry(actor, now, AuditAction::SmtpChanged, subject.clone())
        }];
        let moves = draft.destination != before.draft.destination;
        if moves || draft.credential_id != before.draft.credential_id {
            let granted = grant(actor, now, &subject, &draft)?;
            // Only what was granted before can be taken along by a change of the destination alone.
            if moves && granted.is_some() && form.grant_credential != "yes" {
                return Err(Error::Invalid(vec![Problem::new("credential_id", Rule::GrantNeeded)]));
            }
            entries.extend(granted);
        }
        self.0.store.change_smtp(id, before.version, &draft, &entries).await?;
        Ok(id)
    }

    pub async fn remove(&self, actor: &Actor, id: SmtpId, version: i64) -> Result<(), Error> {
        need(actor, Permission::Delete)?;
        let before = self.load(actor, id).await?;
        let subject = format!("SMTP {id} \"{}\"", before.draft.name);
        let entry = AuditEntry {
            before: picture(&before.draft),
            ..entry(actor, self.0.clock.now(), AuditAction::SmtpRemoved, subject)
        };
        Ok(self.0.store.remove_smtp(id, version, &[entry]).await?)
    }

    /// Sends a short message to `recipient`, in that language, and tells how each stage went.
    pub async fn test(&self, actor: &Actor, id: SmtpId, recipient: &str, language: &str) -> Result<SmtpTest, Error> {
        need(actor, Permission::Action)?;
        let smtp = self.load(actor, id).await?;
        let to = EmailAddress::parse(recipient).map_err(|rule| Error::field("recipient", rule))?;
        let now = self.0.clock.now();
        let subject = format!("SMTP {id} \"{}\" to {to}", smtp.draft.name);
        self.0.store.add_audit(&[entry(actor, now, AuditAction::SmtpTested, subject)]).await?;
        let log = Arc::new(Stages::default());
        let sent = self.send_test(&smtp, &to, language, &log).await;
        let error = sent.err().map(|it| CheckError { kind: it.error.kind, message: it.error.message });
        Ok(SmtpTest { stages: log.take(), error })
    }

    async fn send_test(
        &self,
        smtp: &Smtp,
        to: &EmailAddress,
        language: &str,
        log: &Arc<Stages>,
    ) -> Result<(), SendError> {
        let submission =
            open_submission(&*self.0.store, &self.0.vault, &self.0.tokens, smtp).await.map_err(SendError::before)?;
        let mut outbox = self.0.sender.open(&submission, Arc::clone(log) as Arc<dyn StageLog>).await?;
        let message = self.0.reporter.test_message(&smtp.draft, to, language, self.0.clock.now());
        outbox.address(to).await?;
        outbox.transmit(&message).await?;
        outbox.close().await;
        Ok(())
    }
}

/// What the log says of a credential that may now be sent there; `None` if there is none.
fn grant(actor: &Actor, now: Timestamp, subject: &str, draft: &SmtpDraft) -> Result<Option<AuditEntry>, Error> {
    let Some(credential) = draft.credential_id else { return Ok(None) };
    need(actor, Permission::Action)?;
    let subject = format!("credential {credential} for {subject}");
    let entry = entry(actor, now, AuditAction::CredentialGranted, subject);
    Ok(Some(AuditEntry { after: picture(&draft.destination), ..entry }))
}
