//! Accounts: filters, sorts and pages of the report; names, versions, removal.

use std::cmp::Ordering;

use domain::{
    account::{
        AccountColumn, AccountDraft, AccountFilter, AccountQuery, AccountRow, AccountSort, Failure, Health,
        HealthState, MessageCounts, Protocol, Route, Security, Trust,
    },
    actor::Role,
    audit::{AuditAction, AuditQuery},
    check::ErrorKind,
    ids::{AccountId, ConnectorId, CredentialId},
    ledger::DeletionProof,
    message::MessageQuery,
    page::PageRequest,
    text::fold,
};
use service::ports::{Purged, StoreError};

use crate::{
    Subject,
    samples::{account, arrival, at, connector, credential, draft, entry, listed, message, raw, take, uid},
};

pub async fn an_account_comes_back_as_it_was_added(store: Subject) {
    let mut draft = draft("Invoices", credential(&store, "c").await);
    draft.keep_copy = false;
    draft.interval_s = 86_400;
    draft.protocol = Protocol::Pop3;
    draft.destination.port = 65_535;
    draft.destination.security = Security::StartTls(Trust::SkipCertificate { until: None });
    draft.destination.route = Route::Connector(connector(&store, "p").await);
    let id = store.add_account(&draft, Some(at(5)), &[]).await.unwrap();
    let account = store.find_account(id).await.unwrap().unwrap();
    assert_eq!((account.id, account.version, account.deleted_at), (id, 1, None));
    assert_eq!(account.health, Health { next_check_at: Some(at(5)), ..Health::default() });
    assert_eq!(account.draft, draft);
    assert_eq!(store.find_account(AccountId(id.0 + 1)).await.unwrap(), None);
}

pub async fn names_are_unique_without_regard_to_case_and_accents(store: Subject) {
    let credential = credential(&store, "c").await;
    let id = store.add_account(&draft("São Paulo", credential), None, &[]).await.unwrap();
    let other = store.add_account(&draft("Rio", credential), None, &[]).await.unwrap();
    let added = store.add_account(&draft("SAO  PAULO", credential), None, &[]).await;
    assert!(matches!(added, Err(StoreError::Taken { field: "name" })), "{added:?}");
    let changed = store.change_account(other, 1, &draft("sao paulo", credential), None, &[]).await;
    assert!(matches!(changed, Err(StoreError::Taken { field: "name" })), "{changed:?}");
    // An account may change how its own name is written.
    assert_eq!(store.change_account(id, 1, &draft("SÃO PAULO", credential), None, &[]).await.unwrap(), 2);
}

pub async fn only_one_of_two_at_once_gets_a_name(store: Subject) {
    let draft = draft("One", credential(&store, "c").await);
    let (first, second) = tokio::join!(store.add_account(&draft, None, &[]), store.add_account(&draft, None, &[]));
    assert!(first.is_ok() != second.is_ok());
    assert!(matches!(first.and(second), Err(StoreError::Taken { field: "name" })));
}

async fn names(store: &Subject, filter: AccountFilter) -> Vec<String> {
    let query = AccountQuery { filter, ..AccountQuery::default() };
    let page = store.list_accounts(&query).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    assert_eq!(store.count_accounts(&query.filter).await.unwrap(), page.total);
    page.items.into_iter().map(|it| it.name).collect()
}

fn named(name: &str) -> AccountFilter {
    AccountFilter { name: name.to_owned(), ..AccountFilter::default() }
}

pub async fn the_name_filter_folds_case_and_accents(store: Subject) {
    let credential = credential(&store, "c").await;
    for name in ["Éclair", "Über uns", "plain"] {
        store.add_account(&draft(name, credential), None, &[]).await.unwrap();
    }
    assert_eq!(names(&store, named("ECLA")).await, ["Éclair"]);
    assert_eq!(names(&store, named("BÉR ÚN")).await, ["Über uns"]);
    assert_eq!(names(&store, named("nothing")).await, [""; 0]);
}

pub async fn percent_in_the_filter_is_literal(store: Subject) {
    let credential = credential(&store, "c").await;
    for name in ["50% off", "500 off", "a_b", "axb", r"back\slash"] {
        store.add_account(&draft(name, credential), None, &[]).await.unwrap();
    }
    assert_eq!(names(&store, named("50%")).await, ["50% off"]);
    assert_eq!(names(&store, named("a_b")).await, ["a_b"]);
    assert_eq!(names(&store, named(r"k\s")).await, [r"back\slash"]);
    assert_eq!(names(&store, named("x' OR '1'='1")).await, [""; 0]);
}

