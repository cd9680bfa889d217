//! Connections that are kept, so that the server can tell of new mail.

use std::time::Duration;

use collect::Settings;
use domain::{account::Protocol, check::Outcome, credential::CredentialDraft, page::PageRequest};
use service::{Checker as _, ports::Clock as _};
use tokio::time::timeout;

use crate::{
    faults::{At, Fault},
    world::{PATIENCE, Running, Subject, World, settings, small, until},
};

const LEASE: Duration = Duration::from_millis(300);

fn quick() -> Settings {
    Settings { lease_for: LEASE, ..settings() }
}

/// An account whose connection waits.
async fn waiting(world: &World) -> Subject {
    let subject = world.account(Protocol::Imap, |it| (it.push, it.automatic_check) = (true, true)).await;
    subject.deliver(&small(1));
    subject
}

async fn waits(subject: &Subject) {
    until("idle", async || subject.maildrop().is_idle).await;
}

async fn set_up(settings: Settings) -> (World, Subject, Running) {
    let world = World::new().await;
    let subject = waiting(&world).await;
    let running = world.run(settings);
    waits(&subject).await;
    (world, subject, running)
}

#[tokio::test]
async fn what_is_delivered_is_here_before_the_interval_is_over() {
    let (world, subject, running) = set_up(settings()).await;
    for n in 2..5 {
        waits(&subject).await;
        subject.deliver(&small(2));
        until("stored", async || world.n_stored(&subject).await == n).await;
    }
    assert_eq!(subject.maildrop().n_opened, 1, "over one connection");
    running.stop().await;
}

#[tokio::test]
async fn a_connection_that_waits_keeps_its_lease() {
    let (world, subject, running) = set_up(quick()).await;
    for _ in 0..4 {
        let n = running.instance.faults.n_times("extend_leases");
        world.clock.advance(LEASE / 2);
        until("prolonged", async || running.instance.faults.n_times("extend_leases") >= n + 2).await;
    }
    assert!(world.is_held(&subject).await);
    let taken = world.store.take_account(subject.id, "other", world.clock.now(), LEASE).await.unwrap();
    assert_eq!(taken, None);
    assert_eq!(subject.maildrop().n_opened, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_connection_that_waits_is_given_up_when_the_instance_stops() {
    let (world, subject, running) = set_up(settings()).await;
    running.stop().await;
    assert_eq!(subject.maildrop().n_connected(), 0);
    assert!(!world.is_held(&subject).await);
    assert!(
        world.health(&subject).await.next_check_at <= Some(world.clock.now()),
        "the next instance takes it at once"
    );
}

#[tokio::test]
async fn whoever_disables_an_account_ends_the_connection_that_waits() {
    let (world, subject, running) = set_up(settings()).await;
    world.change(&subject, |it| it.enabled = false).await;
    until("closed", async || subject.maildrop().n_connected() == 0 && !world.is_held(&subject).await).await;
    assert_eq!(world.health(&subject).await.next_check_at, None);
    // Enabled again, it waits again.
    world.change(&subject, |it| it.enabled = true).await;
    waits(&subject).await;
    // The same when it is deleted.
    let version = world.store.find_account(subject.id).await.unwrap().unwrap().version;
    world.store.remove_account(subject.id, version, world.clock.now(), &[]).await.unwrap();
    until("closed", async || subject.maildrop().n_connected() == 0 && !world.is_held(&subject).await).await;
    running.stop().await;
}

#[tokio::test]
async fn whoever_changes_the_credential_ends_the_connection_that_waits() {
    let (world, subject, running) = set_up(settings()).await;
    let credential = world.store.find_account(subject.id).await.unwrap().unwrap().draft.credential_id;
    let name = "another".to_owned();
    let draft = CredentialDraft { name, username: "bob".to_owned(), oauth: None, secret_ends_on: None };
    world.store.change_credential(credential, 1, &draft, None, &[]).await.unwrap();
    until("signed in again", async || subject.maildrop().n_opened == 2).await;
    waits(&subject).await;
    running.stop().await;
}

#[tokio::test]
async fn connections_that_wait_go_on_in_turn() {
    let world = World::ticking().await;
    let mut subjects = Vec::new();
    for _ in 0..6 {
        subjects.push(waiting(&world).await);
    }
    let running = world.run(Settings { at_once: 1, ..settings() });
    for subject in &subjects {
        waits(subject).await;
    }
    for subject in &subjects {
        subject.deliver(&small(2));
    }
    let mut runs = Vec::new();
    for subject in &subjects {
        until("stored", async || world.n_stored(subject).await == 2).await;
        waits(subject).await;
        let page = world.store.list_runs(subject.id, PageRequest::default()).await.unwrap();
        runs.extend(page.items.into_iter().map(|it| (it.started_at, it.finished_at.unwrap())));
    }
    runs.sort();
    assert!(runs.len() >= 2 * subjects.len() && runs.is_sorted_by(|it, next| it.1 <= next.0), "two at once: {runs:?}");
    running.stop().await;
}

#[tokio::test]
async fn an_account_whose_connection_does_not_last_is_polled() {
    let (world, subject, running) = set_up(settings()).await;
    subject.maildrop().break_idle();
    for n in 1..4 {
        until("given up", async || subject.maildrop().n_connected() == 0 && !world.is_held(&subject).await).await;
        let (now, next) = (world.clock.now(), world.health(&subject).await.next_check_at);
        assert!(next > Some(now), "{next:?} is no later than {now}: the server would be asked without a pause");
        assert_eq!(subject.maildrop().n_opened, n);
        world.clock.advance(Duration::from_mins(6));
        until("polled", async || subject.maildrop().n_opened == n + 1).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_check_that_is_asked_for_while_the_connection_waits_begins_at_once() {
    let (world, subject, running) = set_up(Settings { per_host: 1, ..settings() }).await;
    for _ in 0..5 {
        waits(&subject).await;
        let asked = running.instance.collector.start(subject.id, false);
        let ticket = timeout(PATIENCE, asked).await.expect("it begins").unwrap();
        let run = timeout(PATIENCE, ticket.finished()).await.expect("it ends");
        assert_eq!(run.outcome, Outcome::Ok);
    }
    assert_eq!(world.servers.violations(), Vec::<String>::new());
    running.stop().await;
}

#[tokio::test]
async fn a_check_that_another_instance_asks_for_ends_the_wait() {
    let (world, subject, running) = set_up(settings()).await;
    let other = world.instance(settings());
    let ticket = timeout(PATIENCE, other.collector.start(subject.id, false)).await.expect("it begins").unwrap();
    let run = timeout(PATIENCE, ticket.finished()).await.expect("it ends");
    assert_eq!(run.outcome, Outcome::Ok);
    running.stop().await;
}

#[tokio::test]
async fn a_panic_while_a_connection_waits_leaves_nothing_behind() {
    // The other one has its lease prolonged for as long as the instance lives.
    let (world, other, running) = set_up(Settings { idle_at_once: 2, ..quick() }).await;
    let subject = waiting(&world).await;
    waits(&subject).await;
    for n in 2..4 {
        running.instance.faults.plan(At::Step("server.told", 1), Fault::Panic);
        subject.deliver(&small(n));
        until("back", async || subject.maildrop().n_opened == n).await;
        waits(&subject).await;
    }
    assert_eq!(world.n_stored(&subject).await, 3);
    assert_eq!(other.maildrop().n_opened, 1);
    running.stop().await;
}
