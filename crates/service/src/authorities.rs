//! The use cases of certificate authorities.

use domain::{
    account::UsedBy,
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    authority::{Authority, AuthorityDraft, AuthorityFacts, AuthorityForm, AuthorityRow},
    ids::AuthorityId,
    page::{Page, PageRequest},
    problem::{Problem, Rule},
};
use serde::Serialize;

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::StoreError,
};

/// The use cases of certificate authorities.
pub struct Authorities<'a>(pub(crate) &'a Parts);

/// What the audit log keeps of one: its certificates are known by their fingerprint.
#[derive(Serialize)]
struct Noted<'a> {
    name: &'a str,
    certificates: &'a AuthorityFacts,
}

impl Authorities<'_> {
    pub async fn list(&self, actor: &Actor, search: &str, page: PageRequest) -> Result<Page<AuthorityRow>, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.list_authorities(search, page).await?)
    }

    pub async fn load(&self, actor: &Actor, id: AuthorityId) -> Result<Authority, Error> {
        need(actor, Permission::List)?;
        self.0.store.find_authority(id).await?.ok_or(Error::NotFound)
    }

    pub async fn used_by(&self, actor: &Actor, id: AuthorityId) -> Result<UsedBy, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.authority_used_by(id).await?)
    }

    /// Adds an authority (`id` is `None`) or changes one.
    ///
    /// Other certificates vouch for other servers: while accounts trust them, that needs permission Action and must be confirmed
    /// by `grant_credential`, like a changed destination of the accounts themselves.
    pub async fn save(
        &self,
        actor: &Actor,
        id: Option<AuthorityId>,
        form: &AuthorityForm,
    ) -> Result<AuthorityId, Error> {
        need(actor, Permission::Write)?;
        let draft = AuthorityDraft::try_from(form).map_err(Error::Invalid)?;
        let read = self.0.certificates.authority(&draft.pem);
        let facts = read.ok_or_else(|| Error::field("pem", Rule::NotACertificate))?;
        let now = self.0.clock.now();
        let noted = Noted { name: &draft.name, certificates: &facts };
        let Some(id) = id else {
            let subject = format!("certificate authority \"{}\"", draft.name);
            let entry =
                AuditEntry { after: picture(&noted), ..entry(actor, now, AuditAction::AuthorityAdded, subject) };
            return Ok(self.0.store.add_authority(&draft, &facts, &[entry]).await?);
        };
        let before = self.load(actor, id).await?;
        if form.version.parse() != Ok(before.row.version) {
            return Err(Error::Conflict);
        }
        let subject = format!("certificate authority {id} \"{}\"", draft.name);
        let mut entries = vec![AuditEntry {
            before: picture(&Noted { name: &before.row.name, certificates: &before.row.facts }),
            after: picture(&noted),
            ..entry(actor, now, AuditAction::AuthorityChanged, subject.clone())
        }];
        if draft.pem != before.pem && before.row.n_uses > 0 {
            need(actor, Permission::Action)?;
            if form.grant_credential != "yes" {
                return Err(Error::Invalid(vec![Problem::new("pem", Rule::GrantNeeded)]));
            }
            let subject = format!("credentials of {} accounts that trust {subject}", before.row.n_uses);
            entries.push(AuditEntry {
                after: picture(&noted),
                ..entry(actor, now, AuditAction::CredentialGranted, subject)
            });
        }
        self.0.store.change_authority(id, before.row.version, &draft, &facts, &entries).await?;
        Ok(id)
    }

    /// Refuses with what trusts it while anything does.
    pub async fn remove(&self, actor: &Actor, id: AuthorityId, version: i64) -> Result<(), Error> {
        need(actor, Permission::Delete)?;
        let before = self.load(actor, id).await?;
        let subject = format!("certificate authority {id} \"{}\"", before.row.name);
        let entry = AuditEntry {
            before: picture(&Noted { name: &before.row.name, certificates: &before.row.facts }),
            ..entry(actor, self.0.clock.now(), AuditAction::AuthorityRemoved, subject)
        };
        match self.0.store.remove_authority(id, version, &[entry]).await {
            Err(StoreError::InUse) => Err(Error::InUse(self.0.store.authority_used_by(id).await?)),
            other => Ok(other?),
        }
    }
}
