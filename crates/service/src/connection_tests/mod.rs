//! The use cases of tests of connections: begin one, follow it, stop it, look at the earlier ones.
//!
//! A test takes no lease and counts as no check. Whoever begins one needs permission Action; a credential goes along only where
//! it was granted for, or where the one who asks grants it for this test. A test runs in the instance that was asked; the store
//! tells the others how it goes, and that one if somebody wants it to end.

mod log;
mod runs;

use std::{sync::Arc, time::Duration};

use domain::{
    account::{Account, AccountDraft, AccountForm, Route},
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    check::ErrorKind,
    connection_test::{ConnectionTest, KEPT, TestEnd, TestFailure, TestRecord, compare},
    ids::AccountId,
    page::PageRequest,
    problem::Rule,
    time::Timestamp,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::{interval, sleep},
};

pub use self::runs::{RunId, TestRun, TestRuns};
use self::{
    log::TestLog,
    runs::{EndsAnyway, Run},
};
use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    note_accepted,
    ports::{Depth, NewTest, StageLog},
    visit::{open_draft, record_contact},
};

/// A test takes no longer.
const DEADLINE: Duration = Duration::from_mins(1);
/// How often another instance's test is looked at, and how often is looked whether somebody wants one of ours to end.
const LOOKED_AT: Duration = Duration::from_secs(1);
/// A test is shown for so long after it began, with the values that were typed.
const REMEMBERED: Duration = Duration::from_hours(1);
/// Ways that are tested side by side at most, the direct one too.
const WAYS_MAX: u32 = 12;

/// The use cases of tests of connections.
pub struct ConnectionTests<'a>(pub(crate) &'a Arc<Parts>);

/// What is to be tested.
struct Plan {
    draft: AccountDraft,
    account: Option<AccountId>,
    /// What was typed, if it is not what is saved.
    form: Option<AccountForm>,
    depth: Depth,
    batch: RunId,
}