pub async fn every_filter_selects(store: Subject) {
    let credential = credential(&store, "c").await;
    let plain = draft("all", credential);
    let mut insecure = draft("insecure", credential);
    insecure.destination.security = Security::Plain;
    let mut skipping = draft("skipping", credential);
    skipping.destination.security = Security::Implicit(Trust::SkipCertificate { until: None });
    let drafts = [
        plain.clone(),
        insecure,
        AccountDraft { name: "manual".to_owned(), automatic_check: false, ..plain.clone() },
        AccountDraft { name: "moved".to_owned(), keep_copy: false, ..plain.clone() },
        AccountDraft { name: "off".to_owned(), enabled: false, ..plain.clone() },
        skipping,
    ];
    for draft in &drafts {
        store.add_account(draft, None, &[]).await.unwrap();
    }
    let none = AccountFilter::default();
    let cases = [
        ("insecure", AccountFilter { secure_connection: Some(false), ..none.clone() }),
        ("manual", AccountFilter { automatic_check: Some(false), ..none.clone() }),
        ("moved", AccountFilter { keep_copy: Some(false), ..none.clone() }),
        ("off", AccountFilter { enabled: Some(false), ..none.clone() }),
        ("skipping", AccountFilter { skip_certificate: Some(true), ..none.clone() }),
    ];
    for (expected, filter) in cases {
        assert_eq!(names(&store, filter.clone()).await, [expected]);
        let flip = |it: Option<bool>| it.map(|it| !it);
        let opposite = AccountFilter {
            name: String::new(),
            secure_connection: flip(filter.secure_connection),
            automatic_check: flip(filter.automatic_check),
            keep_copy: flip(filter.keep_copy),
            skip_certificate: flip(filter.skip_certificate),
            enabled: flip(filter.enabled),
            health: None,
        };
        let others = names(&store, opposite).await;
        assert!(others.len() == 5 && !others.contains(&expected.to_owned()), "{others:?}");
    }
    let all = AccountFilter {
        name: "AL".to_owned(),
        secure_connection: Some(true),
        automatic_check: Some(true),
        keep_copy: Some(true),
        skip_certificate: Some(false),
        enabled: Some(true),
        health: Some(HealthState::NeverChecked),
    };
    assert_eq!(names(&store, all).await, ["all"]);
    assert_eq!(names(&store, none).await, ["all", "insecure", "manual", "moved", "off", "skipping"]);
}

/// The order that the report promises.
fn compare(column: AccountColumn, a: &AccountRow, b: &AccountRow) -> Ordering {
    let kind = |it: &AccountRow| match it.security.kind() {
        Some("ssl") => 0,
        Some(_) => 1,
        None => 2,
    };
    let by_column = match column {
        AccountColumn::Id => Ordering::Equal,
        AccountColumn::Name => fold(&a.name).cmp(&fold(&b.name)),
        AccountColumn::SecureConnection => a.security.is_secure().cmp(&b.security.is_secure()),
        AccountColumn::ConnectionType => kind(a).cmp(&kind(b)),
        AccountColumn::Protocol => a.protocol.as_str().cmp(b.protocol.as_str()),
        AccountColumn::Port => a.port.cmp(&b.port),
        AccountColumn::AutomaticCheck => a.automatic_check.cmp(&b.automatic_check),
        AccountColumn::KeepCopy => a.keep_copy.cmp(&b.keep_copy),
        AccountColumn::Status => a.enabled.cmp(&b.enabled),
        AccountColumn::Health => a.health.state().cmp(&b.health.state()),
    };
    by_column.then(a.id.cmp(&b.id))
}

