//! The collector: takes accounts that are due, runs checks that are asked for, keeps within its limits.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    account::Account,
    check::{CheckRun, ErrorKind, Outcome},
    ids::{AccountId, ConnectorId},
    incident::Instance,
};
use service::{
    CheckTicket, Checker, Error, SealsError, StartError, Tokens, can_seal,
    ports::{Clock, Lease, MailServer, Mailbox, MessageReader, Standing, Store, StoreError, Tunnels, Way},
    vault::Vault,
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Settings,
    follow::follow,
    gate::{Gate, Pass, Queue},
    keeper::{Hold, Keeper},
    run::RunLog,
    transcript::Taken,
    visit::Check,
};

/// The longest sleep between two looks at the schedule: another process may have added an account.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks there is at least so much time, however many leave.
const BREATH: Duration = Duration::from_millis(20);
/// How often an instance says that it lives, and after how long without that it is forgotten.
const SEEN_EVERY: Duration = Duration::from_secs(5);
const GONE_AFTER: Duration = Duration::from_mins(1);
/// While the store is in trouble nothing is begun; so long at first, doubling.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(2);
/// How often is looked whether an account whose connection waits was changed.
const CHANGES_EVERY: Duration = Duration::from_secs(3);
/// How often is looked whether access tokens are to be renewed, and how many are in one turn.
const RENEW_EVERY: Duration = Duration::from_secs(30);
const RENEW_AT_ONCE: u32 = 20;
/// How exactly the interval is kept that a provider asks for; it is seldom less than five seconds.
const POLL_EVERY: Duration = Duration::from_secs(1);
const POLL_AT_ONCE: u32 = 20;
/// A connection that waits is used at least so often: a server may end one that is idle for half an hour (RFC 2177).
const IDLE_MAX: Duration = Duration::from_mins(28);

/// What the collector is made of.
pub struct CollectorParts {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub tokens: Tokens,
    pub mail: Arc<dyn MailServer>,
    pub reader: Arc<dyn MessageReader>,
    pub clock: Arc<dyn Clock>,
    pub tunnels: Arc<dyn Tunnels>,
    pub settings: Settings,
}

/// Runs checks. Cheap to clone: all clones are one collector.
#[derive(Clone)]
pub struct Collector(Arc<Inner>);

impl Collector {
    pub fn new(parts: CollectorParts) -> Self {
        Self(Arc::new(Inner::new(parts)))
    }

    /// Says that this instance lives, before it does anything else.
    pub async fn introduce(&self) -> Result<(), StoreError> {
        self.0.touch().await
    }

    /// Checks accounts as they fall due, until `shutdown` becomes true; then waits a while for the checks under way. An instance
    /// whose role is not to check only says that it lives.
    pub async fn run(self, shutdown: watch::Receiver<bool>) {
        self.0.run(shutdown).await;
    }
}

#[async_trait]
impl Checker for Collector {
    async fn start(&self, account: AccountId, transcript: bool) -> Result<CheckTicket, StartError> {
        let inner = &self.0;
        let wait = inner.parts.settings.lease_for * 2;
        let started = timeout(wait, inner.start(account, transcript)).await;
        started.unwrap_or_else(|_| Err(StartError::Failed(Error::Internal { reference: "no turn in time".to_owned() })))
    }

    async fn watch(&self, account: AccountId) -> Result<Option<CheckTicket>, StartError> {
        if let Some(updates) = self.0.joined(account) {
            return Ok(Some(CheckTicket { updates }));
        }
        follow(&self.0.parts, account).await
    }
}

/// A connection that waits for mail.
struct Idling {
    /// Ends the wait.
    wake: Arc<Notify>,
    /// Which state of the account it was opened for.
    setup: i64,
}

struct Inner {
    parts: CollectorParts,
    /// Names this instance in leases.
    owner: String,
    slots: Arc<Semaphore>,
    /// Automatic visits that wait for their turn or run.
    n_active: AtomicUsize,
    gate: Arc<Gate>,
    keeper: Arc<Keeper>,
    running: Mutex<HashMap<AccountId, watch::Receiver<CheckRun>>>,
    idling: Mutex<HashMap<AccountId, Idling>>,
    /// The connectors whose agents are connected to other instances.
    elsewhere: Mutex<HashSet<ConnectorId>>,
    changes_seen: Mutex<Instant>,
    stopping: CancellationToken,
    visits: TaskTracker,
    /// Until when nothing is begun because the store is in trouble, and for how long that was.
    pause: Mutex<Option<(Instant, Duration)>>,
}

