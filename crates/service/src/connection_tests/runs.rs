//! The tests that run here or ended a short while ago, and how many one may begin.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    account::AccountForm,
    check::ErrorKind,
    connection_test::{ConnectionTest, TestEnd, TestFailure},
    ids::AccountId,
    time::Timestamp,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::log::TestLog;

/// A test that ended is remembered so long, with the values that were typed.
const REMEMBERED: Duration = Duration::from_mins(15);
/// The most that are remembered.
const RUNS_MAX: usize = 200;
/// The most that run at once here.
const AT_ONCE: usize = 16;
/// How many one may begin within the window.
const STARTS: usize = 10;
const WINDOW: Duration = Duration::from_mins(1);

/// What names a test that runs: nobody guesses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(u128);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// A test as it goes, or as it ended.
#[derive(Clone, Debug)]
pub struct TestRun {
    pub id: RunId,
    pub account: Option<AccountId>,
    pub started_at: Timestamp,
    /// What was typed, if it was not saved.
    pub form: Option<AccountForm>,
    /// The runs that were begun together have the same.
    pub batch: RunId,
    pub test: ConnectionTest,
}

/// One that was begun.
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) batch: RunId,
    pub(crate) account: Option<AccountId>,
    pub(crate) started_at: Timestamp,
    pub(crate) form: Option<AccountForm>,
    pub(crate) log: Arc<TestLog>,
    /// Somebody wants it to end.
    pub(crate) cancelled: Notify,
}

impl Run {
    pub(crate) fn picture(&self) -> TestRun {
        TestRun {
            id: self.id,
            account: self.account,
            started_at: self.started_at,
            form: self.form.clone(),
            batch: self.batch,
            test: self.log.so_far(),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<ConnectionTest> {
        self.log.watch()
    }

    fn is_remembered(&self, now: Timestamp) -> bool {
        self.is_running() || now.since(self.started_at) < REMEMBERED
    }

    fn is_running(&self) -> bool {
        self.log.so_far().end.is_none()
    }
}

/// Ends a run that was left before it had ended, as a panic leaves it: nobody follows it for ever.
pub(super) struct EndsAnyway<'a>(pub(super) &'a Run);

impl Drop for EndsAnyway<'_> {
    fn drop(&mut self) {
        if !self.0.is_running() {
            return;
        }
        let step = self.0.log.so_far().under_way();
        let message = "the test was cut off by an error of this server".to_owned();
        let failure = TestFailure { step, kind: ErrorKind::Internal, message };
        self.0.log.update(|it| it.end = Some(TestEnd::Failed(failure)));
    }
}

/// What is known of all of them.
pub struct TestRuns {
    known: Mutex<Known>,
    places: Arc<Semaphore>,
}

