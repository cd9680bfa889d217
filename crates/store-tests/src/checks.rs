//! The schedule: who is due, who holds what, what a check leaves behind.

use std::{collections::HashSet, sync::Arc};

use domain::{
    account::{AccountDraft, Failure, Health, Route},
    audit::AuditAction,
    check::{CheckError, CheckRun, ErrorKind, Outcome, Stage, StageRecord},
    credential::CredentialDraft,
    ids::{AccountId, CheckRunId, ConnectorId},
    page::PageRequest,
};
use service::ports::{SealedSecret, StoreError, Way};

use crate::{
    Subject,
    samples::{LEASE, account, at, credential, draft, entry, finished, take},
};

/// Checks an account that nobody holds, with this result.
pub async fn check_once(store: &Subject, id: AccountId, health: Health) {
    let lease = take(store, id).await;
    let mut run = CheckRun {
        id: store.start_run(lease, at(0)).await.unwrap(),
        account_id: id,
        due_at: None,
        started_at: at(0),
        finished_at: Some(at(1)),
        outcome: Outcome::Ok,
        new_messages: 0,
        deleted_messages: 0,
        stages: Vec::new(),
        error: None,
        has_transcript: false,
    };
    if let Some(failure) = &health.failure {
        run.outcome = Outcome::Failed;
        run.error = Some(CheckError { kind: failure.kind, message: failure.message.clone() });
    }
    store.finish_run(lease, &finished(run, health)).await.unwrap();
}

async fn due(store: &Subject, seconds: i64, limit: u32) -> Vec<AccountId> {
    let leases = store.take_due("me", at(seconds), LEASE, limit, &[]).await.unwrap();
    leases.into_iter().map(|it| it.account_id).collect()
}

pub async fn due_accounts_are_taken_longest_due_first(store: Subject) {
    let credential = credential(&store, "c").await;
    let mut ids = Vec::new();
    for (n, seconds) in [30, 10, 20, 40, 99].into_iter().enumerate() {
        ids.push(store.add_account(&draft(&n.to_string(), credential), Some(at(seconds)), &[]).await.unwrap());
    }
    assert_eq!(due(&store, 50, 2).await, [ids[1], ids[2]]);
    assert_eq!(due(&store, 50, 0).await, []);
    assert_eq!(due(&store, 50, 9).await, [ids[0], ids[3]]);
    assert_eq!(due(&store, 50, 9).await, []);
}

pub async fn checks_are_asked_for_all_accounts_of_a_credential(store: Subject) {
    let (ours, theirs) = (credential(&store, "ours").await, credential(&store, "theirs").await);
    let mut ids = Vec::new();
    for n in 0..120 {
        let draft = AccountDraft { automatic_check: false, ..draft(&n.to_string(), ours) };
        ids.push(store.add_account(&draft, None, &[]).await.unwrap());
    }
    let off = AccountDraft { enabled: false, ..draft("off", ours) };
    store.add_account(&off, None, &[]).await.unwrap();
    store.add_account(&draft("other", theirs), None, &[]).await.unwrap();
    store.remove_account(ids.pop().unwrap(), 1, at(0), &[]).await.unwrap();
    let audit = [entry(AuditAction::CheckAsked, "ana", "all of them")];
    assert_eq!(store.ask_checks_with(ours, at(1), &audit).await.unwrap(), 119);
    let mut taken = due(&store, 1, 500).await;
    taken.sort_by_key(|it| it.0);
    assert_eq!(taken, ids);
}

pub async fn those_who_write_many_accounts_lock_nobody_out(store: Subject) {
    let credential = credential(&store, "c").await;
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(store.add_account(&draft(&n.to_string(), credential), Some(at(0)), &[]).await.unwrap());
    }
    let stopped = Failure {
        kind: ErrorKind::Authentication,
        message: "refused".to_owned(),
        since: at(1),
        n_failures: 1,
        is_stopped: true,
    };
    let checks = ids.chunks(15).map(|ids| {
        let (store, ids, stopped) = (Arc::clone(&store), ids.to_vec(), stopped.clone());
        tokio::spawn(async move {
            for id in ids.into_iter().rev() {
                for failure in [Some(stopped.clone()), None] {
                    let last_success_at = failure.is_none().then_some(at(1));
                    check_once(&store, id, Health { failure, last_success_at, ..Health::default() }).await;
                }
            }
        })
    });
    let checks: Vec<_> = checks.collect();
    let sweeps = async {
        while !checks.iter().all(tokio::task::JoinHandle::is_finished) {
            let sweeps = tokio::join!(
                store.extend_leases("taker", at(900)),
                store.ask_checks_with(credential, at(1), &[]),
                store.mark_late(at(9_000)),
            );
            sweeps.0.unwrap();
            sweeps.1.unwrap();
            sweeps.2.unwrap();
        }
    };
    sweeps.await;
    for check in checks {
        check.await.unwrap();
    }
}

