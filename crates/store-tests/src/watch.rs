//! The watch: who is late, what ails many at once, who shares a credential, which instances live, who was told.

use domain::{
    account::{AccountFilter, AccountQuery, Failure, Health, HealthState},
    check::{CheckRun, ErrorKind, Outcome},
    ids::{AccountId, CredentialId},
    incident::{Cause, Role, Subject as CauseSubject, causes},
};
use service::ports::{Finished, Tally};

use crate::{
    Subject,
    samples::{account, at, connector, credential, draft, finished, take},
};

fn failure(kind: ErrorKind, is_stopped: bool) -> Failure {
    Failure { kind, message: "the server says: no\0".to_owned(), since: at(3), n_failures: 1, is_stopped }
}

/// Checks an account; the change says how it ended.
async fn check(store: &Subject, id: AccountId, change: impl FnOnce(&mut Finished)) {
    let lease = take(store, id).await;
    let begun = store.start_run(lease, at(5)).await.unwrap();
    let begun = store.find_run(begun).await.unwrap().unwrap();
    let run = CheckRun { outcome: Outcome::Ok, finished_at: Some(at(6)), ..begun };
    let mut end = finished(run, Health { next_check_at: Some(at(300)), ..Health::default() });
    change(&mut end);
    store.finish_run(lease, &end).await.unwrap();
}

async fn health(store: &Subject, id: AccountId) -> Health {
    store.find_account(id).await.unwrap().unwrap().health
}

async fn members(store: &Subject, credential: CredentialId, names: [&str; 3]) -> [AccountId; 3] {
    let mut ids = [AccountId(0); 3];
    for (id, name) in ids.iter_mut().zip(names) {
        *id = store.add_account(&draft(name, credential), Some(at(0)), &[]).await.unwrap();
    }
    ids
}

pub async fn silence_makes_an_account_late_and_a_success_ends_that(store: Subject) {
    let id = account(&store, "a").await;
    // Due at 0, every 300 s: two intervals and a minute later.
    assert_eq!(store.mark_late(at(659)).await.unwrap(), 0);
    assert_eq!(store.mark_late(at(660)).await.unwrap(), 1);
    assert_eq!(store.mark_late(at(999)).await.unwrap(), 0, "once");
    assert_eq!(health(&store, id).await.state(), HealthState::Late);
    let late = AccountQuery {
        filter: AccountFilter { health: Some(HealthState::Late), ..AccountFilter::default() },
        ..AccountQuery::default()
    };
    assert_eq!(store.list_accounts(&late).await.unwrap().total, 1);
    check(&store, id, |it| it.health.failure = Some(failure(ErrorKind::Timeout, false))).await;
    let failing = health(&store, id).await;
    assert!(failing.is_late && failing.state() == HealthState::Failing);
    assert_eq!(store.list_accounts(&late).await.unwrap().total, 1, "failing and late");
    check(&store, id, |it| (it.late_at, it.health.last_success_at) = (Some(at(2_000)), Some(at(6)))).await;
    assert_eq!(health(&store, id).await.state(), HealthState::Good);
    assert_eq!(store.mark_late(at(1_999)).await.unwrap(), 0);
    assert_eq!(store.mark_late(at(2_000)).await.unwrap(), 1);
}

pub async fn a_disabled_account_is_never_late(store: Subject) {
    let mut off = draft("off", credential(&store, "c").await);
    off.enabled = false;
    store.add_account(&off, None, &[]).await.unwrap();
    assert_eq!(store.mark_late(at(1_000_000)).await.unwrap(), 0);
}

pub async fn a_refused_credential_stops_every_account_that_uses_it(store: Subject) {
    let shared = credential(&store, "shared").await;
    let [a, b, c] = members(&store, shared, ["a", "b", "c"]).await;
    let other = account(&store, "other").await;
    check(&store, a, |it| {
        it.health = Health { failure: Some(failure(ErrorKind::Authentication, true)), ..Health::default() };
    })
    .await;
    for id in [a, b, c] {
        let found = health(&store, id).await;
        assert_eq!((found.state(), found.next_check_at), (HealthState::Stopped, None), "{id}");
    }
    assert_eq!(health(&store, other).await.failure, None);
    // One that is asked for and succeeds ends the others' stop, but not that of the one that was refused itself.
    check(&store, b, |it| (it.late_at, it.health.last_success_at) = (Some(at(999)), Some(at(6)))).await;
    let freed = health(&store, c).await;
    assert_eq!((freed.failure, freed.next_check_at), (None, Some(at(6))));
    assert_eq!(health(&store, a).await.state(), HealthState::Stopped);
}

