//! Changing the master key while instances serve: first every instance holds the new key, then it seals, then what is stored is
//! sealed anew, some rows at a time.
//!
//! Nothing has to be undone after a crash. Which key seals is one setting; each row says which key sealed it; a row is replaced
//! only if it is still what was read. Whoever begins again goes on with the rows that are left.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
};

use crate::{
    Error, Parts,
    audit::entry,
    error::need,
    ports::{
        FIRST_KEY, InstanceKeys, KeyChange, Resealed, SEALING_KEY, SealedAt, SealedPlace, SealedRow, SealedSecret,
        Store, StoreError,
    },
    secret::Secret,
    vault::{KeyId, Vault, VaultError, sealed_by},
};

/// Rows that are read, and replaced in one transaction.
const ROWS: u32 = 100;
/// An instance says that it lives every few seconds; one that is silent for so long has ended.
const SEEN_WITHIN: Duration = Duration::from_mins(1);
/// How many of the secrets that cannot be opened are named.
const NAMED: usize = 10;

/// Why the master key could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum SealsError {
    #[error(transparent)]
    Refused(#[from] Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the database names no master key that could be read: {0:?}")]
    NoKey(String),
    #[error("the master key {0} is not held here")]
    NotHeld(KeyId),
    #[error("secrets of this database are sealed by a master key that is not held here ({missing}; held: {held})")]
    Missing { missing: String, held: String },
    #[error("these instances do not hold the master key {key}; start them again with it first: {}", named(instances))]
    NotKnown { key: KeyId, instances: Vec<InstanceKeys> },
    #[error("another change of the master key is under way")]
    Overtaken,
    #[error("{n} secrets cannot be opened and stay as they are; enter them anew, or delete what they belong to: {}", rows.join(", "))]
    NotOpened { n: u64, rows: Vec<String> },
}

fn named(instances: &[InstanceKeys]) -> String {
    instances.iter().map(|it| format!("{} on {}", it.instance, it.host)).collect::<Vec<_>>().join(", ")
}

/// How many secrets each master key has sealed, and which one seals now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealStatus {
    pub sealing: KeyId,
    pub by_key: BTreeMap<KeyId, u64>,
}

impl SealStatus {
    pub fn n_all(&self) -> u64 {
        self.by_key.values().sum()
    }

    /// Under other keys than this one.
    pub fn n_left(&self, key: KeyId) -> u64 {
        self.by_key.iter().filter(|it| *it.0 != key).map(|it| it.1).sum()
    }
}

/// Which master key seals, and which are needed to open what is stored. In a fresh database the vault's own key seals from now on.
async fn seal_status(store: &dyn Store, vault: &Vault) -> Result<SealStatus, SealsError> {
    let sealing = read_key(store.setting_or(SEALING_KEY, &vault.key_id().to_string()).await?)?;
    let first = store.setting(FIRST_KEY).await?.map(read_key).transpose()?.unwrap_or(sealing);
    let mut by_key = BTreeMap::new();
    for place in SealedPlace::ALL {
        for it in store.count_sealed(place).await? {
            *by_key.entry(sealed_by(&it.head).unwrap_or(first)).or_default() += it.n;
        }
    }
    Ok(SealStatus { sealing, by_key })
}

/// Refuses to go on unless this vault holds the key that seals and every one that has sealed what is stored.
pub async fn check_keys(store: &dyn Store, vault: &Vault) -> Result<SealStatus, SealsError> {
    let status = seal_status(store, vault).await?;
    let needed: BTreeSet<KeyId> = status.by_key.keys().copied().chain([status.sealing]).collect();
    let missing: Vec<String> = needed.iter().filter(|it| !vault.holds(**it)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(status);
    }
    Err(SealsError::Missing { missing: missing.join(" "), held: vault.key_list() })
}

/// The key that seals now; the vault's own as long as none was named.
async fn sealing_key(store: &dyn Store, vault: &Vault) -> Result<KeyId, SealsError> {
    store.setting(SEALING_KEY).await?.map_or(Ok(vault.key_id()), read_key)
}

/// Whether secrets can be sealed here: not if the master key was changed for one that is not held.
pub async fn can_seal(store: &dyn Store, vault: &Vault) -> Result<(), SealsError> {
    let key = sealing_key(store, vault).await?;
    if vault.holds(key) { Ok(()) } else { Err(SealsError::NotHeld(key)) }
}

fn read_key(text: String) -> Result<KeyId, SealsError> {
    KeyId::parse(&text).ok_or(SealsError::NoKey(text))
}

/// Seals a secret under the key that seals now. The store refuses it with `OtherKey` if another does by then.
pub(crate) async fn seal(
    store: &dyn Store,
    vault: &Vault,
    at: SealedAt,
    secret: &Secret,
) -> Result<SealedSecret, SealsError> {
    Ok(vault.seal(sealing_key(store, vault).await?, at, secret)?)
}

/// As [`seal`], for a use case. It is called again when a write is refused with `OtherKey`: the key was changed in between.
pub(crate) async fn seal_for(parts: &Parts, at: SealedAt, secret: &Secret) -> Result<SealedSecret, Error> {
    seal(&*parts.store, &parts.vault, at, secret).await.map_err(|it| Error::internal(&it))
}

