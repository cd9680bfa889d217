//! Single checks: refusals, poison, deadlines, panics, and what is changed while they run.

use std::time::Duration;

use domain::{
    account::Protocol,
    check::{ErrorKind, Outcome, Stage},
    page::PageRequest,
};
use service::{
    Checker as _,
    ports::{Clock as _, MailError},
};

use crate::{
    faults::{At, Fault},
    world::{Ended, World, large, settings, small},
};

fn refusal(is_certain: bool) -> MailError {
    let error = MailError::new(ErrorKind::Authentication, Stage::Authenticate, "no");
    MailError { is_certain, ..error }
}

#[tokio::test]
async fn a_message_that_the_server_refuses_ends_in_quarantine_and_blocks_no_other() {
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        let world = World::new().await;
        let subject = world.account(protocol, |it| it.keep_copy = false).await;
        subject.deliver(&small(1));
        subject.deliver(&large(2));
        subject.maildrop().messages[0].n_refusals = u32::MAX;
        let instance = world.instance(settings());
        for n in 1..=5 {
            subject.deliver(&small(10 + n));
            let run = instance.bad_check(&subject).await;
            assert_eq!(run.error.unwrap().kind, ErrorKind::Mailbox);
            assert_eq!(world.n_stored(&subject).await, n as usize + 1);
            assert_eq!(subject.maildrop().messages.len(), 1, "the others are deleted");
            world.clock.advance(Duration::from_mins(3));
        }
        let trouble = world.store.list_trouble(subject.id, PageRequest::new(1, 9)).await.unwrap();
        assert_eq!((trouble.total, trouble.items[0].n_attempts, trouble.items[0].has_sample), (1, 5, true));
        subject.deliver(&small(20));
        assert_eq!(instance.good_check(&subject).await.new_messages, 1);
        // Mended, and asked for again.
        subject.maildrop().messages[0].n_refusals = 0;
        assert_eq!(instance.good_check(&subject).await.new_messages, 0);
        world.store.retry_trouble(subject.id, Some(trouble.items[0].id), &[]).await.unwrap();
        assert_eq!(instance.good_check(&subject).await.new_messages, 1);
        assert_eq!(subject.maildrop().messages.len(), 0);
        assert_eq!(world.servers.violations(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_credential_that_is_surely_wrong_stops_its_other_accounts_until_it_works() {
    let world = World::new().await;
    let credential = world.credential().await;
    let first = world.account_of(credential, Protocol::Imap, |it| it.automatic_check = true).await;
    let second = world.account_of(credential, Protocol::Imap, |it| it.automatic_check = true).await;
    let other = world.account(Protocol::Imap, |it| it.automatic_check = true).await;
    first.maildrop().refusal = Some(refusal(true));
    let instance = world.instance(settings());
    instance.bad_check(&first).await;
    assert!(world.health(&second).await.failure.is_some_and(|it| it.is_stopped));
    assert_eq!(world.health(&other).await.failure, None);
    first.maildrop().refusal = None;
    instance.good_check(&first).await;
    let health = world.health(&second).await;
    assert!(health.failure.is_none() && health.next_check_at == Some(world.clock.now()), "{health:?}");
}

#[tokio::test]
async fn an_uncoded_refusal_spares_the_other_accounts_of_the_credential() {
    let world = World::new().await;
    let credential = world.credential().await;
    let first = world.account_of(credential, Protocol::Imap, |it| it.automatic_check = true).await;
    let second = world.account_of(credential, Protocol::Imap, |it| it.automatic_check = true).await;
    first.maildrop().refusal = Some(refusal(false));
    let instance = world.instance(settings());
    instance.bad_check(&first).await;
    let (tried, spared) = (world.health(&first).await, world.health(&second).await);
    assert_eq!(spared.failure, None);
    assert!(spared.next_check_at > tried.next_check_at, "{spared:?}");
    assert!(tried.failure.is_some_and(|it| !it.is_stopped));
}

#[tokio::test]
async fn a_mailbox_that_says_that_nothing_is_new_is_not_listed() {
    let world = World::new().await;
    let instance = world.instance(settings());
    for (protocol, n_listed) in [(Protocol::Imap, 1), (Protocol::Pop3, 2)] {
        let subject = world.account(protocol, |_| ()).await;
        subject.deliver(&small(1));
        instance.good_check(&subject).await;
        instance.good_check(&subject).await;
        assert_eq!(subject.maildrop().n_listed, n_listed, "{protocol:?}: POP3 says too little");
        subject.deliver(&small(2));
        assert_eq!(instance.good_check(&subject).await.new_messages, 1);
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_at_the_deadline() {
    let world = World::new().await;
    let subject = world.account(Protocol::Imap, |_| ()).await;
    subject.deliver(&small(1));
    let instance = world.instance(collect::Settings { deadline: Duration::from_millis(300), ..settings() });
    instance.faults.plan(At::Step("server.fetch", 1), Fault::Hang);
    let ticket = instance.collector.start(subject.id, false).await.unwrap();
    let run = ticket.finished().await;
    assert_eq!((run.outcome, run.error.unwrap().kind), (Outcome::Failed, ErrorKind::Timeout));
    assert_eq!(subject.maildrop().n_connected(), 0);
    assert!(!world.is_held(&subject).await);
    let instance = world.instance(settings());
    assert_eq!(instance.good_check(&subject).await.new_messages, 1);
}

#[tokio::test]
async fn a_panic_in_a_mailbox_ends_only_its_own_check() {
    let world = World::new().await;
    let subjects = [world.account(Protocol::Imap, |_| ()).await, world.account(Protocol::Imap, |_| ()).await];
    for subject in &subjects {
        subject.deliver(&small(1));
    }
    let instance = world.instance(settings());
    for step in ["server.open", "server.list", "server.fetch"] {
        instance.faults.plan(At::Step(step, 1), Fault::Panic);
        let run = instance.bad_check(&subjects[0]).await;
        assert_eq!(run.error.unwrap().kind, ErrorKind::Internal, "{step}");
        instance.good_check(&subjects[1]).await;
    }
    assert_eq!(instance.good_check(&subjects[0]).await.new_messages, 1);
}

#[tokio::test]
async fn a_message_that_the_reader_panics_at_is_stored_as_it_is_and_blocks_no_other() {
    let world = World::new().await;
    let subject = world.account(Protocol::Imap, |_| ()).await;
    let poison = |filler: &str| format!("Subject: x\r\nX-Reader: panic\r\n\r\n{filler}\r\n").into_bytes();
    subject.deliver(&small(1));
    subject.deliver(&poison("small"));
    subject.deliver(&poison(&"large".repeat(60)));
    subject.deliver(&small(2));
    let instance = world.instance(settings());
    assert_eq!(instance.good_check(&subject).await.new_messages, 4);
    assert_eq!(world.n_stored(&subject).await, 4);
}

#[tokio::test]
async fn whoever_turns_keep_copy_on_during_a_check_keeps_what_it_found() {
    for (protocol, step) in [
        (Protocol::Imap, "server.open"),
        (Protocol::Imap, "store_arrivals"),
        (Protocol::Pop3, "store_arrivals"),
        (Protocol::Pop3, "server.list"),
    ] {
        let world = World::new().await;
        let subject = world.account(protocol, |it| it.keep_copy = false).await;
        subject.deliver(&small(1));
        let instance = world.instance(settings());
        instance.faults.plan(At::Step(step, 1), Fault::Pause);
        let ticket = instance.collector.start(subject.id, false).await.unwrap();
        instance.faults.hung.notified().await;
        world.change(&subject, |it| it.keep_copy = true).await;
        instance.faults.resumed.notify_one();
        assert_eq!(ticket.finished().await.new_messages, 1);
        assert_eq!(world.servers.violations(), Vec::<String>::new(), "{step}");
        assert_eq!(subject.maildrop().messages.len(), 1, "{step}");
    }
}

#[tokio::test]
async fn two_that_ask_at_once_get_one_check_or_one_after_the_other() {
    let world = World::new().await;
    let subject = world.account(Protocol::Imap, |_| ()).await;
    subject.deliver(&small(1));
    let instance = world.instance(settings());
    let (a, b) = tokio::join!(instance.check(&subject), instance.check(&subject));
    let (Ended::Run(a), Ended::Run(b)) = (a, b) else { panic!("both end") };
    assert_eq!((a.outcome, b.outcome), (Outcome::Ok, Outcome::Ok));
    assert_eq!(world.n_stored(&subject).await, 1);
    assert_eq!(world.servers.violations(), Vec::<String>::new());
}
