//! The ledger and the messages: each message once, nothing lost, nothing written without the lease.

use std::collections::HashSet;

use domain::{
    account::Health,
    actor::Role,
    audit::{AuditAction, AuditQuery},
    check::{CheckRun, Outcome},
    ids::{AccountId, CheckRunId, MessageId},
    ledger::{DeletionProof, TroubleState},
    message::MessageQuery,
    page::PageRequest,
};
use service::ports::{
    Assembled, FailedFetch, Known, KnownRemote, Lease, MailboxState, Part, RemoteKey, RemoteState, StoreError, Stored,
    Verdict, WorkLeft,
};

use crate::{
    Subject,
    samples::{LEASE, account, arrival, at, entry, finished, hash, listed, message, raw, take, uid},
};

/// What is known of these names, in their order.
async fn known(store: &Subject, lease: Lease, names: &[RemoteKey]) -> Vec<KnownRemote> {
    let known = store.known_remotes(lease, names).await.unwrap().rows;
    names.iter().filter_map(|name| known.iter().find(|it| it.key == *name)).cloned().collect()
}

async fn states(store: &Subject, lease: Lease, names: &[RemoteKey]) -> Vec<(RemoteKey, RemoteState)> {
    known(store, lease, names).await.into_iter().map(|it| (it.key, it.state)).collect()
}

pub async fn listing_twice_changes_nothing(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[], at(0)).await.unwrap();
    store.add_listed(lease, &[listed(uid(9)), listed(uid(2))], at(0)).await.unwrap();
    store.store_arrivals(lease, vec![arrival(uid(2), "x")], true, at(0)).await.unwrap();
    store.add_listed(lease, &[listed(uid(2)), listed(uid(5)), listed(uid(5)), listed(uid(9))], at(1)).await.unwrap();
    let expected = [(9, RemoteState::Listed), (2, RemoteState::Stored), (5, RemoteState::Listed)].map(|(n, state)| {
        KnownRemote { key: uid(n), state, n_attempts: 0, is_missing: false, is_delete_asked: false, staged: 0 }
    });
    let known = store.known_remotes(lease, &[]).await.unwrap();
    assert_eq!((known.rows, known.is_new), (expected.to_vec(), false));
    assert_eq!(store.deletable(lease, at(0)).await.unwrap(), [uid(2)]);
    assert_eq!(store.deletable(lease, at(-1)).await.unwrap(), []);
    let left = WorkLeft { n_listed: 2, n_to_delete: 1, mailbox: None };
    assert_eq!(store.work_left(lease).await.unwrap(), left);
}

pub async fn arrivals_are_stored_once(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[listed(uid(1)), listed(uid(2))], at(0)).await.unwrap();
    let first = vec![arrival(uid(1), "one")];
    assert_eq!(store.store_arrivals(lease, first, true, at(1)).await.unwrap().n_new, 1);
    let again = vec![arrival(uid(1), "one"), arrival(uid(2), "two"), arrival(uid(2), "two")];
    assert_eq!(store.store_arrivals(lease, again, false, at(2)).await.unwrap().n_new, 1);
    let page = store.list_messages(id, None, &MessageQuery::default()).await.unwrap();
    assert_eq!(page.total, 2);
    let row = &page.items[1];
    assert_eq!((row.account_id, row.subject.as_str(), row.from.as_str()), (id, "one", "Zoë <zoe@example.org>"));
    assert_eq!((row.date, row.received_at, row.n_attachments, row.seen), (Some(at(-60)), at(1), 2, false));
    let bytes = raw(&store, row.id).await.unwrap();
    assert_eq!(bytes, arrival(uid(1), "one").raw);
    assert_eq!(row.size, bytes.len() as u64);
    assert_eq!(store.deletable(lease, at(9)).await.unwrap(), [uid(1)]);
    // Even after it was deleted from the server, a message that turns up again is the same message.
    delete(&store, lease, &[uid(1)]).await;
    let again = store.store_arrivals(lease, vec![arrival(uid(1), "one")], false, at(4)).await.unwrap();
    assert_eq!(again, Stored::default());
    assert_eq!(store.find_message(row.id, None).await.unwrap().unwrap(), *row);
    assert_eq!(store.find_message(MessageId(99), None).await.unwrap(), None);
    assert_eq!(raw(&store, MessageId(99)).await, None);
}