impl Inner {
    fn new(parts: CollectorParts) -> Self {
        let Settings { at_once, per_host, starts_per_second, starts_per_second_per_host, .. } = parts.settings;
        Self {
            owner: format!("{:016x}", rand::random::<u64>()),
            slots: Arc::new(Semaphore::new(at_once)),
            n_active: AtomicUsize::new(0),
            gate: Arc::new(Gate::new(per_host, starts_per_second, starts_per_second_per_host)),
            keeper: Arc::default(),
            running: Mutex::default(),
            idling: Mutex::default(),
            elsewhere: Mutex::default(),
            changes_seen: Mutex::new(Instant::now()),
            stopping: CancellationToken::new(),
            visits: TaskTracker::new(),
            pause: Mutex::new(None),
            parts,
        }
    }

    async fn run(self: &Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let store = &self.parts.store;
        let checks = async {
            if !self.parts.settings.role.checks() {
                std::future::pending::<()>().await;
            }
            self.read_elsewhere().await;
            loop {
                let wait = self.look().await.unwrap_or_else(|error| {
                    tracing::error!(%error, "the schedule could not be read; trying again");
                    LOOK_EVERY
                });
                tokio::select! {
                    () = sleep(wait) => {}
                    () = self.gate.somebody_left() => sleep(BREATH.min(wait)).await,
                }
            }
        };
        tokio::select! {
            () = checks => {}
            () = self.say_alive() => {}
            () = self.renew_tokens() => {}
            () = self.poll_devices() => {}
            _ = shutdown.wait_for(|it| *it) => {}
        }
        self.stopping.cancel();
        self.visits.close();
        if timeout(self.parts.settings.grace, self.visits.wait()).await.is_err() {
            tracing::warn!("stopped while checks were under way; they will be taken up again when their leases end");
        }
        if let Err(error) = store.remove_instance(&self.owner).await {
            tracing::debug!(%error, "this instance could not sign off");
        }
    }

    /// Renews access tokens ahead of their expiry: whoever has none to wait for is checked at once.
    async fn renew_tokens(&self) {
        if !self.parts.settings.role.checks() {
            std::future::pending::<()>().await;
        }
        loop {
            sleep(RENEW_EVERY).await;
            if let Err(error) = self.parts.tokens.renew_due(RENEW_AT_ONCE).await {
                tracing::warn!(%error, "the OAuth 2.0 tokens that are due could not be read");
            }
        }
    }

    /// Asks providers whether somebody entered the code that they are to enter.
    async fn poll_devices(&self) {
        if !self.parts.settings.role.checks() {
            std::future::pending::<()>().await;
        }
        loop {
            sleep(POLL_EVERY).await;
            if let Err(error) = self.parts.tokens.poll_devices(POLL_AT_ONCE).await {
                tracing::warn!(%error, "the device codes that are due could not be read");
            }
        }
    }

    /// Says that this instance lives, and takes its share of what all may do.
    async fn say_alive(&self) {
        let per_host = self.parts.settings.per_host;
        loop {
            let said = self.touch().await;
            let now = self.parts.clock.now();
            match said.and(self.parts.store.list_instances().await) {
                Ok(instances) => {
                    let is_worker = |it: &&Instance| it.role.checks() && now.since(it.seen_at) < SEEN_EVERY * 3;
                    let n_workers = instances.iter().filter(is_worker).count().max(1);
                    self.gate.set_limit(per_host / n_workers);
                }
                Err(error) => tracing::warn!(%error, "the instances could not be read"),
            }
            if let Err(error @ SealsError::NotHeld(_)) = can_seal(&*self.parts.store, &self.parts.vault).await {
                tracing::error!(%error, "this instance can neither seal nor open secrets: start it again with that key");
            }
            self.read_elsewhere().await;
            sleep(SEEN_EVERY).await;
        }
    }

