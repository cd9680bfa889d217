//! The ledger and the messages: each message once, nothing lost, nothing written without the lease.

use domain::{
    account::Health,
    actor::Role,
    audit::{AuditAction, AuditQuery},
    check::{CheckRun, Outcome},
    ids::{AccountId, CheckRunId, MessageId},
    message::MessageQuery,
    page::PageRequest,
};
use service::ports::{Finished, KnownRemote, RemoteKey, RemoteState, StoreError, Verdict};

use crate::{
    Subject,
    samples::{LEASE, account, arrival, at, entry, listed, message, take, uid},
};

async fn states(store: &Subject, id: AccountId) -> Vec<(RemoteKey, RemoteState)> {
    store.known_remotes(id).await.unwrap().into_iter().map(|it| (it.key, it.state)).collect()
}

pub async fn listing_twice_changes_nothing(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[], at(0)).await.unwrap();
    store.add_listed(lease, &[listed(uid(9)), listed(uid(2))], at(0)).await.unwrap();
    store.store_arrivals(lease, vec![arrival(uid(2), "x")], true, at(0)).await.unwrap();
    store.add_listed(lease, &[listed(uid(2)), listed(uid(5)), listed(uid(5)), listed(uid(9))], at(1)).await.unwrap();
    let expected = [(9, RemoteState::Listed, false), (2, RemoteState::Stored, true), (5, RemoteState::Listed, false)]
        .map(|(n, state, is_delete_wanted)| KnownRemote { key: uid(n), state, n_attempts: 0, is_delete_wanted });
    assert_eq!(store.known_remotes(id).await.unwrap(), expected);
}

pub async fn arrivals_are_stored_once(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[listed(uid(1)), listed(uid(2))], at(0)).await.unwrap();
    let first = vec![arrival(uid(1), "one")];
    assert_eq!(store.store_arrivals(lease, first, true, at(1)).await.unwrap(), 1);
    let again = vec![arrival(uid(1), "one"), arrival(uid(2), "two"), arrival(uid(2), "two")];
    assert_eq!(store.store_arrivals(lease, again, false, at(2)).await.unwrap(), 1);
    let page = store.list_messages(id, None, &MessageQuery::default()).await.unwrap();
    assert_eq!(page.total, 2);
    let row = &page.items[1];
    assert_eq!((row.account_id, row.subject.as_str(), row.from.as_str()), (id, "one", "Zoë <zoe@example.org>"));
    assert_eq!((row.date, row.received_at, row.n_attachments, row.seen), (Some(at(-60)), at(1), 2, false));
    let raw = store.raw_message(row.id).await.unwrap().unwrap();
    assert_eq!(raw, arrival(uid(1), "one").raw);
    assert_eq!(row.size, raw.len() as u64);
    let known = store.known_remotes(id).await.unwrap();
    assert_eq!(known.iter().map(|it| it.is_delete_wanted).collect::<Vec<_>>(), [true, false]);
    // Even after it was deleted from the server, a message that turns up again is the same message.
    store.record_deleted(lease, &[uid(1)], at(3)).await.unwrap();
    assert_eq!(store.store_arrivals(lease, vec![arrival(uid(1), "one")], false, at(4)).await.unwrap(), 0);
    assert_eq!(store.find_message(row.id, None).await.unwrap().unwrap(), *row);
    assert_eq!(store.find_message(MessageId(99), None).await.unwrap(), None);
    assert_eq!(store.raw_message(MessageId(99)).await.unwrap(), None);
}

pub async fn both_kinds_of_keys_are_kept_apart(store: Subject) {
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let keys = [
        uid(u32::MAX),
        RemoteKey::Uid { uid_validity: u32::MAX, uid: u32::MAX },
        RemoteKey::Uidl("x".to_owned()),
        RemoteKey::Uidl("X".to_owned()),
    ];
    for id in [a, b] {
        let lease = take(&store, id).await;
        for key in &keys {
            message(&store, lease, key.clone(), "same", 0).await;
        }
        assert_eq!(states(&store, id).await, keys.clone().map(|key| (key, RemoteState::Stored)));
    }
}