impl ConnectionTests<'_> {
    /// Tests the account as it is saved.
    pub async fn start(&self, actor: &Actor, id: AccountId) -> Result<RunId, Error> {
        let account = self.enabled(actor, id).await?;
        let place = self.count(actor, 1)?;
        self.audit(actor, format!("account {id} \"{}\"", account.draft.name), &account.draft, false).await?;
        self.begin(actor, saved(account, Depth::Mailbox, TestRuns::fresh_id()), place).await
    }

    /// Tests the account as it is saved directly and by every connector, side by side. The credential goes by its own way; by
    /// the others only with `grant`, and else they are tested up to the sign-in.
    pub async fn start_each_way(&self, actor: &Actor, id: AccountId, grant: bool) -> Result<Vec<RunId>, Error> {
        let account = self.enabled(actor, id).await?;
        let own = account.draft.destination.route;
        let connectors = self.0.store.list_connectors("", PageRequest::new(1, WAYS_MAX - 1)).await?;
        let mut ways = vec![Route::Direct];
        ways.extend(connectors.items.iter().map(|it| Route::Connector(it.id)));
        if !ways.contains(&own) {
            ways.push(own);
        }
        let mut places = self.count(actor, ways.len())?;
        let batch = TestRuns::fresh_id();
        let mut plans = Vec::new();
        for way in ways {
            let goes_along = grant || way == own;
            let mut plan = saved(account.clone(), if goes_along { Depth::Mailbox } else { Depth::Greeting }, batch);
            plan.draft.destination.route = way;
            plans.push(plan);
        }
        for plan in &plans {
            let subject = format!("account {id} \"{}\"", plan.draft.name);
            let is_granted = grant && plan.draft.destination.route != own;
            self.audit(actor, subject, &plan.draft, is_granted).await?;
        }
        let mut runs = Vec::new();
        for plan in plans {
            let Some(place) = places.split(1) else { break };
            runs.push(self.begin(actor, plan, place).await?);
        }
        Ok(runs)
    }

    /// Tests what was typed, for a new account (`id` is `None`) or instead of what is saved. Another destination must be
    /// confirmed by `grant_credential`, as when it is saved.
    pub async fn start_draft(&self, actor: &Actor, id: Option<AccountId>, form: &AccountForm) -> Result<RunId, Error> {
        need(actor, Permission::Action)?;
        let draft = AccountDraft::try_from(form).map_err(Error::Invalid)?;
        if !draft.enabled {
            return Err(Error::field("enabled", Rule::AccountDisabled));
        }
        let stored = match id {
            Some(id) => Some(self.load(id).await?),
            None => None,
        };
        let same = stored
            .as_ref()
            .map(|it| &it.draft)
            .filter(|it| it.destination == draft.destination && it.protocol == draft.protocol);
        if stored.is_some() && same.is_none() && form.grant_credential != "yes" {
            return Err(Error::field("credential_id", Rule::GrantNeeded));
        }
        if self.0.store.find_credential(draft.credential_id).await?.is_none() {
            return Err(Error::field("credential_id", Rule::Gone));
        }
        let place = self.count(actor, 1)?;
        let is_granted = same.is_none_or(|it| it.credential_id != draft.credential_id);
        let subject = id.map_or_else(String::new, |it| format!("{it} "));
        self.audit(actor, format!("account {subject}\"{}\", not saved", draft.name), &draft, is_granted).await?;
        let batch = TestRuns::fresh_id();
        let plan = Plan { draft, account: id, form: Some(form.clone()), depth: Depth::Mailbox, batch };
        self.begin(actor, plan, place).await
    }

    /// The test as it goes, or as it ended a short while ago.
    pub async fn run(&self, actor: &Actor, id: RunId) -> Result<TestRun, Error> {
        need(actor, Permission::Action)?;
        self.find(id).await
    }

    /// The tests of the saved account that were begun together last, if that was a short while ago.
    pub async fn last(&self, actor: &Actor, id: AccountId) -> Result<Vec<TestRun>, Error> {
        need(actor, Permission::Action)?;
        let now = self.0.clock.now();
        let known = self.0.store.last_test_runs(id).await?.into_iter().filter(|it| is_remembered(it, now));
        let newest = |it: TestRun| self.0.tests.find(it.id).map_or_else(|| it.unless_lost(now), |run| run.picture());
        Ok(known.map(newest).collect())
    }

    /// Waits until it has ended.
    pub async fn finished(&self, actor: &Actor, id: RunId) -> Result<TestRun, Error> {
        need(actor, Permission::Action)?;
        if let Some(run) = self.0.tests.find(id) {
            // The sender lives as long as the run.
            _ = run.watch().wait_for(|it| it.end.is_some()).await;
            return Ok(run.picture());
        }
        loop {
            let run = self.find(id).await?;
            if run.test.end.is_some() {
                return Ok(run);
            }
            sleep(LOOKED_AT).await;
        }
    }

    /// Stops it; what has ended already stays as it is.
    pub async fn cancel(&self, actor: &Actor, id: RunId) -> Result<TestRun, Error> {
        need(actor, Permission::Action)?;
        if let Some(run) = self.0.tests.find(id) {
            run.cancelled.notify_one();
        } else if !self.0.store.cancel_test_run(id).await? {
            return Err(Error::NotFound);
        }
        self.find(id).await
    }

    /// Forgets the tests that are not shown any more.
    pub async fn forget(&self) -> Result<(), Error> {
        Ok(self.0.store.forget_test_runs(self.0.clock.now().minus(REMEMBERED)).await?)
    }

    /// What was kept of the account's tests, newest first.
    pub async fn list(&self, actor: &Actor, id: AccountId) -> Result<Vec<TestRecord>, Error> {
        need(actor, Permission::Action)?;
        self.load(id).await?;
        Ok(self.0.store.list_tests(id, KEPT).await?)
    }

    async fn find(&self, id: RunId) -> Result<TestRun, Error> {
        if let Some(run) = self.0.tests.find(id) {
            return Ok(run.picture());
        }
        let (found, now) = (self.0.store.find_test_run(id).await?, self.0.clock.now());
        let run = found.filter(|it| is_remembered(it, now)).ok_or(Error::NotFound)?;
        Ok(run.unless_lost(now))
    }

    async fn load(&self, id: AccountId) -> Result<Account, Error> {
        let found = self.0.store.find_account(id).await?;
        found.filter(|it| it.deleted_at.is_none()).ok_or(Error::NotFound)
    }

    /// A disabled account is never contacted.
    async fn enabled(&self, actor: &Actor, id: AccountId) -> Result<Account, Error> {
        need(actor, Permission::Action)?;
        let account = self.load(id).await?;
        if account.draft.enabled { Ok(account) } else { Err(Error::field("enabled", Rule::AccountDisabled)) }
    }

    fn count(&self, actor: &Actor, n_tests: usize) -> Result<OwnedSemaphorePermit, Error> {
        let n_tests = u32::try_from(n_tests).unwrap_or(u32::MAX);
        let started = self.0.tests.may_start(&actor.name, n_tests, self.0.clock.now());
        started.map_err(|retry_after_s| Error::TooManyAttempts { retry_after_s })
    }

    async fn audit(&self, actor: &Actor, subject: String, draft: &AccountDraft, is_granted: bool) -> Result<(), Error> {
        let now = self.0.clock.now();
        let after = picture(&draft.destination);
        let granted = is_granted.then(|| {
            let subject = format!("credential {} for a test of {subject}", draft.credential_id);
            let entry = entry(actor, now, AuditAction::CredentialGranted, subject);
            AuditEntry { after: after.clone(), ..entry }
        });
        let tested = AuditEntry { after: after.clone(), ..entry(actor, now, AuditAction::ConnectionTested, subject) };
        let entries: Vec<_> = std::iter::once(tested).chain(granted).collect();
        Ok(self.0.store.add_audit(&entries).await?)
    }

    async fn begin(&self, actor: &Actor, plan: Plan, place: OwnedSemaphorePermit) -> Result<RunId, Error> {
        let Plan { draft, account, form, depth, batch } = plan;
        let connector = match draft.destination.route {
            Route::Direct => None,
            Route::Connector(id) => self.0.store.find_connector(id).await?.map(|it| it.draft.name),
        };
        let test = ConnectionTest {
            connector,
            signs_in: depth == Depth::Mailbox,
            is_saved: form.is_none(),
            ..ConnectionTest::new(draft.protocol, draft.destination.clone())
        };
        let run = Arc::new(Run {
            id: TestRuns::fresh_id(),
            batch,
            account,
            started_at: self.0.clock.now(),
            form,
            log: Arc::new(TestLog::new(test)),
            cancelled: Notify::new(),
        });
        self.forget().await?;
        self.0.store.add_test_run(&run.picture()).await?;
        let here = self.0.tests.add(&run);
        let (parts, id, actor) = (Arc::clone(self.0), run.id, actor.name.clone());
        tokio::spawn(async move {
            let _until_it_ends = (place, here);
            parts.go(&run, &draft, depth, &actor).await;
        });
        Ok(id)
    }
}