pub async fn accounts_that_are_not_to_be_checked_are_not_taken(store: Subject) {
    let good = draft("good", credential(&store, "c").await);
    let removed = store.add_account(&good, Some(at(0)), &[]).await.unwrap();
    store.remove_account(removed, 1, at(0), &[]).await.unwrap();
    let drafts = [
        AccountDraft { name: "off".to_owned(), enabled: false, ..good.clone() },
        AccountDraft { name: "manual".to_owned(), automatic_check: false, ..good.clone() },
    ];
    for draft in &drafts {
        store.add_account(draft, Some(at(0)), &[]).await.unwrap();
    }
    store.add_account(&AccountDraft { name: "never".to_owned(), ..good.clone() }, None, &[]).await.unwrap();
    let stopped = store.add_account(&AccountDraft { name: "stopped".to_owned(), ..good.clone() }, None, &[]).await;
    let failure =
        Failure { kind: ErrorKind::Timeout, message: String::new(), since: at(0), n_failures: 1, is_stopped: true };
    let health = Health { next_check_at: Some(at(0)), failure: Some(failure), ..Health::default() };
    check_once(&store, stopped.unwrap(), health).await;
    assert_eq!(due(&store, 50, 9).await, []);
    assert_eq!(store.take_account(removed, "me", at(0), LEASE).await.unwrap(), None);
    let id = store.add_account(&good, Some(at(0)), &[]).await.unwrap();
    assert_eq!(due(&store, 50, 9).await, [id]);
}

pub async fn accounts_whose_way_is_busy_hold_nobody_up(store: Subject) {
    let credential = credential(&store, "c").await;
    let proxy = crate::samples::connector(&store, "proxy").await;
    let add = |name: &'static str, change: fn(&mut AccountDraft, ConnectorId)| {
        let mut draft = draft(name, credential);
        change(&mut draft, proxy);
        let store = Subject::clone(&store);
        async move { store.add_account(&draft, Some(at(0)), &[]).await.unwrap() }
    };
    let busy = add("busy", |_, _| {}).await;
    let other = add("other port", |it, _| it.destination.port = 143).await;
    let through = add("through", |it, proxy| it.destination.route = Route::Connector(proxy)).await;
    let take = |ways: Vec<Way>| {
        let store = Subject::clone(&store);
        async move {
            let leases = store.take_due("me", at(9), LEASE, 9, &ways).await.unwrap();
            leases.into_iter().map(|it| it.account_id).collect::<Vec<_>>()
        }
    };
    let direct = Way::Direct("mail.example.org".to_owned(), 993);
    assert_eq!(take(vec![direct, Way::Connector(proxy)]).await, [other]);
    assert_eq!(take(vec![Way::Connector(proxy)]).await, [busy]);
    assert_eq!(take(Vec::new()).await, [through]);
}

pub async fn two_takers_share_no_account(store: Subject) {
    let credential = credential(&store, "c").await;
    for n in 0..40 {
        store.add_account(&draft(&n.to_string(), credential), Some(at(n)), &[]).await.unwrap();
    }
    let mut takers = Vec::new();
    for taker in 0..4 {
        let store = Subject::clone(&store);
        takers.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            // Somebody else may hold what is left for a moment, so an empty answer is asked again a few times.
            for _ in 0..20 {
                taken.extend(store.take_due(&format!("taker {taker}"), at(99), LEASE, 3, &[]).await.unwrap());
            }
            taken
        }));
    }
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.unwrap());
    }
    let accounts: HashSet<_> = taken.iter().map(|it| it.account_id).collect();
    assert_eq!((taken.len(), accounts.len()), (40, 40));
}