pub async fn hostile_text_does_not_stop_a_batch(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[listed(uid(1)), listed(uid(2))], at(0)).await.unwrap();
    let mut hostile = arrival(uid(1), "nul\0 and '); DROP TABLE messages; --");
    "\0".clone_into(&mut hostile.index.from);
    hostile.index.message_id = "\0".repeat(3);
    hostile.index.date = None;
    hostile.raw = (0..=255).cycle().take(100_000).collect();
    let raw = hostile.raw.clone();
    let empty = domain::message::MessageIndex::default();
    let bare = service::ports::Arrival { key: uid(2), raw: Vec::new(), index: empty };
    assert_eq!(store.store_arrivals(lease, vec![hostile, bare], false, at(0)).await.unwrap(), 2);
    let page = store.list_messages(id, None, &MessageQuery::default()).await.unwrap();
    assert_eq!(page.items[1].subject, "nul\u{fffd} and '); DROP TABLE messages; --");
    assert_eq!(store.raw_message(page.items[1].id).await.unwrap().unwrap(), raw);
    assert_eq!(store.raw_message(page.items[0].id).await.unwrap().unwrap(), Vec::<u8>::new());
    let search = MessageQuery { search: "nul\0".to_owned(), ..MessageQuery::default() };
    assert_eq!(store.list_messages(id, None, &search).await.unwrap().total, 1);
}

pub async fn failures_end_in_quarantine(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[listed(uid(1))], at(0)).await.unwrap();
    let failed = Verdict::Failed { reason: "bad\0 line".to_owned(), quarantine_after: 2 };
    for (n, state) in [(1, RemoteState::Listed), (2, RemoteState::Quarantined)] {
        store.record_verdict(lease, &uid(1), &failed).await.unwrap();
        let known = store.known_remotes(id).await.unwrap();
        assert_eq!((known[0].n_attempts, known[0].state), (n, state));
    }
    // What cannot be found is no error: the row went with its account's mailbox.
    store.record_verdict(lease, &uid(9), &failed).await.unwrap();
}

pub async fn a_message_too_large_is_left_alone(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    message(&store, lease, uid(1), "stored", 0).await;
    store.add_listed(lease, &[listed(uid(2))], at(0)).await.unwrap();
    for n in [1, 2] {
        store.record_verdict(lease, &uid(n), &Verdict::TooLarge).await.unwrap();
    }
    assert_eq!(states(&store, id).await, [(uid(1), RemoteState::Stored), (uid(2), RemoteState::TooLarge)]);
}

pub async fn only_stored_messages_become_deleted(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    message(&store, lease, uid(1), "stored", 0).await;
    store.add_listed(lease, &[listed(uid(2))], at(0)).await.unwrap();
    store.record_deleted(lease, &[uid(1), uid(2), uid(3)], at(1)).await.unwrap();
    assert_eq!(states(&store, id).await, [(uid(1), RemoteState::Deleted), (uid(2), RemoteState::Listed)]);
}

pub async fn messages_come_newest_first_and_are_searched(store: Subject) {
    let (id, other) = (account(&store, "a").await, account(&store, "b").await);
    let lease = take(&store, id).await;
    for (n, subject, seconds) in [(1, "Réunion 50%", 10), (2, "late", 30), (3, "middle", 20), (4, "tie", 20)] {
        message(&store, lease, uid(n), subject, seconds).await;
    }
    message(&store, take(&store, other).await, uid(1), "elsewhere", 40).await;
    let subjects = async |search: &str, page| {
        let query = MessageQuery { search: search.to_owned(), page };
        let page = store.list_messages(id, None, &query).await.unwrap();
        (page.total, page.items.into_iter().map(|it| it.subject).collect::<Vec<_>>().join(","))
    };
    let all = PageRequest::new(1, 50);
    assert_eq!(subjects("", all).await, (4, "late,tie,middle,Réunion 50%".to_owned()));
    assert_eq!(subjects("", PageRequest::new(2, 3)).await, (4, "Réunion 50%".to_owned()));
    assert_eq!(subjects("REUNION", all).await, (1, "Réunion 50%".to_owned()));
    assert_eq!(subjects("zoe@EXAMPLE", all).await.0, 4);
    assert_eq!(subjects("%", all).await.0, 1);
    assert_eq!(subjects("_", all).await.0, 0);
}

