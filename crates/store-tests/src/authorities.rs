//! Certificate authorities: names, where they are used; and whom accounts trust.

use domain::{
    account::{AccountFilter, AccountQuery, AccountSort, KeyPin, Security, Trust, User},
    ids::AuthorityId,
    page::PageRequest,
    time::Day,
};
use service::ports::StoreError;

use crate::{
    Subject,
    samples::{at, authority, authority_draft, authority_facts, credential, draft},
};

pub async fn an_authority_comes_back_as_it_was_added(store: Subject) {
    let (draft, facts) = (authority_draft("Ours"), authority_facts("CN=Our Órgão"));
    let id = store.add_authority(&draft, &facts, &[]).await.unwrap();
    let found = store.find_authority(id).await.unwrap().unwrap();
    assert_eq!((found.row.id, found.row.version, found.row.n_uses), (id, 1, 0));
    assert_eq!((&found.row.name, &found.pem, &found.row.facts), (&draft.name, &draft.pem, &facts));
    assert_eq!(store.find_authority(AuthorityId(99)).await.unwrap(), None);
    let choices = store.authority_choices().await.unwrap();
    assert_eq!((choices[0].id, choices[0].name.as_str(), choices[0].hint.as_str()), (id.0, "Ours", "CN=Our Órgão"));
    for (search, n) in [("", 1), ("ORGAO", 1), ("ours", 1), ("_", 0)] {
        let page = store.list_authorities(search, PageRequest::default()).await.unwrap();
        assert_eq!((page.items.len(), page.total), (n, n as u64), "{search}");
    }
}

pub async fn names_versions_and_references_are_checked(store: Subject) {
    let (first, second) = (authority(&store, "Été").await, authority(&store, "other").await);
    let facts = authority_facts("CN=Other");
    let taken = store.add_authority(&authority_draft("ete"), &facts, &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    let taken = store.change_authority(second, 1, &authority_draft("ete"), &facts, &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    assert_eq!(store.change_authority(first, 1, &authority_draft("summer"), &facts, &[]).await.unwrap(), 2);
    assert_eq!(store.find_authority(first).await.unwrap().unwrap().row.facts, facts);
    let stale = store.change_authority(first, 1, &authority_draft("x"), &facts, &[]).await;
    assert!(matches!(stale, Err(StoreError::Conflict)), "{stale:?}");
    assert!(matches!(store.remove_authority(AuthorityId(99), 1, &[]).await, Err(StoreError::NotFound)));
    let mut account = draft("one", credential(&store, "c").await);
    account.destination.security = Security::Implicit(Trust::Authority(AuthorityId(99)));
    let gone = store.add_account(&account, None, &[]).await;
    assert!(matches!(gone, Err(StoreError::Gone { field: "ca_id" })), "{gone:?}");
}

pub async fn an_authority_in_use_stays(store: Subject) {
    let id = authority(&store, "Ours").await;
    let mut trusting = draft("one", credential(&store, "c").await);
    trusting.destination.security = Security::StartTls(Trust::Authority(id));
    let account = store.add_account(&trusting, None, &[]).await.unwrap();
    assert_eq!(store.find_authority(id).await.unwrap().unwrap().row.n_uses, 1);
    assert_eq!(store.authority_used_by(id).await.unwrap(), [(User::Account(account), "one".to_owned())]);
    assert!(matches!(store.remove_authority(id, 1, &[]).await, Err(StoreError::InUse)));
    store.remove_account(account, 1, at(1), &[]).await.unwrap();
    assert!(matches!(store.remove_authority(id, 1, &[]).await, Err(StoreError::InUse)));
    store.restore_account(account, None, &[]).await.unwrap();
    let version = store.find_account(account).await.unwrap().unwrap().version;
    trusting.destination.security = Security::StartTls(Trust::System);
    store.change_account(account, version, &trusting, None, &[]).await.unwrap();
    store.remove_authority(id, 1, &[]).await.unwrap();
    assert_eq!(store.find_authority(id).await.unwrap(), None);
}

fn every_trust(id: AuthorityId) -> [Trust; 5] {
    [
        Trust::System,
        Trust::Authority(id),
        Trust::Pin(KeyPin([200; 32])),
        Trust::SkipCertificate { until: None },
        Trust::SkipCertificate { until: Day::parse("2026-12-31") },
    ]
}

pub async fn every_trust_comes_back_as_it_was_chosen(store: Subject) {
    let id = authority(&store, "Ours").await;
    let mut wanted = draft("one", credential(&store, "c").await);
    let account = store.add_account(&wanted, None, &[]).await.unwrap();
    for (n, trust) in every_trust(id).into_iter().enumerate() {
        wanted.destination.security = Security::Implicit(trust);
        wanted.skip_reason = format!("reason {n}");
        let version = i64::try_from(n).unwrap() + 1;
        store.change_account(account, version, &wanted, None, &[]).await.unwrap();
        assert_eq!(store.find_account(account).await.unwrap().unwrap().draft, wanted);
        let rows = store.account_rows(&[account]).await.unwrap();
        assert_eq!(rows[0].security, wanted.destination.security);
        "two".clone_into(&mut wanted.name);
        let added = store.add_account(&wanted, None, &[]).await.unwrap();
        assert_eq!(store.find_account(added).await.unwrap().unwrap().draft, wanted);
        store.remove_account(added, 1, at(1), &[]).await.unwrap();
        "one".clone_into(&mut wanted.name);
    }
}

pub async fn what_skips_its_certificate_is_found(store: Subject) {
    let id = authority(&store, "Ours").await;
    let credential = credential(&store, "c").await;
    for (n, trust) in every_trust(id).into_iter().enumerate() {
        let mut account = draft(&format!("{n}"), credential);
        account.destination.security = Security::Implicit(trust);
        store.add_account(&account, None, &[]).await.unwrap();
    }
    let mut plain = draft("plain", credential);
    plain.destination.security = Security::Plain;
    store.add_account(&plain, None, &[]).await.unwrap();
    for (wanted, expected) in [(true, &["3", "4"][..]), (false, &["0", "1", "2", "plain"])] {
        let filter = AccountFilter { skip_certificate: Some(wanted), ..AccountFilter::default() };
        let page =
            store.list_accounts(&AccountQuery { filter: filter.clone(), ..AccountQuery::default() }).await.unwrap();
        assert_eq!(page.items.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), expected);
        let ids = store.matching_accounts(&filter, AccountSort::default()).await.unwrap();
        assert_eq!((ids.len(), page.total), (expected.len(), expected.len() as u64));
    }
}
