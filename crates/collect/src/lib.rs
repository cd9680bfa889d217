//! Checking: who is due, how many at once, what is new, store, then delete; back-off; leases between instances.
//!
//! The work of a check is the ledger's rows without content, never a highest-seen mark; a message is deleted from its server
//! only after the transaction that stored it here.

mod collector;
mod follow;
mod policy;
mod run;
mod visit;

use std::time::Duration;

pub use collector::{Collector, CollectorParts};

/// How much is done at once, and how patiently.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Checks at once, in this instance.
    pub at_once: usize,
    /// Checks at once to one host and port, or through one connector.
    pub per_host: usize,
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            at_once: 32,
            per_host: 4,
            size_limit: 50 * 1024 * 1024,
            lease_for: Duration::from_mins(1),
            quarantine_after: 5,
            deadline: Duration::from_hours(2),
            grace: Duration::from_secs(10),
        }
    }
}
