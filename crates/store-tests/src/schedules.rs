//! Schedules and their runs: once each, under leases, with what became of every mail.

use domain::{
    account::AccountQuery,
    email::EmailAddress,
    ids::{ReportRunId, ScheduleId},
    page::PageRequest,
    schedule::{
        Delivery, DeliveryState, Format, MonthDay, Recurrence, ReportRun, RunOutcome, ScheduleDraft, TimeOfDay, Timing,
    },
    time::Timestamp,
};
use service::ports::{Attempt, MadeReport, Recipient, RunCause, RunLease, StoreError};

use crate::{
    Subject,
    samples::{LEASE, at},
};

const QUERY: &str = "status=enabled";

fn address(name: &str) -> EmailAddress {
    EmailAddress::from_stored(format!("{name}@example.org"))
}

fn draft(name: &str) -> ScheduleDraft {
    ScheduleDraft {
        name: name.to_owned(),
        query: AccountQuery::from_query_string("name=b%26c&status=enabled&sort=-port"),
        timing: Timing {
            recurrence: Recurrence::Monthly { day: MonthDay::Last },
            time: TimeOfDay { hour: 8, minute: 30 },
            zone: "Europe/Berlin".to_owned(),
        },
        formats: vec![Format::Csv, Format::Pdf],
        recipients: vec![address("ana"), address("bo")],
        language: "pt-BR".to_owned(),
        only_when_changed: true,
        enabled: true,
    }
}

fn made(recipients: &[&str]) -> MadeReport {
    MadeReport {
        n_rows: 7,
        n_changes: Some(2),
        detail: String::new(),
        files: vec![(Format::Csv, "a.csv".to_owned(), b"1,2\r\n".to_vec())],
        snapshot: b"[1]".to_vec(),
        recipients: recipients
            .iter()
            .map(|it| Recipient { address: address(it), message_id: format!("<{it}>") })
            .collect(),
    }
}

async fn schedule(store: &Subject, next: Option<Timestamp>) -> ScheduleId {
    store.add_schedule(&draft("Morning"), next, &[]).await.unwrap()
}

async fn asked(store: &Subject, id: ScheduleId, seconds: i64) -> ReportRunId {
    let cause = RunCause::Asked { by: "ana".to_owned() };
    store.begin_run(id, &cause, at(seconds), 50, &[]).await.unwrap().unwrap()
}

async fn take(store: &Subject, seconds: i64) -> Option<(RunLease, ReportRun)> {
    store.take_run("me", at(seconds), LEASE).await.unwrap()
}

/// A run that was made, with a mail for each recipient.
async fn ready(store: &Subject, id: ScheduleId, seconds: i64, recipients: &[&str]) -> (RunLease, Vec<Delivery>) {
    asked(store, id, seconds).await;
    let (lease, _) = take(store, seconds).await.unwrap();
    store.record_made(lease, QUERY, &made(recipients), at(seconds)).await.unwrap();
    (lease, run(store, lease).await.deliveries)
}

async fn run(store: &Subject, lease: RunLease) -> ReportRun {
    store.find_report_run(lease.run_id).await.unwrap().unwrap()
}

async fn end(store: &Subject, lease: RunLease, deliveries: &[Delivery], attempts: &[Attempt]) -> ReportRun {
    for (delivery, attempt) in deliveries.iter().zip(attempts) {
        store.record_sending(lease, delivery.id, at(1)).await.unwrap();
        store.record_attempt(lease, delivery.id, attempt, at(2)).await.unwrap();
    }
    store.give_back_run(lease, None, at(3)).await.unwrap();
    run(store, lease).await
}

fn sent() -> Attempt {
    Attempt::Sent("250 ok".to_owned())
}