impl Default for TestRuns {
    fn default() -> Self {
        Self { known: Mutex::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

#[derive(Default)]
struct Known {
    runs: VecDeque<Arc<Run>>,
    /// When each actor began one, of late.
    starts: HashMap<String, VecDeque<Timestamp>>,
}

impl TestRuns {
    pub(crate) fn fresh_id() -> RunId {
        RunId(rand::random())
    }

    /// Counts a start of so many tests by that actor and keeps places for them until these are dropped; seconds to wait, if there
    /// were too many or too many tests run.
    pub(crate) fn may_start(&self, actor: &str, n: u32, now: Timestamp) -> Result<OwnedSemaphorePermit, u64> {
        let mut known = self.known();
        known.starts.retain(|_, times| {
            times.retain(|it| now.since(*it) < WINDOW);
            !times.is_empty()
        });
        let places = Arc::clone(&self.places).try_acquire_many_owned(n).map_err(|_| WINDOW.as_secs() / 6)?;
        let times = known.starts.entry(actor.to_owned()).or_default();
        if let Some(first) = times.front().filter(|_| times.len() >= STARTS) {
            return Err(WINDOW.saturating_sub(now.since(*first)).as_secs() + 1);
        }
        times.push_back(now);
        Ok(places)
    }

    pub(crate) fn add(&self, run: &Arc<Run>) {
        let mut known = self.known();
        let now = run.started_at;
        known.runs.retain(|it| it.is_remembered(now));
        if known.runs.len() >= RUNS_MAX
            && let Some(at) = known.runs.iter().position(|it| !it.is_running())
        {
            known.runs.remove(at);
        }
        known.runs.push_back(Arc::clone(run));
    }

    pub(crate) fn find(&self, id: RunId, now: Timestamp) -> Option<Arc<Run>> {
        self.known().runs.iter().find(|it| it.id == id && it.is_remembered(now)).cloned()
    }

    /// Those that were begun together last for this account as it is saved, in their order.
    pub(crate) fn last_of(&self, account: AccountId, now: Timestamp) -> Vec<Arc<Run>> {
        let known = self.known();
        let of_account = |it: &&Arc<Run>| it.account == Some(account) && it.form.is_none() && it.is_remembered(now);
        let Some(batch) = known.runs.iter().rev().find(of_account).map(|it| it.batch) else { return Vec::new() };
        known.runs.iter().filter(|it| it.batch == batch).cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::account::{Address, Destination, Protocol, Route, Security};

    use super::*;

    fn run(account: i64, at: i64, form: Option<AccountForm>) -> Arc<Run> {
        let address = Address::parse("mail.example.org").unwrap();
        let destination = Destination { address, port: 143, security: Security::Plain, route: Route::Direct };
        let id = TestRuns::fresh_id();
        Arc::new(Run {
            id,
            batch: id,
            account: Some(AccountId(account)),
            started_at: Timestamp::from_seconds(at),
            form,
            log: Arc::new(TestLog::new(ConnectionTest::new(Protocol::Imap, destination))),
            cancelled: Notify::new(),
        })
    }

    fn end(run: &Run) {
        run.log.update(|it| it.end = Some(domain::connection_test::TestEnd::Passed));
    }

    #[test]
    fn ten_a_minute_are_enough_for_one_and_do_not_count_for_another() {
        let runs = TestRuns::default();
        let at = Timestamp::from_seconds;
        for second in 0..10 {
            assert!(runs.may_start("ana", 1, at(second)).is_ok());
        }
        assert_eq!(runs.may_start("ana", 1, at(20)).err(), Some(41));
        assert!(runs.may_start("ben", 1, at(20)).is_ok());
        assert!(runs.may_start("ana", 1, at(61)).is_ok());
    }

    #[test]
    fn so_many_run_at_once_whoever_began_them() {
        let runs = TestRuns::default();
        // A place is kept from the moment in which somebody may begin, and not only once the test is known.
        let mut places = runs.may_start("ana", 12, Timestamp::from_seconds(0)).unwrap();
        let others = runs.may_start("ben", 4, Timestamp::from_seconds(0)).unwrap();
        assert_eq!(runs.may_start("eve", 1, Timestamp::from_seconds(1)).err(), Some(10));
        drop(places.split(1));
        assert_eq!(runs.may_start("eve", 2, Timestamp::from_seconds(1)).err(), Some(10));
        assert!(runs.may_start("eve", 1, Timestamp::from_seconds(1)).is_ok());
        drop((places, others));
        assert!(runs.may_start("eve", 16, Timestamp::from_seconds(1)).is_ok());
    }

    #[tokio::test]
    async fn a_run_that_panics_has_ended() {
        let run = run(1, 0, None);
        let gone = Arc::clone(&run);
        let panicked = tokio::spawn(async move {
            let _ends = EndsAnyway(&gone);
            panic!("as a certificate might make it");
        });
        assert!(panicked.await.is_err());
        assert!(matches!(run.picture().test.end, Some(TestEnd::Failed(it)) if it.kind == ErrorKind::Internal));
        end(&run);
        drop(EndsAnyway(&run));
        assert_eq!(run.picture().test.end, Some(TestEnd::Passed), "what has ended stays as it is");
    }

    #[test]
    fn what_ended_is_forgotten_and_what_runs_is_not() {
        let runs = TestRuns::default();
        let (ended, running) = (run(1, 0, None), run(2, 0, None));
        runs.add(&ended);
        runs.add(&running);
        end(&ended);
        let hour = Timestamp::from_seconds(3600);
        assert!(runs.find(ended.id, hour).is_none(), "also while nobody begins another");
        runs.add(&run(3, 3600, None));
        assert!(runs.find(ended.id, hour).is_none() && runs.find(running.id, hour).is_some());
        for n in 0..500 {
            let more = run(n, 3600, None);
            end(&more);
            runs.add(&more);
        }
        assert!(runs.known().runs.len() <= RUNS_MAX && runs.find(running.id, hour).is_some());
    }

    #[test]
    fn the_last_batch_of_an_account_is_of_what_is_saved() {
        let runs = TestRuns::default();
        let (saved, typed) = (run(1, 0, None), run(1, 1, Some(AccountForm::default())));
        runs.add(&saved);
        runs.add(&typed);
        let found: Vec<_> = runs.last_of(AccountId(1), Timestamp::from_seconds(2)).iter().map(|it| it.id).collect();
        assert_eq!(found, [saved.id]);
        assert_eq!(saved.id.to_string().parse(), Ok(saved.id));
    }
}
