//! The collector: takes accounts that are due, runs checks that are asked for, keeps within its limits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    account::Account,
    check::{CheckRun, Outcome},
    ids::AccountId,
};
use service::{
    CheckTicket, Checker, Error, StartError,
    ports::{Clock, Lease, MailServer, MessageReader, Store, StoreError},
    vault::Vault,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};

use crate::{Settings, follow::follow, run::RunLog, visit};

/// The longest sleep between two looks at the schedule: another process may have added an account.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An account whose host is busy comes up again after so long.
const HOST_BUSY: Duration = Duration::from_secs(2);

/// What the collector is made of.
pub struct CollectorParts {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub mail: Arc<dyn MailServer>,
    pub reader: Arc<dyn MessageReader>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
}

/// Runs checks. Cheap to clone: all clones are one collector.
#[derive(Clone)]
pub struct Collector(Arc<Inner>);

impl Collector {
    pub fn new(parts: CollectorParts) -> Self {
        Self(Arc::new(Inner::new(parts)))
    }

    /// Checks accounts as they fall due, until `shutdown` becomes true; then waits a while for the checks under way.
    pub async fn run(self, shutdown: watch::Receiver<bool>) {
        self.0.run(shutdown).await;
    }
}

#[async_trait]
impl Checker for Collector {
    async fn start(&self, account: AccountId) -> Result<CheckTicket, StartError> {
        self.0.start(account).await
    }

    async fn watch(&self, account: AccountId) -> Result<Option<CheckTicket>, StartError> {
        if let Some(updates) = self.0.joined(account) {
            return Ok(Some(CheckTicket { updates }));
        }
        follow(Arc::clone(&self.0.parts.store), account, self.0.parts.settings.deadline).await
    }
}

struct Inner {
    parts: CollectorParts,
    /// Names this instance in leases.
    owner: String,
    slots: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    running: Mutex<HashMap<AccountId, watch::Receiver<CheckRun>>>,
}

impl Inner {
    fn new(parts: CollectorParts) -> Self {
        Self {
            owner: format!("{:016x}", rand::random::<u64>()),
            slots: Arc::new(Semaphore::new(parts.settings.at_once)),
            hosts: Mutex::default(),
            running: Mutex::default(),
            parts,
        }
    }

    async fn run(self: &Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        while !*shutdown.borrow() {
            let wait = self.take_due().await.unwrap_or_else(|error| {
                tracing::error!(%error, "the schedule could not be read; trying again");
                LOOK_EVERY
            });
            tokio::select! {
                () = sleep(wait) => {}
                changed = shutdown.changed() => if changed.is_err() { break },
            }
        }
        let all = u32::try_from(self.parts.settings.at_once).unwrap_or(u32::MAX);
        if timeout(self.parts.settings.grace, self.slots.acquire_many(all)).await.is_err() {
            tracing::warn!("stopped while checks were under way; they will be taken up again when their leases end");
        }
    }

    /// Starts what is due and answers with how long to sleep.
    async fn take_due(self: &Arc<Self>) -> Result<Duration, StoreError> {
        let free = self.slots.available_permits();
        if free == 0 {
            return Ok(LOOK_EVERY);
        }
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        let now = self.parts.clock.now();
        let leases = self.parts.store.take_due(&self.owner, now, self.parts.settings.lease_for, limit).await?;
        let is_full = leases.len() == free;
        for lease in leases {
            self.begin_due(lease).await?;
        }
        if is_full {
            return Ok(Duration::ZERO);
        }
        let next = self.parts.store.next_due().await?;
        Ok(next.map_or(LOOK_EVERY, |it| it.since(self.parts.clock.now()).clamp(Duration::from_millis(20), LOOK_EVERY)))
    }