/// Twenty-four accounts in which every column has several values and every value several accounts.
async fn variety(store: &Subject) {
    let credential = credential(store, "c").await;
    for n in 0..24_u16 {
        let mut draft =
            draft(&format!("{} {n}", ["Zebra", "école", "apple", "_x", "Éa"][usize::from(n % 5)]), credential);
        draft.keep_copy = n % 2 == 0;
        draft.automatic_check = n % 3 == 0;
        draft.enabled = n % 4 != 0;
        draft.protocol = if n % 5 < 2 { Protocol::Pop3 } else { Protocol::Imap };
        draft.destination.port = [993, 143, 995, 110][usize::from(n % 4)];
        draft.destination.security =
            [Security::Plain, Security::StartTls(Trust::System), Security::Implicit(Trust::System)][usize::from(n % 3)];
        let id = store.add_account(&draft, None, &[]).await.unwrap();
        let failure = |is_stopped| Failure {
            kind: ErrorKind::Timeout,
            message: String::new(),
            since: at(0),
            n_failures: 1,
            is_stopped,
        };
        let health = match n % 7 {
            0 | 1 => continue,
            2 | 3 => Health { last_success_at: Some(at(1)), ..Health::default() },
            4 => Health { failure: Some(failure(true)), ..Health::default() },
            _ => Health { failure: Some(failure(false)), ..Health::default() },
        };
        crate::checks::check_once(store, id, health).await;
    }
}

pub async fn every_sort_runs_both_ways_with_ties_by_id(store: Subject) {
    variety(&store).await;
    for column in AccountColumn::ALL {
        for descending in [false, true] {
            let sort = AccountSort { column, descending };
            let query = AccountQuery { sort, ..AccountQuery::default() };
            let rows = store.list_accounts(&query).await.unwrap().items;
            let mut expected = rows.clone();
            expected.sort_by(|a, b| if descending { compare(column, b, a) } else { compare(column, a, b) });
            assert_eq!(rows, expected, "{column:?}, descending: {descending}");
            assert_eq!(rows.len(), 24);
            let ids: Vec<_> = rows.iter().map(|it| it.id).collect();
            assert_eq!(store.matching_accounts(&query.filter, sort).await.unwrap(), ids, "{column:?}");
        }
    }
}

pub async fn pages_cover_the_list_without_overlap(store: Subject) {
    let credential = credential(&store, "c").await;
    for n in 0..65 {
        store.add_account(&draft(&format!("Account {n:02}"), credential), None, &[]).await.unwrap();
    }
    let sort = AccountSort { column: AccountColumn::Protocol, descending: true };
    let mut seen = Vec::new();
    for (page, expected) in [(1, 30), (2, 30), (3, 5), (4, 0)] {
        let query = AccountQuery { sort, page: PageRequest::new(page, 30), ..AccountQuery::default() };
        let listed = store.list_accounts(&query).await.unwrap();
        assert_eq!((listed.total, listed.page, listed.items.len()), (65, page, expected));
        seen.extend(listed.items.into_iter().map(|it| it.id));
    }
    assert!(seen.is_sorted_by(|a, b| a > b) && seen.len() == 65);
}

pub async fn a_stale_version_is_a_conflict(store: Subject) {
    let id = account(&store, "a").await;
    let draft = store.find_account(id).await.unwrap().unwrap().draft;
    assert_eq!(store.change_account(id, 1, &draft, None, &[]).await.unwrap(), 2);
    let stale = store.change_account(id, 1, &draft, None, &[]).await;
    assert!(matches!(stale, Err(StoreError::Conflict)), "{stale:?}");
    assert!(matches!(store.remove_account(id, 1, at(0), &[]).await, Err(StoreError::Conflict)));
    assert!(matches!(store.change_account(AccountId(99), 1, &draft, None, &[]).await, Err(StoreError::NotFound)));
    // Of two who read the same version, one wins.
    let (first, second) =
        tokio::join!(store.change_account(id, 2, &draft, None, &[]), store.change_account(id, 2, &draft, None, &[]));
    assert!(first.is_ok() != second.is_ok());
    assert!(matches!(first.and(second), Err(StoreError::Conflict)));
}

pub async fn a_change_clears_the_failure(store: Subject) {
    let id = account(&store, "a").await;
    let failure = Failure {
        kind: ErrorKind::Authentication,
        message: "no".to_owned(),
        since: at(1),
        n_failures: 3,
        is_stopped: true,
    };
    let health = Health { last_success_at: Some(at(-9)), next_check_at: None, failure: Some(failure), is_late: false };
    crate::checks::check_once(&store, id, health).await;
    let before = store.find_account(id).await.unwrap().unwrap();
    store.change_account(id, before.version, &before.draft, Some(at(7)), &[]).await.unwrap();
    let after = store.find_account(id).await.unwrap().unwrap().health;
    assert_eq!(
        after,
        Health { last_success_at: Some(at(-9)), next_check_at: Some(at(7)), failure: None, is_late: false }
    );
}

