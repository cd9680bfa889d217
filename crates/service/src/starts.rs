//! How often one may begin what contacts other people's servers.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use domain::time::Timestamp;

/// How many one may begin within the window.
const STARTS: usize = 10;
pub(crate) const WINDOW: Duration = Duration::from_mins(1);

/// When each actor began something, of late.
#[derive(Default)]
pub(crate) struct Starts(HashMap<String, VecDeque<Timestamp>>);

impl Starts {
    /// Counts a start by that actor; seconds to wait, if there were too many.
    pub(crate) fn may_start(&mut self, actor: &str, now: Timestamp) -> Result<(), u64> {
        self.0.retain(|_, times| {
            times.retain(|it| now.since(*it) < WINDOW);
            !times.is_empty()
        });
        let times = self.0.entry(actor.to_owned()).or_default();
        if let Some(first) = times.front().filter(|_| times.len() >= STARTS) {
            return Err(WINDOW.saturating_sub(now.since(*first)).as_secs() + 1);
        }
        times.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_begins_too_much_waits_and_nobody_else_does() {
        let at = |second: i64| Timestamp(second * 1_000_000);
        let mut starts = Starts::default();
        for second in 0..10 {
            assert_eq!(starts.may_start("ana", at(second)), Ok(()));
        }
        assert_eq!(starts.may_start("ana", at(10)), Err(51));
        assert_eq!(starts.may_start("bo", at(10)), Ok(()));
        assert_eq!(starts.may_start("ana", at(60)), Ok(()));
        assert_eq!(starts.may_start("ana", at(60)), Err(2));
    }
}
