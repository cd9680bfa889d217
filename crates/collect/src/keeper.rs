//! Keeps the leases of an instance, all at once, and tells a visit when its lease is lost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::ids::AccountId;
use service::ports::{Clock, Lease, Store, StoreError};
use tokio_util::sync::CancellationToken;

/// The leases that this instance works under.
#[derive(Default)]
pub(crate) struct Keeper(Mutex<Held>);

#[derive(Default)]
struct Held {
    leases: HashMap<AccountId, (i64, CancellationToken)>,
    /// Somebody prolongs them.
    is_kept: bool,
    /// What this instance had on paper the last time, and nobody worked on.
    strays: HashSet<(AccountId, i64)>,
}

/// A lease that is prolonged until this is dropped, however the visit ends.
pub(crate) struct Hold {
    keeper: Arc<Keeper>,
    lease: Lease,
    /// Cancelled when the lease turns out to be lost.
    pub(crate) lost: CancellationToken,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.keeper.held();
        if held.leases.get(&self.lease.account_id).is_some_and(|it| it.0 == self.lease.fence) {
            held.leases.remove(&self.lease.account_id);
        }
    }
}

impl Keeper {
    /// From now on the lease is prolonged.
    pub(crate) fn hold(
        self: &Arc<Self>,
        lease: Lease,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        owner: &str,
        lease_for: Duration,
    ) -> Hold {
        let lost = CancellationToken::new();
        let mut held = self.held();
        held.leases.insert(lease.account_id, (lease.fence, lost.clone()));
        if !std::mem::replace(&mut held.is_kept, true) {
            let (this, store, clock) = (Arc::clone(self), Arc::clone(store), Arc::clone(clock));
            let owner = owner.to_owned();
            tokio::spawn(async move { this.keep(&*store, &*clock, &owner, lease_for).await });
        }
        drop(held);
        Hold { keeper: Arc::clone(self), lease, lost }
    }

    /// Prolongs everything for as long as there is anything.
    async fn keep(&self, store: &dyn Store, clock: &dyn Clock, owner: &str, lease_for: Duration) {
        loop {
            tokio::time::sleep(lease_for / 3).await;
            // Only what is held by now can be lost: what is taken while the store answers is not in its answer.
            let before: Vec<_> = {
                let mut held = self.held();
                if held.leases.is_empty() {
                    held.is_kept = false;
                    return;
                }
                held.leases.iter().map(|(id, (fence, _))| (*id, *fence)).collect()
            };
            match store.extend_leases(owner, clock.now().plus(lease_for)).await {
                Ok(kept) => {
                    self.give_up(&before, &kept.iter().copied().collect());
                    self.give_back_strays(kept, store, clock).await;
                }
                // If that goes on, others take over; what is written then is refused by its fence.
                Err(error) => tracing::warn!(%error, "the leases could not be prolonged"),
            }
        }
    }

    fn give_up(&self, before: &[(AccountId, i64)], kept: &HashSet<(AccountId, i64)>) {
        let mut held = self.held();
        for (id, fence) in before.iter().filter(|it| !kept.contains(it)) {
            if held.leases.get(id).is_some_and(|it| it.0 == *fence)
                && let Some((_, token)) = held.leases.remove(id)
            {
                token.cancel();
            }
        }
    }

    /// A visit whose end could not be written, or that never began because the answer was lost, leaves a lease that would be
    /// prolonged with the others for ever. One that nobody works on for the second time is given back, and checked again.
    async fn give_back_strays(&self, kept: Vec<(AccountId, i64)>, store: &dyn Store, clock: &dyn Clock) {
        let found: Vec<_> = {
            let mut held = self.held();
            let is_stray = |it: &(AccountId, i64)| held.leases.get(&it.0).is_none_or(|held| held.0 != it.1);
            let strays: HashSet<_> = kept.into_iter().filter(is_stray).collect();
            let before = std::mem::replace(&mut held.strays, strays);
            held.strays.extract_if(|it| before.contains(it)).collect()
        };
        for (account_id, fence) in found {
            tracing::warn!(account = %account_id, "nobody works under this lease: it is given back");
            if let Err(error) = give_back(account_id, fence, store, clock).await {
                tracing::warn!(%error, account = %account_id, "the lease could not be given back");
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn give_back(account_id: AccountId, fence: i64, store: &dyn Store, clock: &dyn Clock) -> Result<(), StoreError> {
    let account = store.find_account(account_id).await?;
    let due_at = account.filter(|it| it.draft.enabled && it.draft.automatic_check).map(|_| clock.now());
    store.give_back(Lease { account_id, fence, setup: 0, epoch: 0, due_at: None }, due_at).await
}