pub async fn both_kinds_of_keys_are_kept_apart(store: Subject) {
    let (a, b) = (account(&store, "a").await, account(&store, "b").await);
    let keys = [
        uid(u32::MAX),
        RemoteKey::Uid { uid_validity: u32::MAX, uid: u32::MAX },
        RemoteKey::Uidl("x".to_owned()),
        RemoteKey::Uidl("X".to_owned()),
        RemoteKey::Content { hash: "x".to_owned(), nth: 0 },
        RemoteKey::Content { hash: "x".to_owned(), nth: 1 },
    ];
    for id in [a, b] {
        let lease = take(&store, id).await;
        for key in &keys {
            message(&store, lease, key.clone(), "same", 0).await;
        }
        assert_eq!(states(&store, lease, &keys).await, keys.clone().map(|key| (key, RemoteState::Stored)));
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
    let bytes = hostile.raw.clone();
    let empty = domain::message::MessageIndex::default();
    let bare = service::ports::Arrival { key: uid(2), raw: Vec::new(), hash: [0; 32], index: empty };
    assert_eq!(store.store_arrivals(lease, vec![hostile, bare], false, at(0)).await.unwrap().n_new, 2);
    let page = store.list_messages(id, None, &MessageQuery::default()).await.unwrap();
    assert_eq!(page.items[1].subject, "nul\u{fffd} and '); DROP TABLE messages; --");
    assert_eq!(raw(&store, page.items[1].id).await.unwrap(), bytes);
    assert_eq!(raw(&store, page.items[0].id).await.unwrap(), Vec::<u8>::new());
    let search = MessageQuery { search: "nul\0".to_owned(), ..MessageQuery::default() };
    assert_eq!(store.list_messages(id, None, &search).await.unwrap().total, 1);
}

fn failed(n: u32, sample: &[u8]) -> Verdict {
    let failed = FailedFetch { key: uid(n), reason: "bad\0 line".to_owned(), sample: sample.to_vec() };
    Verdict::Failed { failed, quarantine_after: 2 }
}

pub async fn failures_end_in_quarantine_until_somebody_asks(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[listed(uid(1)), listed(uid(2))], at(0)).await.unwrap();
    for (n, state, sample) in
        [(1, RemoteState::Listed, b"Subject: \0".as_slice()), (2, RemoteState::Quarantined, b"".as_slice())]
    {
        store.record_verdicts(lease, &[failed(1, sample)], at(5)).await.unwrap();
        let known = known(&store, lease, &[uid(1)]).await;
        assert_eq!((known[0].n_attempts, known[0].state), (n, state));
    }
    // What cannot be found is no error: the row went with its account's mailbox.
    store.record_verdicts(lease, &[failed(9, b"")], at(5)).await.unwrap();
    let page = PageRequest::new(1, 30);
    let trouble = store.list_trouble(id, page).await.unwrap();
    assert_eq!(trouble.total, 1);
    let row = &trouble.items[0];
    assert_eq!((row.state, row.n_attempts, row.failed_at), (TroubleState::Quarantined, 2, Some(at(5))));
    assert_eq!((row.name.as_str(), row.reason.as_str()), ("UID 1 (UIDVALIDITY 7)", "bad\u{fffd} line"));
    assert!(row.has_sample);
    let sample = store.trouble_sample(id, row.id, &[entry(AuditAction::RemoteViewed, "ana", "x")]).await.unwrap();
    assert_eq!(sample.as_deref(), Some(b"Subject: \0".as_slice()));
    let other = account(&store, "b").await;
    assert_eq!(store.trouble_sample(other, row.id, &[]).await.unwrap(), None);
    assert_eq!(store.retry_trouble(other, Some(row.id), &[]).await.unwrap(), 0);
    assert_eq!(store.work_left(lease).await.unwrap().n_listed, 1);
    assert_eq!(store.retry_trouble(id, Some(row.id), &[]).await.unwrap(), 1);
    assert_eq!(store.work_left(lease).await.unwrap().n_listed, 2);
    assert_eq!(store.list_trouble(id, page).await.unwrap().total, 0);
}

