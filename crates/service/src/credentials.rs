//! The use cases of credentials. A secret travels inwards only: it is sealed here, and opened only for a check.

use domain::{
    account::UsedBy,
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    credential::{Credential, CredentialDraft, CredentialForm, SecretInput},
    ids::CredentialId,
    page::{Page, PageRequest},
    problem::Rule,
    time::Timestamp,
};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::{SealedAt, SealedPlace, Store, StoreError},
    seals::seal_for,
    secret::Secret,
};

/// The use cases of credentials.
pub struct Credentials<'a>(pub(crate) &'a Parts);

impl Credentials<'_> {
    pub async fn list(&self, actor: &Actor, search: &str, page: PageRequest) -> Result<Page<Credential>, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.list_credentials(search, page).await?)
    }

    pub async fn load(&self, actor: &Actor, id: CredentialId) -> Result<Credential, Error> {
        need(actor, Permission::List)?;
        self.0.store.find_credential(id).await?.ok_or(Error::NotFound)
    }

    pub async fn used_by(&self, actor: &Actor, id: CredentialId) -> Result<UsedBy, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.credential_used_by(id).await?)
    }

    /// Adds a credential (`id` is `None`) or changes one; an empty secret on a change keeps the stored one.
    pub async fn save(
        &self,
        actor: &Actor,
        id: Option<CredentialId>,
        form: &CredentialForm,
    ) -> Result<CredentialId, Error> {
        need(actor, Permission::Write)?;
        need(actor, Permission::Action)?;
        // A new record has no version, whatever the form says: its secret is required.
        let version = if id.is_some() { form.version.clone() } else { String::new() };
        let form = CredentialForm { version, ..form.clone() };
        let now = self.0.clock.now();
        if let Some(id) = id {
            let before = self.load(actor, id).await?;
            if form.version.parse() != Ok(before.version) {
                return Err(Error::Conflict);
            }
            let (mut draft, secret) = form.draft().map_err(Error::Invalid)?;
            if before.is_oauth {
                // They have a form of their own.
                draft.oauth = self.0.store.find_oauth(id).await?.map(|it| it.status.settings);
            }
            if form.secret_ends_on.is_none() {
                // Of a new secret nobody said when it ends.
                draft.secret_ends_on = before.secret_ends_on.filter(|_| secret.is_none());
            }
            let subject = format!("credential {id} \"{}\"", draft.name);
            let mut after = form.without_secrets();
            if secret.is_some() {
                after.secret = SecretInput("replaced".to_owned());
            }
            let entry = AuditEntry {
                before: picture(&CredentialForm::of(&before)),
                after: picture(&after),
                ..entry(actor, now, AuditAction::CredentialChanged, subject)
            };
            self.change(&before, &draft, secret, entry).await?;
            return Ok(id);
        }
        let (draft, secret) = form.draft().map_err(Error::Invalid)?;
        let id = self.0.store.next_credential_id().await?;
        let subject = format!("credential {id} \"{}\"", draft.name);
        let after = form.without_secrets();
        let entry = AuditEntry { after: picture(&after), ..entry(actor, now, AuditAction::CredentialAdded, subject) };
        self.add(id, &draft, secret.unwrap_or_default(), entry).await?;
        Ok(id)
    }

    /// Replaces the secret alone, and has every enabled account that uses it checked: one sees at once whether it is right.
    pub async fn rotate(&self, actor: &Actor, id: CredentialId, posted: &CredentialForm) -> Result<(), Error> {
        need(actor, Permission::Action)?;
        if posted.secret.0.is_empty() {
            return Err(Error::field("secret", Rule::Missing));
        }
        let stored = self.load(actor, id).await?;
        let form = CredentialForm {
            secret: posted.secret.clone(),
            secret_ends_on: posted.secret_ends_on.clone(),
            version: posted.version.clone(),
            ..CredentialForm::of(&stored)
        };
        self.save(actor, Some(id), &form).await?;
        let now = self.0.clock.now();
        let subject = format!("the accounts of credential {id} \"{}\"", stored.name);
        let entry = entry(actor, now, AuditAction::CheckAsked, subject);
        self.0.store.ask_checks_with(id, now, &[entry]).await?;
        Ok(())
    }

    /// Refuses with what uses it while anything does.
    pub async fn remove(&self, actor: &Actor, id: CredentialId, version: i64) -> Result<(), Error> {
        need(actor, Permission::Delete)?;
        let before = self.load(actor, id).await?;
        let subject = format!("credential {id} \"{}\"", before.name);
        let entry = AuditEntry {
            before: picture(&CredentialForm::of(&before)),
            ..entry(actor, self.0.clock.now(), AuditAction::CredentialRemoved, subject)
        };
        match self.0.store.remove_credential(id, version, &[entry]).await {
            Err(StoreError::InUse) => Err(Error::InUse(self.0.store.credential_used_by(id).await?)),
            other => Ok(other?),
        }
    }

    /// Writes a new credential with its secret.
    pub(crate) async fn add(
        &self,
        id: CredentialId,
        draft: &CredentialDraft,
        secret: SecretInput,
        entry: AuditEntry,
    ) -> Result<(), Error> {
        let (secret, audit) = (Secret::new(secret.0), [entry]);
        loop {
            let sealed = seal_for(self.0, place_of(id), &secret).await?;
            match self.0.store.add_credential(id, draft, &sealed, &audit).await {
                Err(StoreError::OtherKey) => {}
                written => return Ok(written?),
            }
        }
    }

    /// Writes a changed credential; without a secret it keeps the stored one.
    pub(crate) async fn change(
        &self,
        before: &Credential,
        draft: &CredentialDraft,
        secret: Option<SecretInput>,
        entry: AuditEntry,
    ) -> Result<(), Error> {
        let (id, version, audit) = (before.id, before.version, [entry]);
        let secret = secret.map(|it| Secret::new(it.0));
        loop {
            let sealed = match &secret {
                Some(secret) => Some(seal_for(self.0, place_of(id), secret).await?),
                None => None,
            };
            match self.0.store.change_credential(id, version, draft, sealed.as_ref(), &audit).await {
                Err(StoreError::OtherKey) => {}
                written => return Ok(written.map(drop)?),
            }
        }
    }
}

/// Keeps that a server took the credential, for its report; a failure to keep that is none of the visit's.
pub async fn note_accepted(store: &dyn Store, id: CredentialId, at: Timestamp) {
    if let Err(error) = store.note_accepted(id, at).await {
        tracing::warn!(credential = %id, %error, "that a server took a credential could not be kept");
    }
}

/// Where a credential's secret is stored.
pub(crate) fn place_of(id: CredentialId) -> SealedAt {
    SealedPlace::Credential.of(id.0)
}