pub async fn a_doubtful_refusal_spares_the_siblings(store: Subject) {
    let shared = credential(&store, "shared").await;
    let [a, b, c] = members(&store, shared, ["a", "b", "c"]).await;
    check(&store, a, |it| {
        it.health.failure = Some(failure(ErrorKind::Authentication, false));
        it.spare_siblings_until = Some(at(400));
    })
    .await;
    for id in [b, c] {
        let found = health(&store, id).await;
        assert_eq!((found.failure, found.next_check_at), (None, Some(at(400))));
    }
    assert_eq!(health(&store, a).await.next_check_at, Some(at(300)));
}

pub async fn what_ails_many_is_one_cause(store: Subject) {
    let (first, second) = (credential(&store, "first").await, credential(&store, "second").await);
    let proxy = connector(&store, "proxy").await;
    let [a, b, c] = members(&store, first, ["a", "b", "c"]).await;
    let [d, refused, silent] = members(&store, second, ["d", "e", "f"]).await;
    let mut through = draft("g", second);
    through.destination.route = domain::account::Route::Connector(proxy);
    let proxied = store.add_account(&through, Some(at(0)), &[]).await.unwrap();
    for id in [a, b, d] {
        check(&store, id, |it| it.health.failure = Some(failure(ErrorKind::Refused, false))).await;
    }
    check(&store, proxied, |it| it.health.failure = Some(failure(ErrorKind::Connector, false))).await;
    check(&store, refused, |it| it.health.failure = Some(failure(ErrorKind::Authentication, false))).await;
    assert_eq!(store.mark_late(at(660)).await.unwrap(), 7);
    let found = causes(store.ailing().await.unwrap());
    let summary: Vec<_> = found.iter().map(|it| (it.kind, it.subject.clone(), it.n_accounts, it.n_late)).collect();
    let host = CauseSubject::Host("mail.example.org".to_owned());
    assert!(summary.contains(&(Some(ErrorKind::Refused), host, 3, 3)), "{summary:?}");
    let connector = CauseSubject::Connector(proxy, "proxy".to_owned());
    assert!(summary.contains(&(Some(ErrorKind::Connector), connector, 1, 1)), "{summary:?}");
    let credential = CauseSubject::Credential(second, "second".to_owned());
    assert!(summary.contains(&(Some(ErrorKind::Authentication), credential, 1, 1)), "{summary:?}");
    assert!(summary.contains(&(None, CauseSubject::Posthorn, 2, 2)), "{c} and {silent} are silent: {summary:?}");
    let tally = store.tally(at(700)).await.unwrap();
    assert_eq!((tally.n_automatic, tally.n_late, tally.n_failing, tally.n_stopped), (7, 7, 5, 0));
    assert_eq!(tally.n_due, 7, "{tally:?}");
}

pub async fn what_runs_is_listed(store: Subject) {
    let id = account(&store, "a").await;
    store.start_run(take(&store, id).await, at(5)).await.unwrap();
    let running = store.list_running(9).await.unwrap();
    assert_eq!(running.len(), 1);
    assert_eq!((running[0].account_id, running[0].account_name.as_str(), running[0].started_at), (id, "a", at(5)));
    let tally = store.tally(at(0)).await.unwrap();
    assert_eq!(tally, Tally { n_automatic: 1, n_running: 1, ..Tally::default() });
}

pub async fn instances_come_and_go(store: Subject) {
    let touch =
        |id: &'static str, role, seconds| store.touch_instance(id, role, "mx1", "", at(seconds), at(seconds - 60));
    touch("one", Role::All, 0).await.unwrap();
    touch("two", Role::Worker, 10).await.unwrap();
    touch("one", Role::All, 50).await.unwrap();
    let listed = store.list_instances().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|it| (it.id.as_str(), it.role, it.started_at, it.seen_at)).collect();
    assert_eq!(listed, [("one", Role::All, at(0), at(50)), ("two", Role::Worker, at(10), at(10))]);
    touch("one", Role::All, 75).await.unwrap();
    assert_eq!(store.list_instances().await.unwrap().len(), 1, "one that is silent for long is forgotten");
    store.remove_instance("one").await.unwrap();
    assert_eq!(store.list_instances().await.unwrap(), []);
}

fn cause(host: &str, n_accounts: u64) -> Cause {
    Cause {
        kind: Some(ErrorKind::Refused),
        subject: CauseSubject::Host(host.to_owned()),
        n_accounts,
        n_late: 0,
        n_stopped: 0,
        since: at(0),
        example: AccountId(1),
        example_name: "a".to_owned(),
        message: "\0".to_owned(),
    }
}