pub async fn a_message_too_large_is_left_alone(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    message(&store, lease, uid(1), "stored", 0).await;
    store.add_listed(lease, &[listed(uid(2))], at(0)).await.unwrap();
    let verdicts = [1, 2].map(|it| Verdict::TooLarge(uid(it)));
    store.record_verdicts(lease, &verdicts, at(0)).await.unwrap();
    let both = [uid(1), uid(2)];
    assert_eq!(states(&store, lease, &both).await, [(uid(1), RemoteState::Stored), (uid(2), RemoteState::TooLarge)]);
    assert_eq!(store.retry_trouble(id, None, &[]).await.unwrap(), 1);
    assert_eq!(states(&store, lease, &both).await[1].1, RemoteState::Listed);
}

async fn delete(store: &Subject, lease: Lease, keys: &[RemoteKey]) {
    let run = CheckRunId(77);
    store.record_delete_asked(lease, keys, at(2)).await.unwrap();
    store.record_deleted(lease, keys, DeletionProof::Confirmed, run, at(3)).await.unwrap();
}

pub async fn a_deletion_leaves_a_receipt(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    message(&store, lease, uid(1), "stored", 0).await;
    store.add_listed(lease, &[listed(uid(2))], at(0)).await.unwrap();
    delete(&store, lease, &[uid(1), uid(2), uid(3)]).await;
    let expected = [(uid(1), RemoteState::Deleted), (uid(2), RemoteState::Listed)];
    assert_eq!(states(&store, lease, &[uid(1), uid(2)]).await, expected);
    let receipts = store.list_deletions(id, PageRequest::new(1, 30)).await.unwrap();
    assert_eq!(receipts.total, 1);
    let receipt = &receipts.items[0];
    assert_eq!((receipt.subject.as_str(), receipt.proof), ("stored", DeletionProof::Confirmed));
    assert_eq!((receipt.stored_at, receipt.asked_at, receipt.deleted_at), (Some(at(0)), Some(at(2)), at(3)));
    assert_eq!((receipt.run, receipt.hash.len()), (Some(CheckRunId(77)), 64));
    assert!(receipt.message_id.is_some());
}

pub async fn what_is_gone_is_known_only_when_it_is_listed(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    let unnamed = RemoteKey::Content { hash: "x".to_owned(), nth: 0 };
    let keys = [uid(1), uid(2), uid(3), RemoteKey::Uidl("one".to_owned()), unnamed];
    for key in &keys {
        message(&store, lease, key.clone(), "same", 0).await;
    }
    delete(&store, lease, &[uid(1), keys[3].clone(), keys[4].clone()]).await;
    store.note_missing(lease, &[uid(2)], &[], false, at(4)).await.unwrap();
    let names = |known: Known| known.rows.into_iter().map(|it| it.key).collect::<Vec<_>>();
    assert_eq!(names(store.known_remotes(lease, &[uid(9)]).await.unwrap()), [uid(3)]);
    let all = store.known_remotes(lease, &keys).await.unwrap();
    assert!(!all.is_new && all.rows.iter().filter(|it| it.state == RemoteState::Deleted).count() == 3);
    assert_eq!(names(all).into_iter().collect::<HashSet<_>>(), keys.clone().into_iter().collect());
    delete(&store, lease, &[uid(3)]).await;
    let none = store.known_remotes(lease, &[]).await.unwrap();
    assert_eq!((none.rows, none.is_new), (Vec::new(), false));
}

pub async fn what_will_be_deleted_is_shown_before(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    let keys = [uid(1), uid(2), RemoteKey::Content { hash: "x".to_owned(), nth: 0 }];
    store.add_listed(lease, &keys.clone().map(listed), at(0)).await.unwrap();
    let arrivals = keys.iter().map(|it| arrival(it.clone(), "x")).collect();
    store.store_arrivals(lease, arrivals, true, at(1)).await.unwrap();
    store.note_missing(lease, &[uid(2)], &[], false, at(2)).await.unwrap();
    let page = PageRequest::new(1, 30);
    let mut draft = store.find_account(id).await.unwrap().unwrap().draft;
    draft.hold_days = 2;
    store.change_account(id, 1, &draft, None, &[]).await.unwrap();
    let planned = store.list_planned_deletions(id, page).await.unwrap();
    assert_eq!(planned.total, 1);
    assert_eq!((planned.items[0].stored_at, planned.items[0].due_at), (at(1), at(1 + 2 * 86_400)));
    assert_eq!(store.deletable(lease, at(1)).await.unwrap(), [uid(1)], "and nothing that the server gave no name");
    draft.keep_copy = true;
    store.change_account(id, 2, &draft, None, &[]).await.unwrap();
    assert_eq!(store.list_planned_deletions(id, page).await.unwrap().total, 0, "a copy is kept");
}

