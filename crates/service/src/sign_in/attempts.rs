//! How many wrong passwords are let through. An attempt is counted before its password is looked at, under one lock with the
//! question whether it may be made: so many at once count as many.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{text::fold, time::Timestamp};

/// The most counts that are kept. Then the half that was touched longest ago gives way.
const COUNTS_MAX: usize = 20_000;
/// The most users with their places that are known to be good.
const KNOWN_MAX: usize = 1_000;

/// How many failed attempts are let through within the window.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// By one user from one address: who guesses elsewhere locks nobody out here.
    pub by_user_and_address: usize,
    pub by_address: usize,
    /// By one user from everywhere, but for addresses from where he has signed in lately.
    pub by_user: usize,
    pub window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { by_user_and_address: 8, by_address: 30, by_user: 100, window: Duration::from_mins(15) }
    }
}

/// Attempts of late that failed or are under way. A name that does not exist counts like one that does.
#[derive(Default)]
pub struct Attempts {
    limits: Limits,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    counts: HashMap<Key, Vec<Timestamp>>,
    /// The newest at the end.
    known: VecDeque<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    UserAndAddress(String, String),
    Address(String),
    User(String),
}

/// One that was counted. It stays counted unless it is given back.
#[must_use = "what succeeded is given back"]
pub(super) struct Attempt {
    keys: [Key; 3],
    at: Timestamp,
}

impl Attempts {
    pub fn new(limits: Limits) -> Self {
        Self { limits, seen: Mutex::default() }
    }

    /// Counts an attempt, or answers with the seconds to wait if there were too many.
    ///
    /// Names are keys of what is kept: the caller bounds their length.
    pub(super) fn begin(&self, name: &str, origin: &str, now: Timestamp) -> Result<Attempt, u64> {
        let (user, address) = (fold(name), network(origin));
        let both = Key::UserAndAddress(user.clone(), address.clone());
        let keys = [both, Key::Address(address), Key::User(user)];
        let Limits { by_user_and_address, by_address, by_user, .. } = self.limits;
        let mut seen = self.seen();
        let by_user = if seen.known.contains(&keys[0]) { usize::MAX } else { by_user };
        let limits = [by_user_and_address, by_address, by_user];
        let waits = keys.iter().zip(limits).filter_map(|(key, limit)| self.wait(&mut seen, key, limit, now));
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        self.make_room(&mut seen, now);
        for key in &keys {
            seen.counts.entry(key.clone()).or_default().push(now);
        }
        Ok(Attempt { keys, at: now })
    }

    /// It was none: nobody looked at the password, or it was right.
    pub(super) fn give_back(&self, attempt: &Attempt) {
        self.seen().give_back(attempt);
    }

