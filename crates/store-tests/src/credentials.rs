//! Credentials: sealed secrets, names, where they are used.

use domain::{
    account::{Failure, Health, User},
    audit::AuditAction,
    check::ErrorKind,
    credential::CredentialDraft,
    ids::CredentialId,
    page::PageRequest,
};
use service::ports::{SealedSecret, StoreError};

use crate::{
    Subject,
    samples::{account, at, connector_draft, credential, draft, entry},
};

fn new(name: &str, username: &str) -> CredentialDraft {
    CredentialDraft { name: name.to_owned(), username: username.to_owned(), oauth: None, secret_ends_on: None }
}

pub async fn a_credential_comes_back_as_it_was_added(store: Subject) {
    assert!(!store.has_sealed_secrets().await.unwrap());
    let id = credential(&store, "Ops").await;
    assert!(store.has_sealed_secrets().await.unwrap());
    let found = store.find_credential(id).await.unwrap().unwrap();
    assert_eq!((found.id, found.version, found.name.as_str(), found.n_uses), (id, 1, "Ops", 0));
    assert_eq!((found.secret_set_at, found.secret_set_by.as_str()), (at(0), "ana"));
    let sealed = store.sealed_credential(id).await.unwrap().unwrap();
    assert_eq!((sealed.username.as_str(), sealed.is_oauth), ("Ops@example.org", false));
    assert_eq!(sealed.secret, SealedSecret(vec![1, 2, 3]));
    let choices = store.credential_choices().await.unwrap();
    assert_eq!((choices[0].id, choices[0].name.as_str(), choices[0].hint.as_str()), (id.0, "Ops", "Ops@example.org"));
    assert_eq!(store.find_credential(CredentialId(99)).await.unwrap(), None);
    assert!(store.sealed_credential(CredentialId(99)).await.unwrap().is_none());
}

pub async fn reserved_ids_are_different(store: Subject) {
    let (first, second) = tokio::join!(store.next_credential_id(), store.next_credential_id());
    assert_ne!(first.unwrap(), second.unwrap());
}

pub async fn the_search_looks_at_names_and_user_names(store: Subject) {
    for (name, username) in [("b Zürich", "ops"), ("A", "zurich@example.org"), ("c", "100%")] {
        let id = store.next_credential_id().await.unwrap();
        store.add_credential(id, &new(name, username), &SealedSecret(Vec::new()), &[]).await.unwrap();
    }
    for (search, expected) in [("", &["A", "b Zürich", "c"][..]), ("ZURI", &["A", "b Zürich"]), ("%", &["c"])] {
        let page = store.list_credentials(search, PageRequest::default()).await.unwrap();
        assert_eq!(page.items.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(page.total, expected.len() as u64);
    }
    let second = store.list_credentials("", PageRequest::new(2, 2)).await.unwrap();
    assert_eq!((second.total, second.items.len(), second.items[0].name.as_str()), (3, 1, "c"));
}

pub async fn names_are_unique_and_versions_checked(store: Subject) {
    let first = credential(&store, "Été").await;
    let second = credential(&store, "other").await;
    let id = store.next_credential_id().await.unwrap();
    let taken = store.add_credential(id, &new("ete", "x"), &SealedSecret(Vec::new()), &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    let taken = store.change_credential(second, 1, &new("ETE", "x"), None, &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    assert_eq!(store.change_credential(first, 1, &new("summer", "x"), None, &[]).await.unwrap(), 2);
    let stale = store.change_credential(first, 1, &new("summer", "x"), None, &[]).await;
    assert!(matches!(stale, Err(StoreError::Conflict)), "{stale:?}");
    assert!(matches!(store.remove_credential(first, 1, &[]).await, Err(StoreError::Conflict)));
    assert!(matches!(store.remove_credential(CredentialId(99), 1, &[]).await, Err(StoreError::NotFound)));
}

pub async fn the_secret_stays_unless_a_new_one_is_given(store: Subject) {
    let id = credential(&store, "a").await;
    let mut audit = entry(AuditAction::CredentialChanged, "bob", "a");
    audit.at = at(9);
    store.change_credential(id, 1, &new("a", "renamed"), None, &[audit.clone()]).await.unwrap();
    let sealed = store.sealed_credential(id).await.unwrap().unwrap();
    assert_eq!((sealed.username.as_str(), sealed.secret), ("renamed", SealedSecret(vec![1, 2, 3])));
    assert_eq!(store.find_credential(id).await.unwrap().unwrap().secret_set_by, "ana");
    store.change_credential(id, 2, &new("a", "renamed"), Some(&SealedSecret(vec![4])), &[audit]).await.unwrap();
    let changed = store.find_credential(id).await.unwrap().unwrap();
    assert_eq!((changed.version, changed.secret_set_at, changed.secret_set_by.as_str()), (3, at(9), "bob"));
    assert_eq!(store.sealed_credential(id).await.unwrap().unwrap().secret, SealedSecret(vec![4]));
}

pub async fn a_new_secret_ends_the_stop_of_its_accounts(store: Subject) {
    let id = account(&store, "a").await;
    let other = account(&store, "b").await;
    let failure = Failure {
        kind: ErrorKind::Authentication,
        message: "wrong".to_owned(),
        since: at(1),
        n_failures: 2,
        is_stopped: true,
    };
    let stopped = Health { failure: Some(failure), ..Health::default() };
    for id in [id, other] {
        crate::checks::check_once(&store, id, stopped.clone()).await;
    }
    let credential = store.find_account(id).await.unwrap().unwrap().draft.credential_id;
    // Another name changes nothing for the accounts.
    store.change_credential(credential, 1, &new("a", "x"), None, &[]).await.unwrap();
    assert_eq!(store.find_account(id).await.unwrap().unwrap().health, stopped);
    let mut audit = entry(AuditAction::CredentialChanged, "ana", "a");
    audit.at = at(50);
    store.change_credential(credential, 2, &new("a", "x"), Some(&SealedSecret(vec![4])), &[audit]).await.unwrap();
    let resumed = store.find_account(id).await.unwrap().unwrap().health;
    assert_eq!(resumed, Health { next_check_at: Some(at(50)), ..Health::default() });
    assert_eq!(store.find_account(other).await.unwrap().unwrap().health, stopped);
}

pub async fn a_credential_in_use_stays(store: Subject) {
    let id = credential(&store, "a").await;
    let account = store.add_account(&draft("one", id), None, &[]).await.unwrap();
    let connector = store.add_connector(&connector_draft("p", Some(id)), &[]).await.unwrap();
    assert_eq!(store.find_credential(id).await.unwrap().unwrap().n_uses, 2);
    assert_eq!(
        store.credential_used_by(id).await.unwrap(),
        [(User::Account(account), "one".to_owned()), (User::Connector(connector), "p".to_owned())]
    );
    // A removed account can be restored, so it still needs its credential.
    store.remove_account(account, 1, at(1), &[]).await.unwrap();
    assert!(matches!(store.remove_credential(id, 1, &[]).await, Err(StoreError::InUse)));
    store.remove_connector(connector, 1, &[]).await.unwrap();
    assert!(matches!(store.remove_credential(id, 1, &[]).await, Err(StoreError::InUse)));
    let other = credential(&store, "b").await;
    store.restore_account(account, None, &[]).await.unwrap();
    let version = store.find_account(account).await.unwrap().unwrap().version;
    store.change_account(account, version, &draft("one", other), None, &[]).await.unwrap();
    store.remove_credential(id, 1, &[]).await.unwrap();
    assert_eq!(store.find_credential(id).await.unwrap(), None);
}