pub async fn an_account_is_held_by_one_at_a_time(store: Subject) {
    let id = account(&store, "a").await;
    let take = |owner: &'static str| store.take_account(id, owner, at(0), LEASE);
    let (first, second) = tokio::join!(take("first"), take("second"));
    assert!(first.unwrap().is_some() != second.unwrap().is_some());
    assert_eq!(due(&store, 1, 9).await, []);
    assert!(store.is_held(id, at(1)).await.unwrap());
    assert!(!store.is_held(id, at(1).plus(LEASE)).await.unwrap());
    assert_eq!(store.take_account(AccountId(99), "me", at(0), LEASE).await.unwrap(), None);
}

pub async fn a_lease_that_ran_out_can_be_taken(store: Subject) {
    let id = account(&store, "a").await;
    let first = take(&store, id).await;
    let later = at(1).plus(LEASE);
    let taken = store.take_due("other", later, LEASE, 9, &[]).await.unwrap();
    assert_eq!(taken.iter().map(|it| it.account_id).collect::<Vec<_>>(), [id]);
    assert!(taken[0].fence > first.fence);
    assert!(matches!(store.extend_lease(first, later).await, Err(StoreError::Fenced)));
}

pub async fn a_lease_is_prolonged(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.extend_lease(lease, at(0).plus(LEASE * 3)).await.unwrap();
    assert_eq!(store.take_account(id, "other", at(0).plus(LEASE * 2), LEASE).await.unwrap(), None);
}

fn stage(stage: Stage, ok: bool) -> StageRecord {
    StageRecord { stage, ok, ms: 12, detail: "mail.example.org: \"é\" \0".to_owned() }
}

pub async fn a_run_is_recorded_as_it_goes(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    let run = store.start_run(lease, at(1)).await.unwrap();
    let begun = store.find_run(run).await.unwrap().unwrap();
    assert_eq!((begun.outcome, begun.started_at, begun.finished_at), (Outcome::Running, at(1), None));
    let stages = vec![stage(Stage::Resolve, true), stage(Stage::Tls, false)];
    store.record_stages(lease, run, &stages[..1]).await.unwrap();
    assert_eq!(store.find_run(run).await.unwrap().unwrap().stages, stages[..1]);
    let ended = CheckRun {
        finished_at: Some(at(2)),
        outcome: Outcome::Partial,
        new_messages: 3,
        deleted_messages: 1,
        stages,
        error: Some(CheckError { kind: ErrorKind::Certificate, message: "expired".to_owned() }),
        ..begun
    };
    let health = Health { last_success_at: Some(at(2)), next_check_at: Some(at(300)), failure: None, is_late: false };
    store.finish_run(lease, &finished(ended.clone(), health.clone())).await.unwrap();
    assert_eq!(store.find_run(run).await.unwrap().unwrap(), ended);
    assert_eq!(store.find_account(id).await.unwrap().unwrap().health, health);
    let second = store.start_run(take(&store, id).await, at(9)).await.unwrap();
    let page = store.list_runs(id, PageRequest::new(1, 1)).await.unwrap();
    assert_eq!((page.total, page.items[0].id), (2, second));
    assert_eq!(store.find_run(CheckRunId(99)).await.unwrap(), None);
}

pub async fn a_failure_is_kept_with_the_account(store: Subject) {
    let id = account(&store, "a").await;
    let failure = Failure {
        kind: ErrorKind::Authentication,
        message: "server said: \0no".to_owned(),
        since: at(-5),
        n_failures: 3,
        is_stopped: true,
    };
    let health = Health { last_success_at: Some(at(-9)), next_check_at: None, failure: Some(failure), is_late: false };
    check_once(&store, id, health.clone()).await;
    let found = store.find_account(id).await.unwrap().unwrap().health.failure.unwrap();
    let expected = Failure { message: "server said: \u{fffd}no".to_owned(), ..health.failure.unwrap() };
    assert_eq!(found, expected);
}

pub async fn a_run_that_nobody_ended_is_ended_by_the_next(store: Subject) {
    let id = account(&store, "a").await;
    let lost = store.start_run(take(&store, id).await, at(0)).await.unwrap();
    let later = at(1).plus(LEASE);
    let lease = store.take_account(id, "other", later, LEASE).await.unwrap().unwrap();
    let run = store.start_run(lease, later).await.unwrap();
    let ended = store.find_run(lost).await.unwrap().unwrap();
    assert_eq!((ended.outcome, ended.finished_at), (Outcome::Failed, Some(later)));
    assert_eq!(ended.error.unwrap().kind, ErrorKind::Internal);
    assert_eq!(store.find_run(run).await.unwrap().unwrap().outcome, Outcome::Running);
}

