//! Checking: who is due, how many at once, what is new, store, then delete; back-off; leases between instances.
//!
//! The work of a check is the ledger's rows without content, never a highest-seen mark; a message is deleted from its server
//! only after the transaction that stored it here.

mod collector;
mod delete;
mod follow;
mod gate;
mod ingest;
mod keeper;
mod listing;
mod policy;
mod run;
mod transcript;
mod visit;

use std::time::Duration;

pub use collector::{Collector, CollectorParts};
use domain::incident::Role;

/// How much is done at once, and how patiently.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Checks at once, in this instance.
    pub at_once: usize,
    /// Checks at once to one host and port, or through one connector, by all instances together.
    pub per_host: usize,
    /// Checks that begin within a second, in this instance; 0: any number.
    pub starts_per_second: u32,
    /// The same to one host and port, or through one connector.
    pub starts_per_second_per_host: u32,
    /// Connections that wait for the server to tell of new mail, in this instance.
    pub idle_at_once: usize,
    /// Larger messages are recorded and left on the server, bytes.
    pub size_limit: u64,
    /// How long an instance may be silent before another takes its account over.
    pub lease_for: Duration,
    /// A message that failed so often is put into quarantine.
    pub quarantine_after: u32,
    /// No check takes longer.
    pub deadline: Duration,
    /// How long a stopping instance waits for its checks.
    pub grace: Duration,
    /// What this instance does.
    pub role: Role,
    /// The machine's name, for whoever looks at the instances.
    pub host: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            at_once: 32,
            per_host: 4,
            starts_per_second: 0,
            starts_per_second_per_host: 20,
            idle_at_once: 2_000,
            size_limit: 50 * 1024 * 1024,
            lease_for: Duration::from_mins(1),
            quarantine_after: 5,
            deadline: Duration::from_hours(2),
            grace: Duration::from_secs(10),
            role: Role::All,
            host: String::new(),
        }
    }
}