pub async fn a_schedule_comes_back_as_it_was_added(store: Subject) {
    let id = schedule(&store, Some(at(60))).await;
    let found = store.find_schedule(id).await.unwrap().unwrap();
    assert_eq!((found.id, found.version, found.next_run_at, &found.draft), (id, 1, Some(at(60)), &draft("Morning")));
    let taken = store.add_schedule(&draft("MORNING"), None, &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    let changed = ScheduleDraft { enabled: false, ..draft("Evening") };
    assert_eq!(store.change_schedule(id, 1, &changed, None, &[]).await.unwrap(), 2);
    assert!(matches!(store.change_schedule(id, 1, &changed, None, &[]).await, Err(StoreError::Conflict)));
    let page = store.list_schedules("even", PageRequest::default()).await.unwrap();
    assert_eq!((page.total, &page.items[0].schedule.draft, &page.items[0].last_run), (1, &changed, &None));
    assert!(matches!(store.remove_schedule(id, 1, &[]).await, Err(StoreError::Conflict)));
}

pub async fn what_the_next_report_is_compared_with_outlives_runs_without_a_mail(store: Subject) {
    let id = schedule(&store, None).await;
    let (lease, deliveries) = ready(&store, id, 0, &["ana@example.org"]).await;
    end(&store, lease, &deliveries, &[sent()]).await;
    let cause = RunCause::Asked { by: "ana".to_owned() };
    for n in 1..=4 {
        store.begin_run(id, &cause, at(n), 2, &[]).await.unwrap().unwrap();
        let (silent, _) = take(&store, n).await.unwrap();
        store.record_made(silent, QUERY, &made(&[]), at(n)).await.unwrap();
    }
    assert!(store.last_snapshot(id, QUERY).await.unwrap().is_some());
    assert_eq!(
        store.list_report_runs(id, PageRequest::default()).await.unwrap().total,
        3,
        "the two newest and that one"
    );
}

pub async fn a_due_schedule_is_begun_once(store: Subject) {
    let id = schedule(&store, Some(at(60))).await;
    assert!(store.due_schedules(at(59), 10).await.unwrap().is_empty());
    assert_eq!(store.next_report_work().await.unwrap(), Some(at(60)));
    assert_eq!(store.due_schedules(at(60), 10).await.unwrap()[0].id, id);
    let cause = RunCause::Due { due_at: at(60), next: Some(at(120)) };
    let start = || store.begin_run(id, &cause, at(61), 50, &[]);
    let (one, two) = tokio::join!(start(), start());
    let begun: Vec<_> = [one.unwrap(), two.unwrap()].into_iter().flatten().collect();
    assert_eq!(begun.len(), 1);
    assert_eq!(store.find_schedule(id).await.unwrap().unwrap().next_run_at, Some(at(120)));
    let run = store.find_report_run(begun[0]).await.unwrap().unwrap();
    assert_eq!((run.due_at, run.asked_by, run.outcome), (at(60), None, RunOutcome::Running));
    // A paused or moved schedule is not begun by who saw it before.
    store.change_schedule(id, 1, &ScheduleDraft { enabled: false, ..draft("Morning") }, None, &[]).await.unwrap();
    let cause = RunCause::Due { due_at: at(120), next: None };
    assert_eq!(store.begin_run(id, &cause, at(121), 50, &[]).await.unwrap(), None);
}

pub async fn a_run_is_held_by_one_at_a_time(store: Subject) {
    let id = schedule(&store, None).await;
    let run = asked(&store, id, 0).await;
    assert!(take(&store, -1).await.is_none());
    let (first, taken) = take(&store, 0).await.unwrap();
    assert_eq!((first.run_id, taken.asked_by.as_deref()), (run, Some("ana")));
    assert!(take(&store, 1).await.is_none());
    assert_eq!(store.next_report_work().await.unwrap(), Some(at(0).plus(LEASE)));
    store.extend_run(first, at(5000)).await.unwrap();
    assert!(take(&store, 4999).await.is_none());
    assert!(take(&store, 5000).await.is_some());
}

pub async fn who_lost_the_lease_writes_nothing_and_what_was_sent_is_uncertain(store: Subject) {
    let id = schedule(&store, None).await;
    let (lease, deliveries) = ready(&store, id, 0, &["ana", "bo"]).await;
    store.record_sending(lease, deliveries[0].id, at(1)).await.unwrap();
    let (second, taken) = take(&store, 5000).await.unwrap();
    let states: Vec<_> = taken.deliveries.iter().map(|it| it.state).collect();
    assert_eq!(states, [DeliveryState::Uncertain, DeliveryState::Waiting]);
    let late = deliveries[0].id;
    assert!(matches!(store.extend_run(lease, at(1)).await, Err(StoreError::Fenced)));
    assert!(matches!(store.record_made(lease, QUERY, &made(&[]), at(1)).await, Err(StoreError::Fenced)));
    assert!(matches!(store.record_sending(lease, late, at(1)).await, Err(StoreError::Fenced)));
    assert!(matches!(store.record_attempt(lease, late, &sent(), at(1)).await, Err(StoreError::Fenced)));
    assert!(matches!(store.give_back_run(lease, None, at(1)).await, Err(StoreError::Fenced)));
    let ended = end(&store, second, &taken.deliveries[1..], &[sent()]).await;
    assert_eq!((ended.outcome, ended.finished_at), (RunOutcome::Partial, Some(at(3))));
    assert!(take(&store, 9000).await.is_none());
}

pub async fn a_run_waits_for_its_next_attempt(store: Subject) {
    let id = schedule(&store, None).await;
    let (lease, deliveries) = ready(&store, id, 0, &["ana", "bo"]).await;
    let later = Attempt::Later(at(100), "busy".to_owned());
    let waiting = end(&store, lease, &deliveries, &[sent(), later]).await;
    assert_eq!((waiting.outcome, waiting.finished_at), (RunOutcome::Running, None));
    assert_eq!((waiting.deliveries[1].n_attempts, waiting.deliveries[1].detail.as_str()), (1, "busy"));
    assert_eq!(store.next_report_work().await.unwrap(), Some(at(100)));
    assert!(take(&store, 99).await.is_none());
    let (lease, taken) = take(&store, 100).await.unwrap();
    let ended = end(&store, lease, &taken.deliveries[1..], &[sent()]).await;
    assert_eq!((ended.outcome, ended.deliveries[1].n_attempts), (RunOutcome::Sent, 2));
}

pub async fn a_run_that_cannot_be_made_fails_or_waits(store: Subject) {
    let id = schedule(&store, None).await;
    asked(&store, id, 0).await;
    let (lease, _) = take(&store, 0).await.unwrap();
    store.give_back_run(lease, Some(("no server", Some(at(60)))), at(1)).await.unwrap();
    let (lease, taken) = take(&store, 60).await.unwrap();
    assert_eq!((taken.outcome, taken.detail.as_str()), (RunOutcome::Running, "no server"));
    store.give_back_run(lease, Some(("too large", None)), at(61)).await.unwrap();
    let ended = run(&store, lease).await;
    assert_eq!(
        (ended.outcome, ended.finished_at, ended.detail.as_str()),
        (RunOutcome::Failed, Some(at(61)), "too large")
    );
    assert_eq!(store.next_report_work().await.unwrap(), None);
}

pub async fn only_what_failed_or_is_uncertain_is_repeated(store: Subject) {
    let id = schedule(&store, None).await;
    let (lease, deliveries) = ready(&store, id, 0, &["ana", "bo", "cy"]).await;
    let attempts = [sent(), Attempt::Failed("550".to_owned()), Attempt::Uncertain("cut".to_owned())];
    let ended = end(&store, lease, &deliveries, &attempts).await;
    assert_eq!(ended.outcome, RunOutcome::Partial);
    let repeat = |nth: usize| store.repeat_delivery(lease.run_id, deliveries[nth].id, at(10), &[]);
    assert!(matches!(repeat(0).await, Err(StoreError::Conflict)));
    assert_eq!(run(&store, lease).await.outcome, RunOutcome::Partial);
    repeat(1).await.unwrap();
    repeat(2).await.unwrap();
    assert!(matches!(repeat(2).await, Err(StoreError::Conflict)));
    let (lease, taken) = take(&store, 10).await.unwrap();
    assert_eq!((taken.deliveries[1].state, taken.deliveries[1].n_attempts), (DeliveryState::Waiting, 0));
    let ended = end(&store, lease, &taken.deliveries[1..], &[sent(), sent()]).await;
    assert_eq!(ended.outcome, RunOutcome::Sent);
    assert_eq!(ended.deliveries[1].message_id, "<bo>");
}

pub async fn a_report_is_compared_with_the_last_that_reached_somebody(store: Subject) {
    let id = schedule(&store, None).await;
    assert_eq!(store.last_snapshot(id, QUERY).await.unwrap(), None);
    let (lease, deliveries) = ready(&store, id, 0, &["ana"]).await;
    assert_eq!(store.last_snapshot(id, QUERY).await.unwrap(), None);
    end(&store, lease, &deliveries, &[sent()]).await;
    assert_eq!(store.last_snapshot(id, QUERY).await.unwrap(), Some(b"[1]".to_vec()));
    assert_eq!(store.last_snapshot(id, "name=x").await.unwrap(), None);
    // A run in which nothing had changed is over when that is known.
    let (lease, _) = ready(&store, id, 5, &[]).await;
    let ended = run(&store, lease).await;
    assert_eq!((ended.outcome, ended.finished_at), (RunOutcome::Unchanged, Some(at(5))));
    assert!(take(&store, 9000).await.is_none());
}

pub async fn old_runs_go_with_their_files(store: Subject) {
    let id = schedule(&store, None).await;
    let mut runs = Vec::new();
    for n in 0..3 {
        let (lease, deliveries) = ready(&store, id, n, &["ana"]).await;
        end(&store, lease, &deliveries, &[sent()]).await;
        runs.push(lease.run_id);
    }
    let file = store.report_file(runs[0], Format::Csv).await.unwrap();
    assert_eq!(file, Some(("a.csv".to_owned(), b"1,2\r\n".to_vec())));
    let cause = RunCause::Asked { by: "ana".to_owned() };
    let last = store.begin_run(id, &cause, at(9), 2, &[]).await.unwrap().unwrap();
    let page = store.list_report_runs(id, PageRequest::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|it| it.id).collect::<Vec<_>>(), [last, runs[2]]);
    assert_eq!((page.items[1].files[0].size, page.items[1].deliveries.len()), (5, 1));
    assert_eq!(store.report_file(runs[0], Format::Csv).await.unwrap(), None);
    let listed = store.list_schedules("", PageRequest::default()).await.unwrap();
    assert_eq!(listed.items[0].last_run.as_ref().map(|it| it.id), Some(last));
    store.remove_schedule(id, 1, &[]).await.unwrap();
    assert_eq!(store.find_report_run(last).await.unwrap(), None);
}