pub async fn each_reader_has_seen_what_they_opened(store: Subject) {
    let id = account(&store, "a").await;
    message(&store, take(&store, id).await, uid(1), "hello", 0).await;
    let message = store.list_messages(id, None, &MessageQuery::default()).await.unwrap().items[0].id;
    let add = |name| store.add_user(name, Role::Administrator, "x", false, &[]);
    let (ana, bob) = (add("ana").await.unwrap(), add("bob").await.unwrap());
    let audit = [entry(AuditAction::MessageOpened, "ana", "message 1")];
    for _ in 0..2 {
        store.open_message(message, Some(ana), at(1), &audit).await.unwrap();
    }
    store.open_message(message, None, at(1), &audit).await.unwrap();
    for (reader, seen) in [(Some(ana), true), (Some(bob), false), (None, false)] {
        assert_eq!(store.find_message(message, reader).await.unwrap().unwrap().seen, seen);
        let listed = store.list_messages(id, reader, &MessageQuery::default()).await.unwrap();
        assert_eq!(listed.items[0].seen, seen);
    }
    let opened = AuditQuery { action: Some(AuditAction::MessageOpened), ..AuditQuery::default() };
    assert_eq!(store.list_audit(&opened).await.unwrap().total, 3);
}

pub async fn messages_outlive_their_account(store: Subject) {
    let id = account(&store, "a").await;
    message(&store, take(&store, id).await, uid(1), "hello", 0).await;
    store.remove_account(id, 1, at(1), &[]).await.unwrap();
    let page = store.list_messages(id, None, &MessageQuery::default()).await.unwrap();
    assert!(store.raw_message(page.items[0].id).await.unwrap().is_some());
}

pub async fn a_lost_lease_writes_nothing(store: Subject) {
    let id = account(&store, "a").await;
    let lost = take(&store, id).await;
    let run = store.start_run(lost, at(0)).await.unwrap();
    message(&store, lost, uid(1), "mine", 0).await;
    let later = at(0).plus(LEASE * 2);
    let held = store.take_account(id, "other", later, LEASE).await.unwrap().unwrap();
    store.add_listed(held, &[listed(uid(2))], later).await.unwrap();
    let before = store.known_remotes(id).await.unwrap();
    let finished = Finished { run: ended(run, id), health: Health::default() };
    let verdict = Verdict::TooLarge;
    let results = [
        store.add_listed(lost, &[listed(uid(3))], later).await,
        store.store_arrivals(lost, vec![arrival(uid(2), "late")], true, later).await.map(|_| ()),
        store.record_verdict(lost, &uid(2), &verdict).await,
        store.record_deleted(lost, &[uid(1)], later).await,
        store.extend_lease(lost, later).await,
        store.start_run(lost, later).await.map(|_| ()),
        store.record_stages(lost, run, &[]).await,
        store.finish_run(lost, &finished).await,
        store.give_back(lost, None).await,
    ];
    for result in results {
        assert!(matches!(result, Err(StoreError::Fenced)), "{result:?}");
    }
    assert_eq!(store.known_remotes(id).await.unwrap(), before);
    assert_eq!(store.list_messages(id, None, &MessageQuery::default()).await.unwrap().total, 1);
    assert_eq!(store.find_run(run).await.unwrap().unwrap().outcome, Outcome::Running);
    // A lease that was given back is lost too, though nobody took it since.
    store.give_back(held, None).await.unwrap();
    assert!(matches!(store.add_listed(held, &[], later).await, Err(StoreError::Fenced)));
}

fn ended(id: CheckRunId, account_id: AccountId) -> CheckRun {
    CheckRun {
        id,
        account_id,
        started_at: at(0),
        finished_at: Some(at(1)),
        outcome: Outcome::Ok,
        new_messages: 0,
        deleted_messages: 0,
        stages: Vec::new(),
        error: None,
    }
}
