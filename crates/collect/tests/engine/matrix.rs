//! Every step of the recipe, broken in every way: what comes out is the same.

use std::time::Duration;

use domain::account::{Address, Protocol};

use crate::{
    faults::{At, Fault},
    stored::{count, hash},
    world::{Ended, Instance, Subject, World, large, settings, small},
};

/// To the engine a full disk is like a busy database, and a cut connection like one that is silent: with a copy kept it meets
/// the one, without it the other.
fn faults(step: &str, keep_copy: bool) -> Vec<Fault> {
    let either = |a, b| if keep_copy { a } else { b };
    if step.starts_with("server.") {
        vec![Fault::Hang, either(Fault::Cut, Fault::Timeout), Fault::No]
    } else {
        vec![Fault::Hang, Fault::HangAfter, either(Fault::DiskFull, Fault::Busy), Fault::AnswerLost]
    }
}

/// What the check that breaks finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// A mailbox that nobody has visited yet.
    Fresh,
    /// All is here, but under other names, and there is more.
    Renamed,
    /// The same after the account was given another host.
    Moved,
    /// All is here, and its time on the server is over.
    Due,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    protocol: Protocol,
    keep_copy: bool,
    scene: Scene,
    at: At,
    fault: Fault,
}

/// The steps that a check of this scene comes through, and how often.
fn steps(scene: Scene, protocol: Protocol, keep_copy: bool) -> Vec<(&'static str, u32)> {
    let mut steps = vec![
        ("find_account", 1),
        ("take_account", 1),
        ("start_run", 1),
        ("sealed_credential", 1),
        ("server.open", 1),
        ("server.opened", 1),
        ("work_left", 1),
        ("server.list", 1),
        ("known_remotes", 1),
        ("finish_run", 1),
    ];
    if scene != Scene::Due {
        steps.extend([("add_listed", 1), ("note_missing", 1), ("server.fetch", 4), ("server.part", 3)]);
        steps.extend([("server.fetched", 1), ("store_arrivals", 1), ("stage_part", 4), ("publish_staged", 1)]);
        steps.extend([("settle_missing", 1), ("work_left", 2)]);
    }
    if !keep_copy && matches!(scene, Scene::Fresh | Scene::Due) {
        steps.extend([("record_delete_asked", 1), ("server.delete", 3), ("server.deleted", 1), ("record_deleted", 1)]);
        if protocol == Protocol::Pop3 {
            steps.push(("server.quit", 1));
        }
    }
    steps
}

fn cases(scene: Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    for (protocol, keep_copy) in
        [(Protocol::Imap, true), (Protocol::Imap, false), (Protocol::Pop3, true), (Protocol::Pop3, false)]
    {
        // There is nothing to delete where copies are kept, and a move concerns names only.
        if (scene == Scene::Due && keep_copy) || (scene == Scene::Moved && !keep_copy) {
            continue;
        }
        for (step, n_times) in steps(scene, protocol, keep_copy) {
            let faults = faults(step, keep_copy);
            for (nth, fault) in (1..=n_times).flat_map(|nth| faults.iter().map(move |it| (nth, *it))) {
                cases.push(Case { protocol, keep_copy, scene, at: At::Step(step, nth), fault });
            }
        }
    }
    cases
}

async fn set_up(world: &World, case: Case) -> (Subject, Vec<Vec<u8>>) {
    let subject = world
        .account(case.protocol, |it| {
            it.keep_copy = case.keep_copy;
            it.hold_days = if case.scene == Scene::Fresh { 0 } else { 3 };
        })
        .await;
    // Two are equal, and one is large.
    let mut contents = vec![small(1), small(2), small(1), large(1)];
    for content in &contents {
        subject.deliver(content);
    }
    if case.scene == Scene::Fresh {
        return (subject, contents);
    }
    let before = world.instance(settings());
    assert_eq!(before.good_check(&subject).await.new_messages, 4, "{case:?}");
    if case.scene == Scene::Due {
        world.clock.advance(Duration::from_hours(80));
        return (subject, contents);
    }
    // Somebody else removes one before the names change.
    let removed = subject.maildrop().messages[1].id;
    subject.maildrop().remove(removed);
    if case.scene == Scene::Renamed {
        subject.maildrop().rename();
    } else {
        let host = format!("moved.{}", subject.host);
        world.servers.alias(&host, &subject.maildrop);
        world.change(&subject, |it| it.destination.address = Address::from_stored(host)).await;
    }
    let more = small(3);
    subject.deliver(&more);
    contents.push(more);
    (subject, contents)
}

async fn run(world: &World, case: Case) -> Result<(), String> {
    let (subject, mut contents) = set_up(world, case).await;
    let mut instance: Instance = world.instance(settings());
    instance.faults.plan(case.at, case.fault);
    let ended = instance.check(&subject).await;
    let fail = |what: String| Err(format!("{case:?}: {what}"));
    if !instance.faults.has_fired() {
        return fail(format!("the fault was never reached: {ended:?}"));
    }
    if matches!(ended, Ended::Hung) != case.fault.hangs() {
        return fail(format!("{ended:?}"));
    }
    if case.fault.hangs() {
        instance.faults.kill();
        instance = world.next_instance();
    }
    if matches!(case.scene, Scene::Renamed | Scene::Moved) {
        // Once it is settled that this one is gone, its like is another message.
        world.until_good(&instance, &subject).await;
        subject.deliver(&small(2));
        contents.push(small(2));
    }
    world.until_quiet(&instance, &subject).await;
    let expected = count(contents.iter().map(|it| hash(it)));
    let stored = world.stored(&subject).await;
    if stored != expected {
        return fail(format!("{:?} stored, {:?} delivered", stored.values(), expected.values()));
    }
    if case.keep_copy {
        // One had gone before.
        let n_removed = usize::from(matches!(case.scene, Scene::Renamed | Scene::Moved));
        let n_left = subject.maildrop().messages.len();
        return if n_left + n_removed == contents.len() { Ok(()) } else { fail(format!("{n_left} are left")) };
    }
    // What is held back is due at last.
    world.clock.advance(Duration::from_hours(100));
    world.until_quiet(&instance, &subject).await;
    if !subject.maildrop().messages.is_empty() {
        return fail("messages are left on the server".to_owned());
    }
    if world.stored(&subject).await != expected {
        return fail("another check stores more".to_owned());
    }
    Ok(())
}

async fn check_all(scene: Scene) {
    let world = World::new().await;
    let cases = cases(scene);
    let n_cases = cases.len();
    let mut failures = Vec::new();
    for case in cases {
        failures.extend(run(&world, case).await.err());
    }
    assert!(failures.is_empty(), "{} of {n_cases} cases:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(world.servers.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_first_check_may_break_anywhere_and_each_message_is_stored_once() {
    check_all(Scene::Fresh).await;
}

#[tokio::test]
async fn a_check_after_a_renaming_may_break_anywhere_and_nothing_is_doubled() {
    check_all(Scene::Renamed).await;
}

#[tokio::test]
async fn a_check_after_a_move_to_another_host_may_break_anywhere_and_nothing_is_doubled() {
    check_all(Scene::Moved).await;
}

#[tokio::test]
async fn a_deletion_may_break_anywhere_and_only_what_is_stored_leaves_the_server() {
    check_all(Scene::Due).await;
}