    async fn begin_due(self: &Arc<Self>, lease: Lease) -> Result<(), StoreError> {
        let Some(account) = self.parts.store.find_account(lease.account_id).await? else { return Ok(()) };
        let host = self.host(&account);
        let (Ok(slot), Ok(host)) = (Arc::clone(&self.slots).try_acquire_owned(), host.try_acquire_owned()) else {
            let later = self.parts.clock.now().plus(HOST_BUSY.mul_f64(rand::random_range(0.5..1.5)));
            return self.parts.store.give_back(lease, Some(later)).await;
        };
        self.begin(lease, account, vec![slot, host]).await?;
        Ok(())
    }

    /// Starts the check that the lease allows; the permits are held until it has ended.
    async fn begin(
        self: &Arc<Self>,
        lease: Lease,
        account: Account,
        permits: Vec<OwnedSemaphorePermit>,
    ) -> Result<CheckTicket, StoreError> {
        let id = account.id;
        let started_at = self.parts.clock.now();
        let run = CheckRun {
            id: self.parts.store.start_run(lease, started_at).await?,
            account_id: id,
            started_at,
            finished_at: None,
            outcome: Outcome::Running,
            new_messages: 0,
            deleted_messages: 0,
            stages: Vec::new(),
            error: None,
        };
        let (sender, updates) = watch::channel(run);
        self.running().insert(id, updates.clone());
        let this = Arc::clone(self);
        tokio::spawn(async move {
            visit::visit(&this.parts, lease, &account, RunLog::new(sender)).await;
            this.running().remove(&id);
            drop(permits);
        });
        Ok(CheckTicket { updates })
    }

    /// The limit of the account's host, or of its connector.
    fn host(&self, account: &Account) -> Arc<Semaphore> {
        let destination = &account.draft.destination;
        let key = match destination.route.connector_id() {
            Some(connector) => format!("connector {connector}"),
            None => format!("{} {}", destination.address, destination.port),
        };
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // Hosts that nobody visits just now are forgotten before the table grows without end.
        if hosts.len() > 10_000 {
            hosts.retain(|_, it| it.available_permits() < self.parts.settings.per_host);
        }
        Arc::clone(hosts.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.parts.settings.per_host))))
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<AccountId, watch::Receiver<CheckRun>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start_here(self: &Arc<Self>, id: AccountId) -> Result<CheckTicket, StartError> {
        let account = self.parts.store.find_account(id).await?.filter(|it| it.deleted_at.is_none());
        let account = account.ok_or(StartError::NotFound)?;
        if !account.draft.enabled {
            return Err(StartError::Disabled);
        }
        let closed = |_| StartError::Failed(Error::Internal { reference: "stopping".to_owned() });
        let host = self.host(&account).acquire_owned().await.map_err(closed)?;
        // Whoever asks gets a turn even when every slot is taken by automatic checks: the host's own limit still holds.
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        loop {
            if let Some(updates) = self.joined(id) {
                return Ok(CheckTicket { updates });
            }
            let now = self.parts.clock.now();
            let lease = self.parts.store.take_account(id, &self.owner, now, self.parts.settings.lease_for).await?;
            if let Some(lease) = lease {
                let permits = slot.into_iter().chain([host]).collect();
                return Ok(self.begin(lease, account, permits).await?);
            }
            if let Some(ticket) = follow(Arc::clone(&self.parts.store), id, self.parts.settings.deadline).await? {
                return Ok(ticket);
            }
            // The holder has the lease but has not written its run yet, or has just finished.
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn joined(&self, id: AccountId) -> Option<watch::Receiver<CheckRun>> {
        self.running().get(&id).filter(|it| it.borrow().finished_at.is_none()).cloned()
    }

    async fn start(self: &Arc<Self>, account: AccountId) -> Result<CheckTicket, StartError> {
        if let Some(updates) = self.joined(account) {
            return Ok(CheckTicket { updates });
        }
        let wait = self.parts.settings.lease_for * 2;
        let started = timeout(wait, self.start_here(account)).await;
        started.unwrap_or_else(|_| Err(StartError::Failed(Error::Internal { reference: "no turn in time".to_owned() })))
    }
}