/// The use cases of the master key.
pub struct Seals<'a>(pub(crate) &'a Parts);

impl Seals<'_> {
    /// As [`check_keys`], for an instance that has said by now which keys it holds: a change of the key either waits for it, or is
    /// seen here.
    pub async fn check_keys(&self) -> Result<SealStatus, SealsError> {
        check_keys(&*self.0.store, &self.0.vault).await
    }

    pub async fn status(&self, actor: &Actor) -> Result<SealStatus, SealsError> {
        need(actor, Permission::Action)?;
        seal_status(&*self.0.store, &self.0.vault).await
    }

    /// The instances that live and do not hold this key.
    pub async fn instances_without(&self, actor: &Actor, key: KeyId) -> Result<Vec<InstanceKeys>, SealsError> {
        need(actor, Permission::Action)?;
        let mut instances = self.0.store.instance_keys(self.0.clock.now().minus(SEEN_WITHIN)).await?;
        instances.retain(|it| !it.holds(key));
        Ok(instances)
    }

    /// Makes this key the one that seals, once every instance holds it; nothing happens if it is that already.
    pub async fn change_key(&self, actor: &Actor, after: KeyId) -> Result<(), SealsError> {
        need(actor, Permission::Write)?;
        need(actor, Permission::Action)?;
        let before = sealing_key(&*self.0.store, &self.0.vault).await?;
        if let Some(missing) = [before, after].into_iter().find(|it| !self.0.vault.holds(*it)) {
            return Err(SealsError::NotHeld(missing));
        }
        if before == after {
            return Ok(());
        }
        let now = self.0.clock.now();
        let change = KeyChange { before, after, seen_since: now.minus(SEEN_WITHIN) };
        let entry = entry(actor, now, AuditAction::MasterKeyChanged, format!("master key {before} to {after}"));
        match self.0.store.change_sealing_key(&change, &[entry]).await {
            Ok(without) if without.is_empty() => Ok(()),
            Ok(instances) => Err(SealsError::NotKnown { key: after, instances }),
            // Somebody was faster, perhaps with the same key.
            Err(StoreError::Conflict) if sealing_key(&*self.0.store, &self.0.vault).await? == after => Ok(()),
            Err(StoreError::Conflict) => Err(SealsError::Overtaken),
            Err(error) => Err(error.into()),
        }
    }

    /// Seals everything anew that other keys than this one, which seals, have sealed. Tells how many are done after each batch of
    /// rows. What cannot be opened is named in the end; everything else is done then.
    pub async fn reseal(&self, actor: &Actor, key: KeyId, mut tell: impl FnMut(u64) + Send) -> Result<u64, SealsError> {
        need(actor, Permission::Write)?;
        need(actor, Permission::Action)?;
        let (mut n_done, mut n_unopened, mut named) = (0, 0, Vec::new());
        for place in SealedPlace::ALL {
            let mut after = 0;
            loop {
                let rows = self.0.store.sealed_rows(place, after, ROWS).await?;
                let Some(last) = rows.last() else { break };
                after = last.at.id;
                let (resealed, unopened) = self.seal_anew(key, rows)?;
                for at in unopened {
                    n_unopened += 1;
                    if named.len() < NAMED {
                        named.push(format!("{} {}", at.place.column().0, at.id));
                    }
                }
                if !resealed.is_empty() {
                    n_done += self.replace(actor, key, &resealed).await?;
                    tell(n_done);
                }
            }
        }
        if n_unopened > 0 {
            return Err(SealsError::NotOpened { n: n_unopened, rows: named });
        }
        Ok(n_done)
    }

    /// The rows that another key has sealed, under this one, and those that cannot be opened.
    fn seal_anew(&self, key: KeyId, rows: Vec<SealedRow>) -> Result<(Vec<Resealed>, Vec<SealedAt>), SealsError> {
        let vault = &self.0.vault;
        let (mut resealed, mut unopened) = (Vec::new(), Vec::new());
        for before in rows.into_iter().filter(|it| sealed_by(&it.sealed.0) != Some(key)) {
            let Ok(secret) = vault.open(before.at, &before.sealed) else {
                unopened.push(before.at);
                continue;
            };
            let after = vault.seal(key, before.at, &secret)?;
            resealed.push(Resealed { before, after });
        }
        Ok((resealed, unopened))
    }

    /// A row that somebody changed meanwhile is not touched: that change sealed it with this key.
    async fn replace(&self, actor: &Actor, key: KeyId, rows: &[Resealed]) -> Result<u64, SealsError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(0) };
        let (table, column) = first.before.at.place.column();
        let subject =
            format!("{table}.{column} {} to {} under master key {key}", first.before.at.id, last.before.at.id);
        let entry: AuditEntry = entry(actor, self.0.clock.now(), AuditAction::SecretsResealed, subject);
        match self.0.store.replace_seals(rows, &[entry]).await {
            Err(StoreError::OtherKey) => Err(SealsError::Overtaken),
            other => Ok(other?),
        }
    }
}
