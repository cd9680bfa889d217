//! How long a server may take: silence ends at the step's deadline, and a drip that is never silent for long ends too.

use std::time::Duration;

use tokio::time::Instant;

/// An answer may take so many steps' time without getting on.
const STEPS: u32 = 4;
/// A server that gets on at this rate, bytes a second, may go on for ever.
const RATE: u64 = 1024;

/// Time is spent by waiting and earned by what comes; there is never more of it than a few steps.
pub(super) struct Pace {
    pub(super) step: Duration,
    deadline: Instant,
}

impl Pace {
    pub(super) fn new(step: Duration) -> Self {
        Self { step, deadline: Instant::now() + step * STEPS }
    }

    /// Something is asked of the server, or it was kept waiting.
    pub(super) fn begin(&mut self) {
        self.deadline = Instant::now() + self.step * STEPS;
    }

    /// So many bytes came.
    pub(super) fn earned(&mut self, n_bytes: u64) {
        let earned = Duration::from_micros(n_bytes.saturating_mul(1_000_000) / RATE);
        self.deadline = (self.deadline + earned).min(Instant::now() + self.step * STEPS);
    }

    /// How long the next read may take.
    pub(super) fn wait(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).min(self.step)
    }

    /// Why the wait is over.
    pub(super) fn complaint(&self) -> String {
        if self.deadline <= Instant::now() {
            return "the server answers too slowly".to_owned();
        }
        format!("no answer within {} s", self.step.as_secs())
    }
}
