//! Network connectors: names, references, where they are used.

use domain::{
    account::{Address, Route, User},
    connector::{ConnectorDraft, ConnectorKind, Contact, HostKey},
    ids::{ConnectorId, CredentialId},
    page::PageRequest,
};
use service::ports::StoreError;

use crate::{
    Subject,
    samples::{at, connector, connector_draft, credential, draft},
};

pub async fn a_connector_comes_back_as_it_was_added(store: Subject) {
    let draft = connector_draft("Office", Some(credential(&store, "c").await));
    let id = store.add_connector(&draft, &[]).await.unwrap();
    let found = store.find_connector(id).await.unwrap().unwrap();
    assert_eq!((found.id, found.version, found.n_uses), (id, 1, 0));
    assert_eq!(found.draft, draft);
    let choices = store.connector_choices().await.unwrap();
    assert_eq!(
        (choices[0].id, choices[0].name.as_str(), choices[0].hint.as_str()),
        (id.0, "Office", "proxy.example.org")
    );
    assert_eq!(store.find_connector(ConnectorId(99)).await.unwrap(), None);
    let plant = ConnectorDraft {
        kind: ConnectorKind::Agent,
        address: Address::from_stored(String::new()),
        port: 0,
        ..connector_draft("Plant", None)
    };
    let id = store.add_connector(&plant, &[]).await.unwrap();
    assert_eq!(store.find_connector(id).await.unwrap().unwrap().draft, plant);
    assert_eq!(store.connector_choices().await.unwrap()[1].hint, "Agent");
}

pub async fn the_search_looks_at_names_and_addresses(store: Subject) {
    for (name, address) in [("b Órgão", "192.0.2.1"), ("A", "orgao.example"), ("c", "192.0.2.2")] {
        let mut draft = connector_draft(name, None);
        draft.address = Address::from_stored(address.to_owned());
        store.add_connector(&draft, &[]).await.unwrap();
    }
    for (search, expected) in [("", &["A", "b Órgão", "c"][..]), ("ORGAO", &["A", "b Órgão"]), ("_", &[])] {
        let page = store.list_connectors(search, PageRequest::default()).await.unwrap();
        assert_eq!(page.items.iter().map(|it| it.draft.name.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(page.total, expected.len() as u64);
    }
}

pub async fn names_versions_and_references_are_checked(store: Subject) {
    let first = connector(&store, "Été").await;
    let second = connector(&store, "other").await;
    let taken = store.add_connector(&connector_draft("ete", None), &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    let taken = store.change_connector(second, 1, &connector_draft("ete", None), &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    let gone = store.add_connector(&connector_draft("new", Some(CredentialId(99))), &[]).await;
    assert!(matches!(gone, Err(StoreError::Gone { field: "credential_id" })), "{gone:?}");
    let mut draft = connector_draft("summer", None);
    draft.port = 1;
    assert_eq!(store.change_connector(first, 1, &draft, &[]).await.unwrap(), 2);
    assert_eq!(store.find_connector(first).await.unwrap().unwrap().draft, draft);
    assert!(matches!(store.change_connector(first, 1, &draft, &[]).await, Err(StoreError::Conflict)));
    assert!(matches!(store.remove_connector(ConnectorId(99), 1, &[]).await, Err(StoreError::NotFound)));
}

pub async fn a_connector_in_use_stays(store: Subject) {
    let id = connector(&store, "p").await;
    let direct = draft("one", credential(&store, "c").await);
    let mut routed = direct.clone();
    routed.destination.route = Route::Connector(id);
    let account = store.add_account(&routed, None, &[]).await.unwrap();
    assert_eq!(store.find_connector(id).await.unwrap().unwrap().n_uses, 1);
    assert_eq!(store.connector_used_by(id).await.unwrap(), [(User::Account(account), "one".to_owned())]);
    assert!(matches!(store.remove_connector(id, 1, &[]).await, Err(StoreError::InUse)));
    store.remove_account(account, 1, at(1), &[]).await.unwrap();
    assert!(matches!(store.remove_connector(id, 1, &[]).await, Err(StoreError::InUse)));
    store.restore_account(account, None, &[]).await.unwrap();
    let version = store.find_account(account).await.unwrap().unwrap().version;
    store.change_account(account, version, &direct, None, &[]).await.unwrap();
    store.remove_connector(id, 1, &[]).await.unwrap();
    assert_eq!(store.find_connector(id).await.unwrap(), None);
}

pub async fn a_host_key_stays_until_another_server_stands_there(store: Subject) {
    let mut draft = connector_draft("jump", Some(credential(&store, "c").await));
    draft.kind = ConnectorKind::Ssh;
    let id = store.add_connector(&draft, &[]).await.unwrap();
    let key = |letter: &str| HostKey::parse(&format!("SHA256:{}", letter.repeat(43))).unwrap();
    let kept = async || store.find_connector(id).await.unwrap().unwrap();
    assert_eq!(kept().await.host_key, None);
    assert!(matches!(store.approve_host_key(id, 2, &key("a"), &[]).await, Err(StoreError::Conflict)));
    assert!(matches!(store.approve_host_key(ConnectorId(99), 1, &key("a"), &[]).await, Err(StoreError::NotFound)));
    assert_eq!(store.approve_host_key(id, 1, &key("a"), &[]).await.unwrap(), 2);
    assert_eq!(store.approve_host_key(id, 2, &key("b"), &[]).await.unwrap(), 3);
    store.record_contact(id, at(1), None).await.unwrap();
    "renamed".clone_into(&mut draft.name);
    draft.credential_id = Some(credential(&store, "d").await);
    store.change_connector(id, 3, &draft, &[]).await.unwrap();
    let found = kept().await;
    assert_eq!((found.version, found.host_key, found.contact.last_ok_at), (4, Some(key("b")), Some(at(1))));
    draft.port += 1;
    store.change_connector(id, 4, &draft, &[]).await.unwrap();
    assert_eq!((kept().await.host_key, kept().await.contact), (None, Contact::default()));
}

pub async fn contact_is_written_once_a_minute_and_changes_no_version(store: Subject) {
    let id = connector(&store, "p").await;
    let kept = async || store.find_connector(id).await.unwrap().unwrap().contact;
    assert_eq!(kept().await, Contact::default());
    store.record_contact(id, at(0), None).await.unwrap();
    store.record_contact(id, at(59), None).await.unwrap();
    assert_eq!(kept().await.last_ok_at, Some(at(0)));
    store.record_contact(id, at(60), None).await.unwrap();
    assert_eq!(kept().await.last_ok_at, Some(at(60)));
    // What went wrong has a minute of its own: a change is seen at once.
    store.record_contact(id, at(61), Some("no answer")).await.unwrap();
    store.record_contact(id, at(62), Some("no answer again")).await.unwrap();
    let expected =
        Contact { last_ok_at: Some(at(60)), last_error_at: Some(at(61)), last_error: Some("no answer".to_owned()) };
    assert_eq!(kept().await, expected);
    store.record_contact(id, at(121), Some("refused")).await.unwrap();
    assert_eq!(kept().await.last_error.as_deref(), Some("refused"));
    store.record_contact(ConnectorId(99), at(0), None).await.unwrap();
    let listed = store.list_connectors("", PageRequest::default()).await.unwrap().items;
    assert_eq!((listed[0].version, listed[0].contact.last_error_at), (1, Some(at(121))));
}
