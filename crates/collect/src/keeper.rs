//! Keeps the leases of an instance, all at once, and tells a visit when its lease is lost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::ids::AccountId;
use service::ports::{Clock, Lease, Store};
use tokio_util::sync::CancellationToken;

/// The leases that this instance works under.
#[derive(Default)]
pub(crate) struct Keeper(Mutex<Held>);

#[derive(Default)]
struct Held {
    leases: HashMap<AccountId, (i64, CancellationToken)>,
    /// Somebody prolongs them.
    is_kept: bool,
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
                Ok(kept) => self.give_up(&before, &kept.into_iter().collect()),
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

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