pub async fn a_missing_reference_is_named(store: Subject) {
    let missing = store.add_account(&draft("a", CredentialId(99)), None, &[]).await;
    assert!(matches!(missing, Err(StoreError::Gone { field: "credential_id" })), "{missing:?}");
    let id = account(&store, "a").await;
    let mut draft = store.find_account(id).await.unwrap().unwrap().draft;
    draft.destination.route = Route::Connector(ConnectorId(99));
    let missing = store.change_account(id, 1, &draft, None, &[]).await;
    assert!(matches!(missing, Err(StoreError::Gone { field: "network_connector_id" })), "{missing:?}");
}

pub async fn a_removed_account_frees_its_name(store: Subject) {
    let (first, second) = (account(&store, "one").await, account(&store, "two").await);
    store.remove_account(first, 1, at(1), &[entry(AuditAction::AccountRemoved, "ana", "one")]).await.unwrap();
    store.remove_account(second, 1, at(2), &[]).await.unwrap();
    assert_eq!(names(&store, AccountFilter::default()).await, [""; 0]);
    let deleted = store.list_deleted_accounts(PageRequest::default()).await.unwrap();
    assert_eq!(
        deleted.items.iter().map(|it| (it.id, it.deleted_at)).collect::<Vec<_>>(),
        [(second, Some(at(2))), (first, Some(at(1)))]
    );
    let found = store.find_account(first).await.unwrap().unwrap();
    assert_eq!((found.deleted_at, found.health.next_check_at), (Some(at(1)), None));
    let again = store.change_account(first, found.version, &found.draft, None, &[]).await;
    assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
    store.add_account(&found.draft, None, &[]).await.unwrap();
}