pub async fn what_got_another_name_is_not_stored_again(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    // Two equal messages, one of which was to be deleted.
    store.add_listed(lease, &[listed(uid(1)), listed(uid(2)), listed(uid(3))], at(0)).await.unwrap();
    store.store_arrivals(lease, vec![arrival(uid(1), "twin")], true, at(0)).await.unwrap();
    store
        .store_arrivals(lease, vec![arrival(uid(2), "twin"), arrival(uid(3), "known gone")], false, at(0))
        .await
        .unwrap();
    assert_eq!(store.note_missing(lease, &[uid(3)], &[], false, at(1)).await.unwrap(), 0);
    let new = |uid| RemoteKey::Uid { uid_validity: 8, uid };
    let keys = [1, 2, 3, 4].map(new);
    store.add_listed(lease, &keys.clone().map(listed), at(2)).await.unwrap();
    assert_eq!(store.note_missing(lease, &[uid(1), uid(2)], &[], true, at(2)).await.unwrap(), 2);
    let arrivals = ["twin", "twin", "twin", "known gone"];
    let arrivals = keys.iter().zip(arrivals).map(|(key, subject)| arrival(key.clone(), subject)).collect();
    let stored = store.store_arrivals(lease, arrivals, false, at(2)).await.unwrap();
    assert_eq!(stored, Stored { n_new: 2, n_renamed: 2 }, "a third twin and one that had gone before are new");
    assert_eq!(store.list_messages(id, None, &MessageQuery::default()).await.unwrap().total, 5);
    assert_eq!(
        store.deletable(lease, at(9)).await.unwrap(),
        [new(1)],
        "what was to be deleted still is, and nothing else"
    );
    store.settle_missing(lease).await.unwrap();
    let expected = [(uid(1), RemoteState::Renamed), (uid(3), RemoteState::Stored)];
    assert_eq!(states(&store, lease, &[uid(1), uid(3)]).await, expected);
    // Back again under its old name.
    store.note_missing(lease, &[], &[uid(3)], false, at(3)).await.unwrap();
    assert!(!known(&store, lease, &[uid(3)]).await[0].is_missing);
}

pub async fn another_mailbox_has_names_of_its_own(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    message(&store, lease, uid(1), "here before", 0).await;
    store.give_back(lease, None).await.unwrap();
    let mut draft = store.find_account(id).await.unwrap().unwrap().draft;
    draft.destination.address = domain::account::Address::from_stored("other.example.org".to_owned());
    store.change_account(id, 1, &draft, None, &[]).await.unwrap();
    let moved = take(&store, id).await;
    assert_eq!(moved.epoch, lease.epoch + 1);
    let known = store.known_remotes(moved, &[uid(1)]).await.unwrap();
    assert_eq!((known.rows, known.is_new), (Vec::new(), true));
    store.add_listed(moved, &[listed(uid(1)), listed(uid(2))], at(1)).await.unwrap();
    assert_eq!(store.note_missing(moved, &[], &[], true, at(1)).await.unwrap(), 1);
    let arrivals = vec![arrival(uid(1), "another message"), arrival(uid(2), "here before")];
    let stored = store.store_arrivals(moved, arrivals, false, at(1)).await.unwrap();
    assert_eq!(stored, Stored { n_new: 1, n_renamed: 1 });
    // A change that concerns no name of a message changes no mailbox.
    store.give_back(moved, None).await.unwrap();
    draft.keep_copy = false;
    store.change_account(id, 2, &draft, None, &[]).await.unwrap();
    assert_eq!(take(&store, id).await.epoch, moved.epoch);
}