fn is_remembered(run: &TestRun, now: Timestamp) -> bool {
    now.since(run.started_at) < REMEMBERED
}

fn saved(account: Account, depth: Depth, batch: RunId) -> Plan {
    Plan { draft: account.draft, account: Some(account.id), form: None, depth, batch }
}

impl Parts {
    /// Goes the way, compares, keeps the result, and only then says that it has ended.
    async fn go(&self, run: &Run, draft: &AccountDraft, depth: Depth, actor: &str) {
        let _ends = EndsAnyway(run);
        let probed = tokio::select! {
            probed = self.probe(run, draft, depth) => Some(probed),
            () = run.cancelled.notified() => None,
            () = self.tell(run) => None,
        };
        let end = match probed {
            Some(Ok(())) => TestEnd::Passed,
            Some(Err(failure)) => TestEnd::Failed(failure),
            None => TestEnd::Cancelled,
        };
        let mut test = run.log.so_far();
        (test.end, test.under_way) = (Some(end), None);
        if let Some(account) = run.account
            && let Err(error) = self.keep(account, run, &mut test, actor).await
        {
            tracing::error!(%error, "the result of a test could not be kept");
        }
        if let Err(error) = self.store.note_test_run(run.id, &test).await {
            tracing::error!(%error, "the other instances could not be told of the end of a test");
        }
        run.log.update(|it| *it = test);
    }

    /// Tells the other instances of every step; ends when one of them was told that somebody wants the test to end.
    async fn tell(&self, run: &Run) {
        let (mut updates, mut ticks) = (run.watch(), interval(LOOKED_AT));
        let mark = |it: &ConnectionTest| (it.steps.len(), it.under_way);
        let mut told = mark(&updates.borrow());
        loop {
            let is_time = tokio::select! {
                _ = updates.changed() => false,
                _ = ticks.tick() => true,
            };
            let test = updates.borrow_and_update().clone();
            let is_cancelled = if mark(&test) != told {
                told = mark(&test);
                self.store.note_test_run(run.id, &test).await
            } else if is_time {
                self.store.is_test_run_cancelled(run.id).await
            } else {
                continue;
            };
            // A store that fails changes nothing about the test.
            if matches!(is_cancelled, Ok(true)) {
                return;
            }
        }
    }

    async fn probe(&self, run: &Run, draft: &AccountDraft, depth: Depth) -> Result<(), TestFailure> {
        let went = tokio::time::timeout(DEADLINE, async {
            let visit = open_draft(&*self.store, &self.vault, &self.tokens, draft, depth).await?;
            let log = Arc::clone(&run.log) as Arc<dyn StageLog>;
            let probed = self.connections.probe_connection(&visit, depth, log).await;
            if let Some(connector) = draft.destination.route.connector_id() {
                record_contact(&*self.store, connector, self.clock.now(), probed.as_ref().err()).await;
            }
            match probed {
                Ok(()) if depth == Depth::Mailbox => {
                    note_accepted(&*self.store, draft.credential_id, self.clock.now()).await;
                    Ok(())
                }
                // The next visit would get another token: if there is none, that says who must act.
                Err(error) if visit.password.is_token() && error.kind == ErrorKind::Authentication => {
                    Err(self.tokens.instead_of(draft.credential_id, &visit.password).await.err().unwrap_or(error))
                }
                probed => probed,
            }
        });
        match went.await {
            Ok(probed) => probed.map_err(|it| run.log.failure(&it)),
            Err(_) => Err(TestFailure {
                step: run.log.so_far().under_way(),
                kind: ErrorKind::Timeout,
                message: format!("the test was not over within {} s", DEADLINE.as_secs()),
            }),
        }
    }

    /// Compares with the last good test of the same way, and keeps both the result and what is different.
    async fn keep(&self, account: AccountId, run: &Run, test: &mut ConnectionTest, actor: &str) -> Result<(), Error> {
        let connector = test.destination.route.connector_id();
        let last_good = self.store.last_good_test(account, connector, test.signs_in).await?;
        if let Some(last_good) = last_good {
            test.differences = compare(&last_good.test, test);
            test.compared_with = Some(last_good.at);
        }
        let new = NewTest { account, at: run.started_at, actor, test };
        self.store.add_test(&new).await?;
        Ok(())
    }
}