pub async fn a_cause_is_told_once_and_once_when_it_is_over(store: Subject) {
    store.update_incidents(&[cause("a", 1), cause("b", 1)], at(0)).await.unwrap();
    store.update_incidents(&[cause("a", 287)], at(10)).await.unwrap();
    let listed = store.list_incidents(9).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!((listed[0].cause.n_accounts, listed[0].opened_at, listed[0].over_at), (287, at(0), None));
    assert_eq!((listed[1].cause.subject.name(), listed[1].over_at), ("b", Some(at(10))));
    assert_eq!(store.take_untold(at(-1), at(20)).await.unwrap(), None, "not old enough");
    let told = store.take_untold(at(0), at(20)).await.unwrap().unwrap();
    assert_eq!((told.cause.subject.name(), told.over_at), ("a", None), "what passed untold is not told");
    assert_eq!(store.take_untold(at(0), at(20)).await.unwrap(), None, "once");
    store.record_told(told.id, "sent\0").await.unwrap();
    store.update_incidents(&[], at(30)).await.unwrap();
    let over = store.take_untold(at(0), at(40)).await.unwrap().unwrap();
    assert_eq!((over.id, over.over_at, over.detail.as_str()), (told.id, Some(at(30)), "sent\u{fffd}"));
    assert_eq!(store.take_untold(at(0), at(40)).await.unwrap(), None);
    store.update_incidents(&[cause("a", 1)], at(50)).await.unwrap();
    assert_eq!(store.list_incidents(9).await.unwrap().len(), 3, "the same again is another incident");
}

pub async fn whoever_asks_for_a_check_gets_it_from_a_worker(store: Subject) {
    let mut manual = draft("manual", credential(&store, "c").await);
    manual.automatic_check = false;
    let id = store.add_account(&manual, None, &[]).await.unwrap();
    assert_eq!(store.take_due("worker", at(0), crate::samples::LEASE, 9, &[]).await.unwrap(), []);
    store.ask_check(id, at(0)).await.unwrap();
    let leases = store.take_due("worker", at(0), crate::samples::LEASE, 9, &[]).await.unwrap();
    assert_eq!((leases.len(), leases[0].account_id, leases[0].due_at), (1, id, None));
    assert_eq!(store.asked_of("worker").await.unwrap(), [id]);
    let run = store.start_run(leases[0], at(1)).await.unwrap();
    assert_eq!(store.asked_of("worker").await.unwrap(), []);
    assert_eq!(store.find_run(run).await.unwrap().unwrap().due_at, None);
    store.give_back(leases[0], None).await.unwrap();
    assert_eq!(store.take_due("worker", at(2), crate::samples::LEASE, 9, &[]).await.unwrap(), [], "once");
    assert!(store.ask_check(AccountId(99), at(0)).await.is_err());
}

pub async fn all_leases_of_an_instance_are_prolonged_at_once(store: Subject) {
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let lease = take(&store, a).await;
    let other = store.take_account(b, "other", at(0), crate::samples::LEASE).await.unwrap().unwrap();
    let later = at(0).plus(crate::samples::LEASE * 3);
    assert_eq!(store.extend_leases("taker", later).await.unwrap(), [(a, lease.fence)]);
    let held = at(0).plus(crate::samples::LEASE * 2);
    assert_eq!(store.take_account(a, "third", held, crate::samples::LEASE).await.unwrap(), None);
    let taken = store.take_account(b, "third", held, crate::samples::LEASE).await.unwrap().unwrap();
    assert!(taken.fence > other.fence);
    assert_eq!(store.extend_leases("other", later).await.unwrap(), []);
}

pub async fn a_transcript_goes_with_its_run_and_a_receipt_stays(store: Subject) {
    let id = account(&store, "a").await;
    check(&store, id, |it| it.transcript = Some("C: a NOOP\n\0".to_owned())).await;
    let runs = store.list_runs(id, domain::page::PageRequest::default()).await.unwrap().items;
    assert!(runs[0].has_transcript);
    assert_eq!(store.run_transcript(runs[0].id).await.unwrap().as_deref(), Some("C: a NOOP\n\u{fffd}"));
    assert_eq!(store.purge_runs(at(6), 9).await.unwrap(), 0);
    assert_eq!(store.purge_runs(at(7), 9).await.unwrap(), 1);
    assert_eq!(store.run_transcript(runs[0].id).await.unwrap(), None);
}

pub async fn a_setting_is_replaced(store: Subject) {
    for value in ["one", "two"] {
        store.set_setting("notices", value, &[]).await.unwrap();
        assert_eq!(store.setting("notices").await.unwrap().as_deref(), Some(value));
    }
}
