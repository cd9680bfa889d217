//! Keeps the leases of an instance, all at once, and tells a visit when its lease is lost.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::ids::AccountId;
use service::ports::{Clock, Lease, Store};
use tokio_util::sync::CancellationToken;

use crate::Settings;

/// The leases that this instance works under.
#[derive(Default)]
pub(crate) struct Keeper {
    held: Mutex<HashMap<AccountId, (i64, CancellationToken)>>,
}

impl Keeper {
    /// From now on the lease is prolonged. The token is cancelled when it turns out to be lost.
    pub(crate) fn hold(&self, lease: Lease) -> CancellationToken {
        let lost = CancellationToken::new();
        self.held().insert(lease.account_id, (lease.fence, lost.clone()));
        lost
    }

    pub(crate) fn release(&self, lease: Lease) {
        let mut held = self.held();
        if held.get(&lease.account_id).is_some_and(|it| it.0 == lease.fence) {
            held.remove(&lease.account_id);
        }
    }

    /// Prolongs everything, for ever.
    pub(crate) async fn run(&self, store: &dyn Store, clock: &dyn Clock, owner: &str, settings: &Settings) {
        loop {
            tokio::time::sleep(settings.lease_for / 3).await;
            self.prolong(store, clock, owner, settings).await;
        }
    }

    async fn prolong(&self, store: &dyn Store, clock: &dyn Clock, owner: &str, settings: &Settings) {
        // Only what is held by now can be lost: what is taken while the store answers is not in its answer.
        let before: Vec<_> = self.held().iter().map(|(id, (fence, _))| (*id, *fence)).collect();
        if before.is_empty() {
            return;
        }
        let kept: HashSet<_> = match store.extend_leases(owner, clock.now().plus(settings.lease_for)).await {
            Ok(kept) => kept.into_iter().collect(),
            Err(error) => {
                // If that goes on, others take over; what is written then is refused by its fence.
                tracing::warn!(%error, "the leases could not be prolonged");
                return;
            }
        };
        let mut held = self.held();
        for lost in before.into_iter().filter(|it| !kept.contains(it)) {
            if held.get(&lost.0).is_some_and(|it| it.0 == lost.1)
                && let Some((_, token)) = held.remove(&lost.0)
            {
                token.cancel();
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<AccountId, (i64, CancellationToken)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
