//! Politeness: how many checks go to one server or through one connector at once, and how fast they begin.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use service::ports::Way;
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
    by_way: HashMap<Way, Host>,
}

struct Host {
    n_inside: usize,
    n_waiting: usize,
    next_start: Instant,
}

/// The right to be connected to a host; given back when it is dropped.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    way: Way,
}

/// Who may wait for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// As many as can be inside: more would wait here while others could be visited.
    Short,
    /// Anybody: somebody asked for it.
    Open,
}

impl Gate {
    pub(crate) fn new(limit: usize, starts_per_second: u32, starts_per_second_per_host: u32) -> Self {
        let pace = |per_second: u32| Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        let hosts = Hosts { limit: limit.max(1), next_start: Instant::now(), by_way: HashMap::new() };
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

    /// Waits for a place on the way and for the turn to begin; `None` when that takes longer than `patience`, or the queue is full.
    pub(crate) async fn enter(self: &Arc<Self>, way: Way, queue: Queue, patience: Duration) -> Option<Pass> {
        let give_up = Instant::now() + patience;
        let mut waiting = None;
        loop {
            // Registered before looking, so that nobody leaves unnoticed in between.
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            match self.try_enter(&way, queue, waiting.is_some(), give_up) {
                Entry::Inside(at) => {
                    let pass = Pass { gate: Arc::clone(self), way };
                    drop(waiting);
                    sleep_until(at).await;
                    return Some(pass);
                }
                Entry::Waits => _ = waiting.get_or_insert_with(|| Waiting { gate: self, way: way.clone() }),
                Entry::Full => return None,
            }
            if timeout_at(give_up, left).await.is_err() {
                return None;
            }
        }
    }

    fn try_enter(&self, way: &Way, queue: Queue, is_waiting: bool, give_up: Instant) -> Entry {
        let mut hosts = self.hosts();
        let (limit, now) = (hosts.limit, Instant::now());
        let new = || Host { n_inside: 0, n_waiting: 0, next_start: now };
        let next_start = hosts.next_start;
        let host = hosts.by_way.entry(way.clone()).or_insert_with(new);
        if host.n_inside < limit {
            let at_host = host.next_start.max(now);
            let at = at_host.max(next_start);
            // Whoever will not wait so long takes no place in the row: else those who come again and again would move the next
            // start away from everybody.
            if at > give_up {
                return Entry::Full;
            }
            host.n_inside += 1;
            host.next_start = at_host + self.pace_per_host;
            hosts.next_start = at + self.pace;
            hosts.forget();
            return Entry::Inside(at);
        }
        if is_waiting {
            return Entry::Waits;
        }
        if queue == Queue::Short && host.n_waiting >= limit {
            return Entry::Full;
        }
        host.n_waiting += 1;
        Entry::Waits
    }

    /// Where nobody else may queue up.
    pub(crate) fn busy(&self) -> Vec<Way> {
        let hosts = self.hosts();
        let is_busy = |it: &Host| it.n_inside >= hosts.limit && it.n_waiting >= hosts.limit;
        hosts.by_way.iter().filter(|(_, host)| is_busy(host)).map(|(way, _)| way.clone()).collect()
    }

    /// Ends when somebody has left.
    pub(crate) async fn somebody_left(&self) {
        self.left.notified().await;
    }

    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Entry {
    /// From that time on.
    Inside(Instant),
    Waits,
    Full,
}

/// Somebody in the queue, until it is dropped.
struct Waiting<'a> {
    gate: &'a Gate,
    way: Way,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(host) = self.gate.hosts().by_way.get_mut(&self.way) {
            host.n_waiting = host.n_waiting.saturating_sub(1);
        }
    }
}

impl Hosts {
    fn forget(&mut self) {
        if self.by_way.len() > HOSTS_REMEMBERED {
            let now = Instant::now();
            self.by_way.retain(|_, it| it.n_inside > 0 || it.n_waiting > 0 || it.next_start > now);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(host) = self.gate.hosts().by_way.get_mut(&self.way) {
            host.n_inside = host.n_inside.saturating_sub(1);
        }
        self.gate.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(address: &str) -> Way {
        Way::Direct(address.to_owned(), 993)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_host_never_gets_more_than_its_share_and_another_is_not_held_up() {
        let gate = Arc::new(Gate::new(2, 0, 0));
        let first = gate.enter(way("a"), Queue::Short, SECOND).await.unwrap();
        let _second = gate.enter(way("a"), Queue::Short, SECOND).await.unwrap();
        assert!(gate.enter(way("a"), Queue::Short, SECOND).await.is_none());
        assert!(gate.enter(way("b"), Queue::Short, SECOND).await.is_some());
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(way("a"), Queue::Short, Duration::from_mins(1)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waiting.await.unwrap());
        gate.set_limit(1);
        assert!(gate.enter(way("a"), Queue::Short, SECOND).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_short_except_for_whoever_was_asked_for() {
        let gate = Arc::new(Gate::new(1, 0, 0));
        let inside = gate.enter(way("a"), Queue::Short, SECOND).await.unwrap();
        assert_eq!(gate.busy(), []);
        let spawn = |queue| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.enter(way("a"), queue, Duration::from_mins(1)).await.is_some() })
        };
        let queued = spawn(Queue::Short);
        tokio::task::yield_now().await;
        assert_eq!(gate.busy(), [way("a")]);
        assert!(gate.enter(way("a"), Queue::Short, SECOND).await.is_none());
        let asked = spawn(Queue::Open);
        tokio::task::yield_now().await;
        drop(inside);
        assert!(queued.await.unwrap() && asked.await.unwrap());
        assert_eq!(gate.busy(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_at_once_moves_no_start_away() {
        let gate = Arc::new(Gate::new(100, 1, 0));
        for n in 0..11 {
            let spawned = Arc::clone(&gate);
            tokio::spawn(async move { spawned.enter(way(&format!("{n}")), Queue::Short, SECOND * 10).await.is_some() });
        }
        tokio::task::yield_now().await;
        for _ in 0..1_000 {
            assert!(gate.enter(way("b"), Queue::Short, SECOND * 10).await.is_none());
        }
        tokio::time::sleep(SECOND * 2).await;
        let began = Instant::now();
        assert!(gate.enter(way("b"), Queue::Short, SECOND * 10).await.is_some());
        assert!(began.elapsed() <= SECOND * 9, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn starts_are_spread() {
        let gate = Arc::new(Gate::new(100, 0, 10));
        let began = Instant::now();
        let mut passes = Vec::new();
        for _ in 0..11 {
            passes.push(gate.enter(way("a"), Queue::Short, SECOND * 9).await.unwrap());
        }
        assert_eq!(began.elapsed().as_millis() / 10, 100);
    }
}