    /// The password was right: what was mistyped before is forgotten here, but not what others tried elsewhere.
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let mut seen = self.seen();
        seen.give_back(attempt);
        let [both, ..] = &attempt.keys;
        seen.counts.remove(both);
        seen.known.retain(|it| it != both);
        if seen.known.len() >= KNOWN_MAX {
            seen.known.pop_front();
        }
        seen.known.push_back(both.clone());
    }

    /// Seconds to wait until there is one less than so many.
    fn wait(&self, seen: &mut Seen, key: &Key, limit: usize, now: Timestamp) -> Option<u64> {
        let window = self.limits.window;
        let times = seen.counts.get_mut(key)?;
        times.retain(|it| now.since(*it) < window);
        let oldest = times.first().filter(|_| times.len() >= limit)?;
        Some(window.saturating_sub(now.since(*oldest)).as_secs() + 1)
    }

    fn make_room(&self, seen: &mut Seen, now: Timestamp) {
        if seen.counts.len() + 3 <= COUNTS_MAX {
            return;
        }
        let window = self.limits.window;
        seen.counts.retain(|_, times| times.last().is_some_and(|it| now.since(*it) < window));
        if seen.counts.len() > COUNTS_MAX / 2 {
            let mut last: Vec<_> = seen.counts.values().filter_map(|it| it.last().copied()).collect();
            let middle = last.len() / 2;
            let (_, middle, _) = last.select_nth_unstable(middle);
            let middle = *middle;
            seen.counts.retain(|_, times| times.last().is_some_and(|it| *it > middle));
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn give_back(&mut self, attempt: &Attempt) {
        for key in &attempt.keys {
            let Some(times) = self.counts.get_mut(key) else { continue };
            if let Some(nth) = times.iter().position(|it| *it == attempt.at) {
                times.remove(nth);
            }
            if times.is_empty() {
                self.counts.remove(key);
            }
        }
    }
}

/// Of an IPv6 address the first half: one host has all of the other half to itself (RFC 4291, section 2.5.4).
fn network(origin: &str) -> String {
    match origin.parse() {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        _ => origin.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000_000_000_000);

    fn limited(by_user_and_address: usize, by_address: usize, by_user: usize) -> Attempts {
        Attempts::new(Limits { by_user_and_address, by_address, by_user, window: Duration::from_mins(15) })
    }

    fn fails(attempts: &Attempts, name: &str, origin: &str) -> bool {
        attempts.begin(name, origin, START).is_ok()
    }

    #[test]
    fn attempts_are_limited_by_user_and_address_whatever_the_case_and_forgotten_in_time() {
        let attempts = limited(2, 4, 100);
        assert!(fails(&attempts, "ana", "192.0.2.1") && fails(&attempts, "Ana", "192.0.2.1"));
        assert_eq!(attempts.begin("ANA", "192.0.2.1", START).err(), Some(901));
        assert!(fails(&attempts, "bob", "192.0.2.1") && fails(&attempts, "eve", "192.0.2.1"));
        assert!(!fails(&attempts, "new", "192.0.2.1"), "four are enough for one address");
        assert!(attempts.begin("ana", "192.0.2.1", START.plus(Duration::from_mins(15))).is_ok());
    }

    #[test]
    fn nobody_is_locked_out_by_wrong_passwords_from_elsewhere() {
        let attempts = limited(2, 100, 5);
        let home = attempts.begin("ana", "192.0.2.1", START).ok().unwrap();
        attempts.succeeded(&home);
        for nth in 0..5 {
            assert!(fails(&attempts, "ana", &format!("198.51.100.{nth}")), "{nth}");
        }
        assert!(!fails(&attempts, "ana", "203.0.113.7"), "five are enough for one user, from wherever");
        assert!(fails(&attempts, "ana", "192.0.2.1"), "but not for where she has signed in");
    }

    #[test]
    fn what_succeeded_counts_no_more_and_ends_what_was_mistyped_there() {
        let attempts = limited(2, 100, 100);
        for _ in 0..10 {
            assert!(fails(&attempts, "ana", "192.0.2.1"));
            let good = attempts.begin("ana", "192.0.2.1", START).ok().unwrap();
            attempts.succeeded(&good);
        }
        let one = attempts.begin("bob", "192.0.2.9", START).ok().unwrap();
        attempts.give_back(&one);
        assert!(fails(&attempts, "bob", "192.0.2.9") && fails(&attempts, "bob", "192.0.2.9"));
        assert!(!fails(&attempts, "bob", "192.0.2.9"));
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one() {
        let attempts = limited(8, 2, 100);
        assert!(fails(&attempts, "a", "2001:db8:1:2::1") && fails(&attempts, "b", "2001:db8:1:2:ffff::9"));
        assert!(!fails(&attempts, "c", "2001:db8:1:2::3"));
        assert!(fails(&attempts, "c", "2001:db8:1:3::3"));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let attempts = limited(8, 30, 100);
        for nth in 0..20_000_i64 {
            let at = Timestamp(START.0 + nth);
            assert!(attempts.begin(&format!("user {nth}"), &format!("192.0.2.{nth}"), at).is_ok());
            assert!(attempts.seen().counts.len() <= COUNTS_MAX);
        }
        let newest = Key::User("user 19999".to_owned());
        assert!(attempts.seen().counts.contains_key(&newest));
    }
}
