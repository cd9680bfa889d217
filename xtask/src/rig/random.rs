//! Numbers that look random: enough to vary mail and moments, and to do so again from the same seed.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// xorshift64.
pub(crate) struct Random(u64);

impl Random {
    /// **Invariant:** the state is never 0, from which it would not get away.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A seed that is another one each time.
    pub(crate) fn seed() -> u64 {
        RandomState::new().hash_one(())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 up to, but not including, `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or_default()
    }

    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let spread = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(self.next() % spread.saturating_add(1))
    }
}
