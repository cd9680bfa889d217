//! The tests that run here, and how many one may begin. What is shown of the others is in the store.

use std::{
    collections::HashMap,
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

use super::{DEADLINE, log::TestLog};
use crate::starts::{Starts, WINDOW};

/// A test that has not ended by then runs nowhere: it has a deadline, and clocks differ a little.
const LOST_AFTER: Duration = DEADLINE.saturating_add(Duration::from_secs(30));
/// The most that run at once here.
const AT_ONCE: usize = 16;

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

impl TestRun {
    /// The same; or what there is to say if it cannot be running any more, because its instance is gone.
    pub(crate) fn unless_lost(mut self, now: Timestamp) -> Self {
        if self.test.end.is_none() && now.since(self.started_at) > LOST_AFTER {
            self.test.end = Some(TestEnd::Failed(TestFailure {
                step: self.test.under_way(),
                kind: ErrorKind::Internal,
                message: "the instance that ran the test is gone".to_owned(),
            }));
            self.test.under_way = None;
        }
        self
    }
}

/// Ends a run that was left before it had ended, as a panic leaves it: nobody follows it for ever.
pub(super) struct EndsAnyway<'a>(pub(super) &'a Run);

impl Drop for EndsAnyway<'_> {
    fn drop(&mut self) {
        if self.0.log.so_far().end.is_some() {
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
    known: Arc<Mutex<Known>>,
    places: Arc<Semaphore>,
}

impl Default for TestRuns {
    fn default() -> Self {
        Self { known: Arc::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

#[derive(Default)]
struct Known {
    running: HashMap<RunId, Arc<Run>>,
    starts: Starts,
}

impl TestRuns {
    pub(crate) fn fresh_id() -> RunId {
        RunId(rand::random())
    }

    /// Counts a start of so many tests by that actor and keeps places for them until these are dropped; seconds to wait, if there
    /// were too many or too many tests run.
    pub(crate) fn may_start(&self, actor: &str, n: u32, now: Timestamp) -> Result<OwnedSemaphorePermit, u64> {
        let places = Arc::clone(&self.places).try_acquire_many_owned(n).map_err(|_| WINDOW.as_secs() / 6)?;
        self.known().starts.may_start(actor, now).map(|()| places)
    }

    /// It runs here for as long as what is returned lives, also where it ends by a panic.
    pub(crate) fn add(&self, run: &Arc<Run>) -> Here {
        self.known().running.insert(run.id, Arc::clone(run));
        Here { known: Arc::clone(&self.known), id: run.id }
    }

    /// If it runs here.
    pub(crate) fn find(&self, id: RunId) -> Option<Arc<Run>> {
        self.known().running.get(&id).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A test that runs here.
#[must_use]
pub(crate) struct Here {
    known: Arc<Mutex<Known>>,
    id: RunId,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use domain::account::{Address, Destination, Protocol, Route, Security};

    use super::*;

    fn run(account: i64) -> Arc<Run> {
        let address = Address::parse("mail.example.org").unwrap();
        let destination = Destination { address, port: 143, security: Security::Plain, route: Route::Direct };
        let id = TestRuns::fresh_id();
        Arc::new(Run {
            id,
            batch: id,
            account: Some(AccountId(account)),
            started_at: Timestamp::from_seconds(0),
            form: None,
            log: Arc::new(TestLog::new(ConnectionTest::new(Protocol::Imap, destination))),
            cancelled: Notify::new(),
        })
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
    fn what_cannot_run_any_more_has_failed() {
        let picture = run(1).picture();
        let after = |seconds| picture.clone().unless_lost(Timestamp::from_seconds(seconds)).test;
        assert_eq!(after(80).end, None);
        assert_eq!(after(100).failure().map(|it| it.kind), Some(ErrorKind::Internal));
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
        let run = run(1);
        let gone = Arc::clone(&run);
        let panicked = tokio::spawn(async move {
            let _ends = EndsAnyway(&gone);
            panic!("as a certificate might make it");
        });
        assert!(panicked.await.is_err());
        assert!(matches!(run.picture().test.end, Some(TestEnd::Failed(it)) if it.kind == ErrorKind::Internal));
        run.log.update(|it| it.end = Some(TestEnd::Passed));
        drop(EndsAnyway(&run));
        assert_eq!(run.picture().test.end, Some(TestEnd::Passed), "what has ended stays as it is");
    }

    #[test]
    fn what_runs_here_is_found_until_it_has_ended() {
        let runs = TestRuns::default();
        let all: Vec<_> = (0..3).map(run).collect();
        let mut here: Vec<_> = all.iter().map(|it| runs.add(it)).collect();
        drop(here.remove(1));
        assert!(runs.find(all[1].id).is_none() && runs.find(all[2].id).is_some());
        assert_eq!(all[2].id.to_string().parse(), Ok(all[2].id));
    }
}