    async fn touch(&self) -> Result<(), StoreError> {
        let CollectorParts { store, vault, clock, settings: Settings { role, host, .. }, .. } = &self.parts;
        let now = clock.now();
        store.touch_instance(&self.owner, *role, host, &vault.key_list(), now, now.minus(GONE_AFTER)).await
    }

    async fn read_elsewhere(&self) {
        let since = self.parts.clock.now().minus(SEEN_EVERY * 3);
        match self.parts.store.connectors_elsewhere(self.parts.tunnels.instance(), since).await {
            Ok(found) => {
                *self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = found.into_iter().collect();
            }
            Err(error) => tracing::warn!(%error, "where agents are connected could not be read"),
        }
    }

    /// The ways that only other instances have agents for: what goes there is theirs to check.
    fn elsewhere(&self) -> Vec<Way> {
        let elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        let is_not_here = |it: &&ConnectorId| self.parts.tunnels.live(**it).is_empty();
        elsewhere.iter().filter(is_not_here).map(|it| Way::Connector(*it)).collect()
    }

    /// Begins what is due and answers with how long to sleep.
    async fn look(self: &Arc<Self>) -> Result<Duration, StoreError> {
        let paused = self.pause().and_then(|it| it.0.checked_duration_since(Instant::now()));
        if let Some(left) = paused.filter(|it| !it.is_zero()) {
            return Ok(left.min(LOOK_EVERY));
        }
        let store = &self.parts.store;
        if !self.idling().is_empty() {
            for id in store.asked_of(&self.owner).await? {
                self.wake(id);
            }
            self.wake_changed().await?;
        }
        // Twice as many as run, so that those whose host is busy hold nobody else up.
        let settings = &self.parts.settings;
        let free = (settings.at_once * 2).saturating_sub(self.n_active.load(Ordering::Relaxed));
        if free == 0 {
            return Ok(Duration::from_millis(20));
        }
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        let now = self.parts.clock.now();
        let mut busy = self.gate.busy();
        busy.extend(self.elsewhere());
        let leases = store.take_due(&self.owner, now, settings.lease_for, limit, &busy).await?;
        let is_full = leases.len() == free;
        for lease in leases {
            self.begin_due(lease);
        }
        if is_full {
            return Ok(Duration::from_millis(5));
        }
        if !busy.is_empty() {
            // What is due next may be what was passed over: somebody who leaves its way ends the wait.
            return Ok(LOOK_EVERY);
        }
        let next = store.next_due().await?;
        Ok(next.map_or(LOOK_EVERY, |it| it.since(self.parts.clock.now()).clamp(Duration::from_millis(20), LOOK_EVERY)))
    }

    fn hold(&self, lease: Lease) -> Hold {
        let CollectorParts { store, clock, settings, .. } = &self.parts;
        self.keeper.hold(lease, store, clock, &self.owner, settings.lease_for)
    }

    fn begin_due(self: &Arc<Self>, lease: Lease) {
        let this = Arc::clone(self);
        self.n_active.fetch_add(1, Ordering::Relaxed);
        self.visits.spawn(async move {
            let hold = this.hold(lease);
            let counted = Counted(&this.n_active);
            if let Err(error) = this.attend(lease, &hold.lost, counted).await {
                tracing::error!(%error, account = %lease.account_id, "a check could not begin");
            }
        });
    }

