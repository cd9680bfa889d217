//! Politeness: how many checks go to one server or through one connector at once, and how fast they begin.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::account::{Account, Route};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// Hosts that nobody visits are forgotten when there are more than so many.
const HOSTS_REMEMBERED: usize = 10_000;

/// One for an instance.
pub(crate) struct Gate {
    hosts: Mutex<Hosts>,
    /// Somebody left: whoever waits looks again.
    left: Notify,
    /// The pause between two starts, of all and of those to one host.
    pace: Duration,
    pace_per_host: Duration,
}

struct Hosts {
    /// Checks at once to one host.
    limit: usize,
    next_start: Instant,
    by_key: HashMap<String, Host>,
}

struct Host {
    n_inside: usize,
    next_start: Instant,
}

/// The right to be connected to a host; given back when it is dropped.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    key: String,
}

impl Gate {
    pub(crate) fn new(limit: usize, starts_per_second: u32, starts_per_second_per_host: u32) -> Self {
        let pace = |per_second: u32| Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        let hosts = Hosts { limit: limit.max(1), next_start: Instant::now(), by_key: HashMap::new() };
        Self {
            hosts: Mutex::new(hosts),
            left: Notify::new(),
            pace: pace(starts_per_second),
            pace_per_host: pace(starts_per_second_per_host),
        }
    }

    /// This instance's share of the connections to one host.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.hosts().limit = limit.max(1);
        self.left.notify_waiters();
    }

    /// Waits for a place at the account's host and for its turn to begin; `None` when that takes longer than `patience`.
    pub(crate) async fn enter(self: &Arc<Self>, account: &Account, patience: Duration) -> Option<Pass> {
        let key = key(account);
        let give_up = Instant::now() + patience;
        loop {
            // Registered before looking, so that nobody leaves unnoticed in between.
            let left = self.left.notified();
            let start = {
                let mut hosts = self.hosts();
                let limit = hosts.limit;
                let now = Instant::now();
                let host = hosts.by_key.entry(key.clone()).or_insert(Host { n_inside: 0, next_start: now });
                if host.n_inside < limit {
                    host.n_inside += 1;
                    let at = host.next_start.max(now);
                    host.next_start = at + self.pace_per_host;
                    let at = at.max(hosts.next_start);
                    hosts.next_start = at + self.pace;
                    hosts.forget();
                    Some(at)
                } else {
                    None
                }
            };
            if let Some(at) = start {
                let pass = Pass { gate: Arc::clone(self), key };
                if at > give_up {
                    return None;
                }
                sleep_until(at).await;
                return Some(pass);
            }
            if timeout_at(give_up, left).await.is_err() {
                return None;
            }
        }
    }

    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hosts {
    fn forget(&mut self) {
        if self.by_key.len() > HOSTS_REMEMBERED {
            let now = Instant::now();
            self.by_key.retain(|_, it| it.n_inside > 0 || it.next_start > now);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(host) = self.gate.hosts().by_key.get_mut(&self.key) {
            host.n_inside = host.n_inside.saturating_sub(1);
        }
        self.gate.left.notify_waiters();
    }
}

/// What shares a limit: the connector, or the host and port.
fn key(account: &Account) -> String {
    let destination = &account.draft.destination;
    match destination.route {
        Route::Connector(id) => format!("connector {id}"),
        Route::Direct => format!("{} {}", destination.address, destination.port),
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        account::{AccountDraft, AccountForm, Health},
        ids::AccountId,
    };

    use super::*;

    fn account(address: &str) -> Account {
        let form = AccountForm {
            name: "a".to_owned(),
            address: address.to_owned(),
            protocol: "imap".to_owned(),
            credential_id: "1".to_owned(),
            ..AccountForm::new_account()
        };
        let draft = AccountDraft::try_from(&form).unwrap();
        Account { id: AccountId(1), version: 1, draft, health: Health::default(), deleted_at: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_never_gets_more_than_its_share_and_another_is_not_held_up() {
        let gate = Arc::new(Gate::new(2, 0, 0));
        let (a, b) = (account("a.example.org"), account("b.example.org"));
        let second = Duration::from_secs(1);
        let first = gate.enter(&a, second).await.unwrap();
        let _second = gate.enter(&a, second).await.unwrap();
        assert!(gate.enter(&a, second).await.is_none());
        assert!(gate.enter(&b, second).await.is_some());
        let waiting = tokio::spawn({
            let (gate, a) = (Arc::clone(&gate), a.clone());
            async move { gate.enter(&a, Duration::from_mins(1)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
        gate.set_limit(1);
        assert!(gate.enter(&a, second).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn starts_are_spread() {
        let gate = Arc::new(Gate::new(100, 0, 10));
        let a = account("a.example.org");
        let began = Instant::now();
        let mut passes = Vec::new();
        for _ in 0..11 {
            passes.push(gate.enter(&a, Duration::from_secs(9)).await.unwrap());
        }
        assert_eq!(began.elapsed().as_millis() / 10, 100);
    }
}
