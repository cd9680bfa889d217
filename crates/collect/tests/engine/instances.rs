//! Instances that share a store, and what becomes of leases when something fails.

use std::time::Duration;

use collect::Settings;
use domain::{
    account::{Address, Protocol, Route},
    agent::AgentDraft,
    check::{ErrorKind, Outcome},
    connector::{ConnectorDraft, ConnectorKind},
    ids::{AgentId, ConnectorId},
    incident::Role,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use service::{Checker as _, ports::Clock as _};
use tokio::time::{Instant, timeout};

use crate::{
    faults::{At, Fault},
    stored::{count, hash},
    world::{Agents, PATIENCE, Subject, World, settings, small, until},
};

#[tokio::test]
async fn an_instance_for_screens_leaves_the_check_to_a_worker() {
    let world = World::new().await;
    let subject = world.account(Protocol::Pop3, |_| ()).await;
    subject.deliver(&small(1));
    let web = world.run(Settings { role: Role::Web, ..settings() });
    let worker = world.run(Settings { role: Role::Worker, ..settings() });
    for n in [1, 0] {
        let ticket = web.instance.collector.start(subject.id, false);
        let ticket = timeout(PATIENCE, ticket).await.expect("it begins").unwrap();
        let run = timeout(PATIENCE, ticket.finished()).await.expect("it ends");
        assert_eq!((run.outcome, run.new_messages), (Outcome::Ok, n));
    }
    assert_eq!(web.instance.faults.n_times("server.open"), 0);
    assert_eq!(worker.instance.faults.n_times("server.open"), 2);
    web.stop().await;
    worker.stop().await;
}

/// A connector whose only agent is connected to the instance `there`.
async fn connector_of_there(world: &World) -> (ConnectorId, AgentId) {
    let (store, now) = (&world.store, world.clock.now());
    let draft = ConnectorDraft {
        name: "Plant".to_owned(),
        kind: ConnectorKind::Agent,
        address: Address::from_stored(String::new()),
        port: 0,
        credential_id: None,
    };
    let connector = store.add_connector(&draft, &[]).await.unwrap();
    store.add_agent_code(connector, "code", now.plus(Duration::from_mins(1)), now, &[]).await.unwrap();
    let draft =
        AgentDraft { name: "plant".to_owned(), fingerprint: "SHA256:1".to_owned(), program_version: "1".to_owned() };
    let agent = store.enroll_agent("code", &draft, now, &[]).await.unwrap();
    store.touch_tunnel(agent, "there", now, now).await.unwrap();
    (connector, agent)
}

#[tokio::test]
async fn what_only_another_instance_has_agents_for_is_left_to_that_one() {
    let world = World::new().await;
    let (connector, agent) = connector_of_there(&world).await;
    let subject = world
        .account(Protocol::Imap, |it| {
            it.automatic_check = true;
            it.destination.route = Route::Connector(connector);
        })
        .await;
    subject.deliver(&small(1));
    let here = world.run(settings());
    let there = world.run_with(settings(), Agents { instance: "there", of: Some(connector) });
    until("checked", async || world.n_stored(&subject).await == 1).await;
    until("given back", async || !world.is_held(&subject).await).await;
    // Whoever asks here has it checked there.
    subject.deliver(&small(2));
    let ticket = here.instance.collector.start(subject.id, false);
    let ticket = timeout(PATIENCE, ticket).await.expect("it begins").unwrap();
    let run = timeout(PATIENCE, ticket.finished()).await.expect("it ends");
    assert_eq!((run.outcome, run.new_messages), (Outcome::Ok, 1));
    assert_eq!(here.instance.faults.n_times("server.open"), 0);
    assert_eq!(there.instance.faults.n_times("server.open"), 2);
    // Without any agent it is anybody's again, and fails where people see it.
    there.stop().await;
    world.store.end_tunnel(agent, "there").await.unwrap();
    world.clock.advance(Duration::from_mins(10));
    until("taken over", async || here.instance.faults.n_times("server.open") == 1).await;
    here.stop().await;
}

#[tokio::test]
async fn while_the_store_is_in_trouble_nothing_is_begun() {
    let world = World::new().await;
    let first = world.account(Protocol::Imap, |it| it.automatic_check = true).await;
    first.deliver(&small(1));
    let running = world.run(settings());
    running.instance.faults.plan(At::Step("store_arrivals", 1), Fault::DiskFull);
    until("failed", async || world.health(&first).await.failure.is_some_and(|it| it.kind == ErrorKind::Storage)).await;
    let began = Instant::now();
    let second = world.account(Protocol::Imap, |it| it.automatic_check = true).await;
    until("begun", async || second.maildrop().n_opened == 1).await;
    assert!(began.elapsed() > Duration::from_secs(4), "{:?}", began.elapsed());
    // The first one comes again by itself.
    world.clock.advance(Duration::from_mins(1));
    until("stored", async || world.n_stored(&first).await == 1).await;
    running.stop().await;
}

/// People saw an account that was never checked again until the program was started anew.
#[tokio::test]
async fn no_failure_of_the_store_leaves_an_account_held_for_ever() {
    let world = World::new().await;
    // This one has its lease prolonged for as long as the instance lives.
    let other = world.account(Protocol::Imap, |it| (it.push, it.automatic_check) = (true, true)).await;
    let subject = world.account(Protocol::Imap, |it| it.automatic_check = true).await;
    let running = world.run(Settings { lease_for: Duration::from_millis(300), ..settings() });
    until("idle", async || other.maildrop().is_idle).await;
    until("checked", async || world.health(&subject).await.last_success_at.is_some()).await;
    let faults = [
        ("take_due", Fault::AnswerLost),
        ("find_account", Fault::Busy),
        ("start_run", Fault::Busy),
        ("start_run", Fault::AnswerLost),
        ("finish_run", Fault::DiskFull),
    ];
    for (n, (step, fault)) in (1..).zip(faults) {
        running.instance.faults.plan(At::Step(step, 1), fault);
        subject.deliver(&small(n));
        world.store.ask_check(subject.id, world.clock.now()).await.unwrap();
        until(step, async || running.instance.faults.has_fired()).await;
        until("checked again", async || {
            let is_stored = world.n_stored(&subject).await == n as usize;
            is_stored && !world.is_held(&subject).await
        })
        .await;
    }
    assert_eq!(other.maildrop().n_opened, 1);
    running.stop().await;
}

#[tokio::test]
async fn instances_that_are_killed_at_random_never_visit_an_account_at_once() {
    let world = World::ticking().await;
    let settings = || Settings { lease_for: Duration::from_secs(2), ..settings() };
    let mut subjects: Vec<Subject> = Vec::new();
    for n in 0..6 {
        let protocol = if n % 2 == 0 { Protocol::Imap } else { Protocol::Pop3 };
        subjects.push(world.account(protocol, |it| it.keep_copy = n < 2).await);
    }
    let mut rng = StdRng::seed_from_u64(1);
    let mut delivered = 0;
    let mut instances = [world.run(settings()), world.run(settings())];
    for n_kills in 0..4 {
        let victim = &instances[n_kills % 2].instance.faults;
        victim.plan(At::Nth(rng.random_range(5..80)), Fault::Hang);
        until("hung", async || {
            if victim.has_fired() {
                return true;
            }
            delivered += 1;
            for subject in &subjects {
                subject.deliver(&small(delivered));
                world.store.ask_check(subject.id, world.clock.now()).await.unwrap();
            }
            false
        })
        .await;
        std::mem::replace(&mut instances[n_kills % 2], world.run(settings())).kill();
    }
    let expected = count((1..=delivered).map(|n| hash(&small(n))));
    for subject in &subjects {
        world.store.ask_check(subject.id, world.clock.now()).await.unwrap();
        until("stored", async || world.stored(subject).await.len() == expected.len()).await;
        assert_eq!(world.stored(subject).await, expected);
    }
    for subject in &subjects[2..] {
        world.store.ask_check(subject.id, world.clock.now()).await.unwrap();
        until("empty", async || subject.maildrop().messages.is_empty()).await;
    }
    assert_eq!(world.servers.violations(), Vec::<String>::new());
    for instance in instances {
        instance.stop().await;
    }
}