pub async fn a_check_of_an_account_disabled_meanwhile_ends_well(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    let begun = store.start_run(lease, at(0)).await.unwrap();
    let mut draft = store.find_account(id).await.unwrap().unwrap().draft;
    draft.enabled = false;
    store.change_account(id, 1, &draft, None, &[]).await.unwrap();
    let mut run = store.find_run(begun).await.unwrap().unwrap();
    run.outcome = Outcome::Ok;
    run.finished_at = Some(at(1));
    let health = Health { last_success_at: Some(at(1)), next_check_at: Some(at(300)), failure: None, is_late: false };
    store.finish_run(lease, &finished(run, health)).await.unwrap();
    let health = store.find_account(id).await.unwrap().unwrap().health;
    assert_eq!((health.last_success_at, health.next_check_at), (Some(at(1)), None));
    assert_eq!(due(&store, 999, 9).await, []);
}

pub async fn a_failure_of_what_was_changed_meanwhile_does_not_count(store: Subject) {
    let owner = credential(&store, "c").await;
    let id = store.add_account(&draft("a", owner), Some(at(0)), &[]).await.unwrap();
    let failure = Failure {
        kind: ErrorKind::Authentication,
        message: "the old password".to_owned(),
        since: at(1),
        n_failures: 1,
        is_stopped: true,
    };
    let failed = Health { last_success_at: None, next_check_at: None, failure: Some(failure), is_late: false };

    let lease = take(&store, id).await;
    let run = store.start_run(lease, at(0)).await.unwrap();
    let found = store.find_account(id).await.unwrap().unwrap();
    store.change_account(id, 1, &found.draft, Some(at(5)), &[]).await.unwrap();
    let run =
        CheckRun { finished_at: Some(at(1)), outcome: Outcome::Failed, ..store.find_run(run).await.unwrap().unwrap() };
    store.finish_run(lease, &finished(run, failed.clone())).await.unwrap();
    let health = store.find_account(id).await.unwrap().unwrap().health;
    assert_eq!((health.failure, health.next_check_at), (None, Some(at(5))));

    let lease = take(&store, id).await;
    let run = store.start_run(lease, at(6)).await.unwrap();
    let named = store.find_credential(owner).await.unwrap().unwrap();
    let change = CredentialDraft { name: named.name, username: named.username, oauth: None, secret_ends_on: None };
    store.change_credential(owner, named.version, &change, Some(&SealedSecret(vec![2])), &[]).await.unwrap();
    let run =
        CheckRun { finished_at: Some(at(7)), outcome: Outcome::Failed, ..store.find_run(run).await.unwrap().unwrap() };
    store.finish_run(lease, &finished(run, failed)).await.unwrap();
    let health = store.find_account(id).await.unwrap().unwrap().health;
    assert_eq!((health.failure, health.next_check_at), (None, Some(at(5))));
    assert_eq!(due(&store, 8, 9).await, [id]);
}

pub async fn a_lease_given_back_leaves_no_run(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.give_back(lease, Some(at(40))).await.unwrap();
    assert_eq!(store.list_runs(id, PageRequest::default()).await.unwrap().total, 0);
    assert_eq!(due(&store, 39, 9).await, []);
    assert_eq!(due(&store, 40, 9).await, [id]);
}

pub async fn the_next_due_time_counts_only_what_will_be_checked(store: Subject) {
    assert_eq!(store.next_due().await.unwrap(), None);
    let good = draft("good", credential(&store, "c").await);
    let off = AccountDraft { name: "off".to_owned(), enabled: false, ..good.clone() };
    store.add_account(&off, Some(at(1)), &[]).await.unwrap();
    let held = store.add_account(&AccountDraft { name: "held".to_owned(), ..good.clone() }, Some(at(2)), &[]).await;
    take(&store, held.unwrap()).await;
    assert_eq!(store.next_due().await.unwrap(), None);
    store.add_account(&good, Some(at(3)), &[]).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(at(3)));
}