pub async fn a_restored_account_needs_its_name_free(store: Subject) {
    let id = account(&store, "one").await;
    assert!(matches!(store.restore_account(id, None, &[]).await, Err(StoreError::NotFound)));
    store.remove_account(id, 1, at(1), &[]).await.unwrap();
    let draft = store.find_account(id).await.unwrap().unwrap().draft;
    let other = store.add_account(&draft, None, &[]).await.unwrap();
    let taken = store.restore_account(id, None, &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    store.remove_account(other, 1, at(2), &[]).await.unwrap();
    store.restore_account(id, Some(at(3)), &[]).await.unwrap();
    let restored = store.find_account(id).await.unwrap().unwrap();
    assert_eq!((restored.deleted_at, restored.health.next_check_at), (None, Some(at(3))));
}

pub async fn an_account_is_purged_with_all_that_it_left(store: Subject) {
    let (id, other) = (account(&store, "a").await, account(&store, "b").await);
    let reader = store.add_user("ana", Role::Administrator, "hash", false, &[]).await.unwrap();
    let mut messages = Vec::new();
    for account in [id, other] {
        let lease = take(&store, account).await;
        for n in 1..=3 {
            message(&store, lease, uid(n), "Hello", 0).await;
        }
        store.start_run(lease, at(0)).await.unwrap();
        let listed = store.list_messages(account, None, &MessageQuery::default()).await.unwrap();
        messages.extend(listed.items.into_iter().map(|it| (account, it.id)));
    }
    for (_, message) in &messages {
        store.open_message(*message, Some(reader), at(1), &[]).await.unwrap();
    }
    store.remove_account(id, 1, at(10), &[]).await.unwrap();
    assert_eq!(store.purgeable_account(at(10)).await.unwrap(), None);
    assert_eq!(store.purgeable_account(at(11)).await.unwrap().unwrap().id, id);
    let audit = [entry(AuditAction::AccountPurged, "retention", "a")];
    let kept = store.purge_account(other, at(11), 2, &audit).await;
    assert!(matches!(kept, Err(StoreError::NotFound)), "{kept:?}");
    assert_eq!(store.purge_account(id, at(11), 2, &audit).await.unwrap(), Purged::Part);
    assert_eq!(store.purge_account(id, at(11), 2, &audit).await.unwrap(), Purged::Whole);
    assert_eq!(store.find_account(id).await.unwrap(), None);
    assert_eq!(store.list_runs(id, PageRequest::default()).await.unwrap().total, 0);
    for (account, message) in messages {
        assert_eq!(store.find_message(message, None).await.unwrap().is_some(), account == other);
        assert_eq!(raw(&store, message).await.is_some(), account == other);
    }
    let query = AuditQuery { action: Some(AuditAction::AccountPurged), ..AuditQuery::default() };
    assert_eq!(store.list_audit(&query).await.unwrap().total, 1);
}

pub async fn only_stored_messages_are_wanted_deleted(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    for n in 1..=3 {
        message(&store, lease, uid(n), "Hello", 0).await;
    }
    store.add_listed(lease, &[listed(uid(4))], at(0)).await.unwrap();
    let run = store.start_run(lease, at(0)).await.unwrap();
    store.record_deleted(lease, &[uid(3)], DeletionProof::Confirmed, run, at(1)).await.unwrap();
    let counts = store.count_messages(id).await.unwrap();
    assert_eq!(counts, MessageCounts { stored: 3, on_server: 2, only_here: 1, older: 2, older_wanted: 0 });
    let audit = [entry(AuditAction::OlderDeletionAsked, "ana", "a")];
    assert_eq!(store.want_older_deleted(id, at(2), &audit).await.unwrap(), 2);
    assert_eq!(store.deletable(lease, at(2)).await.unwrap(), [uid(1), uid(2)]);
    // What arrives later keeps its copy.
    store.store_arrivals(lease, vec![arrival(uid(4), "Later")], false, at(3)).await.unwrap();
    assert_eq!(store.deletable(lease, at(9)).await.unwrap(), [uid(1), uid(2)]);
}

pub async fn whoever_keeps_copies_again_has_nothing_deleted(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    message(&store, lease, uid(1), "Hello", 0).await;
    store.want_older_deleted(id, at(2), &[]).await.unwrap();
    let mut draft = store.find_account(id).await.unwrap().unwrap().draft;
    for (version, keep_copy) in [(1, true), (2, false)] {
        draft.keep_copy = keep_copy;
        store.change_account(id, version, &draft, None, &[]).await.unwrap();
        assert_eq!(store.deletable(lease, at(9)).await.unwrap(), [], "keep a copy: {keep_copy}");
    }
    // A check that began before the change may still store what it was to delete.
    draft.keep_copy = true;
    store.change_account(id, 3, &draft, None, &[]).await.unwrap();
    store.add_listed(lease, &[listed(uid(2))], at(3)).await.unwrap();
    store.store_arrivals(lease, vec![arrival(uid(2), "Later")], true, at(3)).await.unwrap();
    draft.keep_copy = false;
    store.change_account(id, 4, &draft, None, &[]).await.unwrap();
    assert_eq!(store.deletable(lease, at(9)).await.unwrap(), []);
}

pub async fn what_was_asked_for_is_counted_and_can_be_taken_back(store: Subject) {
    let id = account(&store, "a").await;
    let lease = take(&store, id).await;
    store.add_listed(lease, &[listed(uid(1)), listed(uid(2)), listed(uid(3))], at(0)).await.unwrap();
    store.store_arrivals(lease, vec![arrival(uid(1), "One"), arrival(uid(2), "Two")], false, at(1)).await.unwrap();
    // No copy of this one was ever kept: it goes by itself.
    store.store_arrivals(lease, vec![arrival(uid(3), "Three")], true, at(2)).await.unwrap();
    let counts = MessageCounts { stored: 3, on_server: 3, only_here: 0, older: 2, older_wanted: 0 };
    assert_eq!(store.count_messages(id).await.unwrap(), counts);
    assert_eq!(
        store.want_older_deleted(id, at(5), &[entry(AuditAction::OlderDeletionAsked, "ana", "a")]).await.unwrap(),
        2
    );
    let wanted = MessageCounts { older: 0, older_wanted: 2, ..counts };
    assert_eq!(store.count_messages(id).await.unwrap(), wanted);
    let audit = [entry(AuditAction::OlderDeletionCancelled, "ana", "a")];
    assert_eq!(store.forget_older_deletions(id, &audit).await.unwrap(), 2);
    assert_eq!(store.count_messages(id).await.unwrap(), counts);
    assert_eq!(store.deletable(lease, at(9)).await.unwrap(), [uid(3)]);
    let query = AuditQuery { action: Some(AuditAction::OlderDeletionCancelled), ..AuditQuery::default() };
    assert_eq!(store.list_audit(&query).await.unwrap().total, 1);
}