pub async fn a_large_message_is_staged_in_parts(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[listed(uid(1)), listed(uid(2))], at(0)).await.unwrap();
    let part = |offset, bytes: &[u8], is_last| Part { key: uid(1), offset, bytes: bytes.to_vec(), is_last };
    store.stage_part(lease, part(0, b"void", false)).await.unwrap();
    store.stage_part(lease, part(0, b"Subject: ", false)).await.unwrap();
    assert!(matches!(store.stage_part(lease, part(4, b"x", false)).await, Err(StoreError::Conflict)));
    store.stage_part(lease, part(9, b"large", false)).await.unwrap();
    assert_eq!(known(&store, lease, &[uid(1)]).await[0].staged, 14);
    store.stage_part(lease, part(14, b"", true)).await.unwrap();
    assert_eq!(store.staged_part(lease, &uid(1), 0).await.unwrap().as_deref(), Some(b"Subject: ".as_slice()));
    assert_eq!(store.staged_part(lease, &uid(1), 2).await.unwrap(), None);
    assert_eq!(store.list_messages(id, None, &MessageQuery::default()).await.unwrap().total, 0);
    let whole = b"Subject: large";
    let message = Assembled { key: uid(1), size: 14, hash: hash(whole), index: arrival(uid(1), "large").index };
    for n_new in [1, 0] {
        let stored = store.publish_staged(lease, &message, false, at(1)).await.unwrap();
        assert_eq!(stored, Stored { n_new, n_renamed: 0 });
    }
    let row = store.list_messages(id, None, &MessageQuery::default()).await.unwrap().items.remove(0);
    assert_eq!((row.size, raw(&store, row.id).await), (14, Some(whole.to_vec())));
    assert_eq!(known(&store, lease, &[uid(1)]).await[0].staged, 0);
}

pub async fn what_a_mailbox_looked_like_is_remembered(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    let run = store.start_run(lease, at(0)).await.unwrap();
    let state = MailboxState { n_messages: 3, uid_validity: Some(7), uid_next: Some(u32::MAX) };
    let mut end = finished(ended(run, id), Health::default());
    (end.mailbox, end.keeps_lease) = (Some(state), true);
    store.finish_run(lease, &end).await.unwrap();
    assert_eq!(store.work_left(lease).await.unwrap().mailbox, Some(state));
    // The visit goes on under the same lease.
    let again = store.start_run(lease, at(1)).await.unwrap();
    end.run = ended(again, id);
    (end.mailbox, end.keeps_lease) = (None, false);
    store.finish_run(lease, &end).await.unwrap();
    assert_eq!(store.work_left(lease).await.unwrap().mailbox, None);
    assert!(matches!(store.start_run(lease, at(2)).await, Err(StoreError::Fenced)));
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
    assert!(raw(&store, page.items[0].id).await.is_some());
}

pub async fn a_lost_lease_writes_nothing(store: Subject) {
    let id = account(&store, "a").await;
    let lost = take(&store, id).await;
    let run = store.start_run(lost, at(0)).await.unwrap();
    message(&store, lost, uid(1), "mine", 0).await;
    let later = at(0).plus(LEASE * 2);
    let held = store.take_account(id, "other", later, LEASE).await.unwrap().unwrap();
    store.add_listed(held, &[listed(uid(2))], later).await.unwrap();
    let before = store.known_remotes(held, &[]).await.unwrap();
    let end = finished(ended(run, id), Health::default());
    let part = Part { key: uid(2), offset: 0, bytes: vec![1], is_last: true };
    let whole = Assembled { key: uid(2), size: 1, hash: [0; 32], index: arrival(uid(2), "late").index };
    let results = [
        store.add_listed(lost, &[listed(uid(3))], later).await,
        store.store_arrivals(lost, vec![arrival(uid(2), "late")], true, later).await.map(|_| ()),
        store.stage_part(lost, part).await,
        store.publish_staged(lost, &whole, true, later).await.map(|_| ()),
        store.note_missing(lost, &[uid(1)], &[], true, later).await.map(|_| ()),
        store.settle_missing(lost).await,
        store.record_verdicts(lost, &[Verdict::TooLarge(uid(2))], later).await,
        store.record_delete_asked(lost, &[uid(1)], later).await,
        store.record_deleted(lost, &[uid(1)], DeletionProof::Confirmed, run, later).await,
        store.extend_lease(lost, later).await,
        store.start_run(lost, later).await.map(|_| ()),
        store.record_stages(lost, run, &[]).await,
        store.finish_run(lost, &end).await,
        store.give_back(lost, None).await,
    ];
    for result in results {
        assert!(matches!(result, Err(StoreError::Fenced)), "{result:?}");
    }
    assert_eq!(store.known_remotes(held, &[]).await.unwrap(), before);
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
        due_at: None,
        started_at: at(0),
        finished_at: Some(at(1)),
        outcome: Outcome::Ok,
        new_messages: 0,
        deleted_messages: 0,
        stages: Vec::new(),
        error: None,
        has_transcript: false,
    }
}