    /// Waits for the account's turn and visits it.
    async fn attend(
        self: &Arc<Self>,
        lease: Lease,
        lost: &CancellationToken,
        counted: Counted<'_>,
    ) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let Some(account) = store.find_account(lease.account_id).await? else {
            return store.give_back(lease, None).await;
        };
        let patience = self.parts.settings.lease_for;
        let turn = async {
            let way = Way::of(&account.draft.destination);
            let pass = self.gate.enter(way, Queue::Short, patience).await?;
            Some((pass, Arc::clone(&self.slots).acquire_owned().await.ok()?))
        };
        let turn = tokio::select! {
            turn = turn => turn,
            () = self.stopping.cancelled() => None,
        };
        let Some((pass, slot)) = turn else {
            // It stays due: whoever has a place takes it.
            return store.give_back(lease, Some(lease.due_at.unwrap_or(self.parts.clock.now()))).await;
        };
        self.visit(lease, account, lost, Turn { pass, _slot: Some(slot), _counted: Some(counted) }, false, None).await
    }

    /// Checks the account, and again and again while its connection is kept.
    async fn visit(
        self: &Arc<Self>,
        mut lease: Lease,
        mut account: Account,
        lost: &CancellationToken,
        turn: Turn<'_>,
        transcript: bool,
        started: Option<tokio::sync::oneshot::Sender<CheckTicket>>,
    ) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let id = account.id;
        let (mut turn, mut started, mut kept) = (Some(turn), started, None);
        let mut taken = transcript.then(|| Arc::new(Taken::new()));
        loop {
            let (sender, updates) = self.start_run(lease).await?;
            let run = updates.borrow().id;
            let shown = Entry::new(&self.running, id, updates.clone());
            if let Some(started) = started.take() {
                // Whoever asked may be gone; the check goes on.
                _ = started.send(CheckTicket { updates });
            }
            let log = RunLog::new(sender);
            let may_stay = !self.stopping.is_cancelled() && self.idling().len() < self.parts.settings.idle_at_once;
            let transcript = taken.take();
            let check = Check { parts: &self.parts, lease, run, account: &account, log: &log, transcript, may_stay };
            let (outcome, mailbox) = check.run(kept.take(), lost.cancelled()).await;
            drop(shown);
            self.note_trouble(&log.snapshot());
            let Some(mailbox) = mailbox else { return Ok(()) };
            debug_assert_eq!(outcome, Outcome::Ok, "only a good check keeps its connection");
            // A connection that waits takes nobody's place.
            drop(turn.take());
            let mut waited = self.idle(mailbox, &account, lease, lost).await;
            if matches!(waited, Waited::Through(_)) {
                turn = self.next_turn(&account, lost).await;
                if turn.is_none() {
                    waited = Waited::Asked;
                }
            }
            if lost.is_cancelled() {
                return Ok(());
            }
            let Some(current) = store.find_account(id).await? else { return Ok(()) };
            let (now, due_at) = (self.parts.clock.now(), current.health.next_check_at);
            let standing = store.standings(&[id]).await?;
            if !standing.first().is_some_and(|it| it.setup == lease.setup && it.is_enabled) {
                return store.give_back(lease, due_at.map(|it| it.min(now))).await;
            }
            match waited {
                Waited::Through(mailbox) => kept = Some(mailbox),
                Waited::Asked => return store.give_back(lease, due_at.map(|it| it.min(now))).await,
                // Then it is polled: a server that does not let us wait is not asked more often for that.
                Waited::Broken => return store.give_back(lease, due_at.map(|it| it.max(now))).await,
            }
            lease.due_at = None;
            account = current;
        }
    }

    /// A turn for a connection that has waited. It takes its place in the row however long that is; `None` if the lease is lost or
    /// the collector stops.
    async fn next_turn(&self, account: &Account, lost: &CancellationToken) -> Option<Turn<'_>> {
        let turn = async {
            loop {
                let way = Way::of(&account.draft.destination);
                if let Some(pass) = self.gate.enter(way, Queue::Open, self.parts.settings.lease_for).await {
                    let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
                    self.n_active.fetch_add(1, Ordering::Relaxed);
                    return Some(Turn { pass, _slot: Some(slot), _counted: Some(Counted(&self.n_active)) });
                }
            }
        };
        tokio::select! {
            turn = turn => turn,
            () = lost.cancelled() => None,
            () = self.stopping.cancelled() => None,
        }
    }

    async fn start_run(
        &self,
        lease: Lease,
    ) -> Result<(watch::Sender<CheckRun>, watch::Receiver<CheckRun>), StoreError> {
        let started_at = self.parts.clock.now();
        let run = CheckRun {
            id: self.parts.store.start_run(lease, started_at).await?,
            account_id: lease.account_id,
            due_at: lease.due_at,
            started_at,
            finished_at: None,
            outcome: Outcome::Running,
            new_messages: 0,
            deleted_messages: 0,
            stages: Vec::new(),
            error: None,
            has_transcript: false,
        };
        Ok(watch::channel(run))
    }

    /// Waits until the server tells of a change, somebody asks for a check, or the interval is over.
    async fn idle(
        &self,
        mut mailbox: Box<dyn Mailbox>,
        account: &Account,
        lease: Lease,
        lost: &CancellationToken,
    ) -> Waited {
        let asked = Arc::new(Notify::new());
        let idling = Idling { wake: Arc::clone(&asked), setup: lease.setup };
        let _entry = Entry::new(&self.idling, account.id, idling);
        let interval = Duration::from_secs(u64::from(account.draft.interval_s)).min(IDLE_MAX);
        let waiting = mailbox.idle(interval);
        // A wait that is broken off leaves the dialogue in its middle: the next check begins anew.
        let waited = tokio::select! {
            waited = waiting => waited,
            () = asked.notified() => return Waited::Asked,
            () = lost.cancelled() => return Waited::Asked,
            () = self.stopping.cancelled() => return Waited::Asked,
        };
        match waited {
            Ok(_) => Waited::Through(mailbox),
            Err(error) => {
                tracing::debug!(account = %account.id, message = error.message, "a connection that waited is over");
                Waited::Broken
            }
        }
    }

    /// A store in trouble is not asked to begin more; what was begun goes on or fails by itself.
    fn note_trouble(&self, run: &CheckRun) {
        let is_trouble = run.error.as_ref().is_some_and(|it| it.kind == ErrorKind::Storage);
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = is_trouble.then(|| {
            let length = pause.map_or(PAUSE_FIRST, |(_, length)| (length * 2).min(PAUSE_MAX));
            (Instant::now() + length, length)
        });
    }

    fn pause(&self) -> Option<(Instant, Duration)> {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<AccountId, watch::Receiver<CheckRun>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idling(&self) -> MutexGuard<'_, HashMap<AccountId, Idling>> {
        self.idling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, id: AccountId) {
        if let Some(idling) = self.idling().get(&id) {
            idling.wake.notify_one();
        }
    }

    /// Ends the wait of the accounts that were changed, disabled or deleted since it began.
    async fn wake_changed(&self) -> Result<(), StoreError> {
        {
            let mut seen = self.changes_seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.elapsed() < CHANGES_EVERY {
                return Ok(());
            }
            *seen = Instant::now();
        }
        let setups: HashMap<_, _> = self.idling().iter().map(|(id, it)| (*id, it.setup)).collect();
        let ids: Vec<_> = setups.keys().copied().collect();
        let now = self.parts.clock.now();
        // A change of the account makes it due; one of what it uses changes its setup. Otherwise its wait ends before it is due.
        let waits = |it: &&Standing| {
            let is_due = it.next_check_at.is_some_and(|it| it <= now);
            it.is_enabled && !is_due && setups.get(&it.account_id) == Some(&it.setup)
        };
        let standings = self.parts.store.standings(&ids).await?;
        let undisturbed: HashSet<_> = standings.iter().filter(waits).map(|it| it.account_id).collect();
        for id in ids.into_iter().filter(|it| !undisturbed.contains(it)) {
            self.wake(id);
        }
        Ok(())
    }

    fn joined(&self, id: AccountId) -> Option<watch::Receiver<CheckRun>> {
        // One whose sender is gone has broken off without its end.
        let is_live = |it: &&watch::Receiver<CheckRun>| it.has_changed().is_ok() && it.borrow().finished_at.is_none();
        self.running().get(&id).filter(is_live).cloned()
    }

    async fn start(self: &Arc<Self>, id: AccountId, transcript: bool) -> Result<CheckTicket, StartError> {
        if let Some(updates) = self.joined(id) {
            return Ok(CheckTicket { updates });
        }
        let account = self.parts.store.find_account(id).await?.filter(|it| it.deleted_at.is_none());
        let account = account.ok_or(StartError::NotFound)?;
        if !account.draft.enabled {
            return Err(StartError::Disabled);
        }
        let way = Way::of(&account.draft.destination);
        if matches!(way, Way::Connector(_)) {
            // Where no collector runs, as on the command line, nobody else keeps this fresh.
            self.read_elsewhere().await;
        }
        let is_elsewhere = self.elsewhere().contains(&way);
        if self.parts.settings.role.checks() && !is_elsewhere {
            self.start_here(account, transcript).await
        } else {
            self.leave_to_workers(id).await
        }
    }

    async fn start_here(self: &Arc<Self>, account: Account, transcript: bool) -> Result<CheckTicket, StartError> {
        let id = account.id;
        let mut before = None;
        loop {
            if let Some(updates) = self.joined(id) {
                return Ok(CheckTicket { updates });
            }
            let now = self.parts.clock.now();
            let lease = self.parts.store.take_account(id, &self.owner, now, self.parts.settings.lease_for).await?;
            if let Some(lease) = lease {
                return self.begin_asked(lease, account, transcript).await;
            }
            if let Some(ticket) = follow(&self.parts, id).await? {
                return Ok(ticket);
            }
            // Whoever holds it has not written its run yet, has just finished, or waits for mail: then it is woken.
            let latest = self.latest_run(id).await?;
            match before {
                None => {
                    before = Some(latest.map(|it| it.id));
                    self.parts.store.ask_check(id, now).await?;
                }
                // It may have begun and ended between two looks.
                Some(before) => {
                    if let Some(run) = latest.filter(|it| Some(it.id) > before) {
                        return Ok(CheckTicket { updates: watch::channel(run).1 });
                    }
                }
            }
            self.wake(id);
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whoever asks gets a turn even when every slot is taken by automatic checks: the host's own limit still holds. The lease
    /// comes first: else whoever has it could wait for the turn, and this for the lease.
    async fn begin_asked(
        self: &Arc<Self>,
        lease: Lease,
        account: Account,
        transcript: bool,
    ) -> Result<CheckTicket, StartError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let this = Arc::clone(self);
        self.visits.spawn(async move {
            let hold = this.hold(lease);
            let entering =
                this.gate.enter(Way::of(&account.draft.destination), Queue::Open, this.parts.settings.lease_for);
            let pass = tokio::select! {
                pass = entering => pass,
                () = this.stopping.cancelled() => None,
            };
            let began = match pass {
                Some(pass) => {
                    let turn = Turn { pass, _slot: None, _counted: None };
                    this.visit(lease, account, &hold.lost, turn, transcript, Some(tell)).await
                }
                None => this.parts.store.give_back(lease, account.health.next_check_at).await,
            };
            if let Err(error) = began {
                tracing::error!(%error, account = %lease.account_id, "a check could not begin");
            }
        });
        told.await.map_err(|_| StartError::Failed(Error::Internal { reference: "no turn, or no store".to_owned() }))
    }

    async fn latest_run(&self, id: AccountId) -> Result<Option<CheckRun>, StoreError> {
        let one = domain::page::PageRequest::new(1, 1);
        Ok(self.parts.store.list_runs(id, one).await?.items.into_iter().next())
    }

    /// An instance that does not check itself, or has no agent for the account, has another one do it.
    async fn leave_to_workers(&self, id: AccountId) -> Result<CheckTicket, StartError> {
        let store = &self.parts.store;
        let before = self.latest_run(id).await?.map(|it| it.id);
        store.ask_check(id, self.parts.clock.now()).await?;
        loop {
            if let Some(ticket) = follow(&self.parts, id).await? {
                return Ok(ticket);
            }
            // It may have begun and ended between two looks.
            if let Some(run) = self.latest_run(id).await?.filter(|it| Some(it.id) > before) {
                return Ok(CheckTicket { updates: watch::channel(run).1 });
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// How a wait ended.
enum Waited {
    /// The connection can be used again.
    Through(Box<dyn Mailbox>),
    /// Somebody wants the account: whoever is next takes it at once.
    Asked,
    Broken,
}

/// What is known of an account for as long as this lives, however that ends.
struct Entry<'a, T> {
    map: &'a Mutex<HashMap<AccountId, T>>,
    id: AccountId,
}

impl<'a, T> Entry<'a, T> {
    fn new(map: &'a Mutex<HashMap<AccountId, T>>, id: AccountId, value: T) -> Self {
        map.lock().unwrap_or_else(PoisonError::into_inner).insert(id, value);
        Self { map, id }
    }
}

impl<T> Drop for Entry<'_, T> {
    fn drop(&mut self) {
        self.map.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// What a visit holds while it is connected for its own sake, and gives back when it only waits.
struct Turn<'a> {
    #[expect(dead_code, reason = "held until it is dropped")]
    pass: Pass,
    _slot: Option<tokio::sync::OwnedSemaphorePermit>,
    _counted: Option<Counted<'a>>,
}

/// Counts an automatic visit until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
