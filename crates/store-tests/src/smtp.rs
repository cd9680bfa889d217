//! Outgoing mail: names, versions, references, the one default.

use domain::{
    account::{Address, Destination, Route, Security, Trust, User},
    email::EmailAddress,
    ids::{CredentialId, SmtpId},
    page::PageRequest,
    smtp::SmtpDraft,
    time::Day,
};
use service::ports::StoreError;

use crate::{
    Subject,
    samples::{connector, credential},
};

pub(crate) fn draft(name: &str) -> SmtpDraft {
    SmtpDraft {
        name: name.to_owned(),
        enabled: true,
        is_default: false,
        sender: EmailAddress::from_stored("posthorn@example.org".to_owned()),
        reply_to: Some(EmailAddress::from_stored("help@example.org".to_owned())),
        destination: Destination {
            address: Address::from_stored("smtp.example.org".to_owned()),
            port: 587,
            security: Security::StartTls(Trust::SkipCertificate { until: None }),
            route: Route::Direct,
        },
        credential_id: None,
        skip_reason: String::new(),
    }
}

pub async fn a_record_comes_back_as_it_was_added(store: Subject) {
    let credential = credential(&store, "c").await;
    let connector = connector(&store, "p").await;
    let mut draft = draft("Relay");
    draft.credential_id = Some(credential);
    draft.destination.route = Route::Connector(connector);
    let until = Day::parse("2026-12-31");
    draft.destination.security = Security::StartTls(Trust::SkipCertificate { until });
    "until the new relay".clone_into(&mut draft.skip_reason);
    let id = store.add_smtp(&draft, &[]).await.unwrap();
    let found = store.find_smtp(id).await.unwrap().unwrap();
    assert_eq!((found.id, found.version, found.draft), (id, 1, draft));
    let page = store.list_smtp("POSTHORN@", PageRequest::default()).await.unwrap();
    assert_eq!((page.total, page.items[0].id), (1, id));
    assert_eq!(store.list_smtp("nobody", PageRequest::default()).await.unwrap().total, 0);
    // What it refers to stays, and says why.
    assert!(matches!(store.remove_credential(credential, 1, &[]).await, Err(StoreError::InUse)));
    assert!(matches!(store.remove_connector(connector, 1, &[]).await, Err(StoreError::InUse)));
    let user = [(User::Smtp(id), "Relay".to_owned())];
    assert_eq!(store.credential_used_by(credential).await.unwrap(), user);
    assert_eq!(store.connector_used_by(connector).await.unwrap(), user);
    assert_eq!(store.find_credential(credential).await.unwrap().unwrap().n_uses, 1);
    assert_eq!(store.find_connector(connector).await.unwrap().unwrap().n_uses, 1);
    store.remove_smtp(id, 1, &[]).await.unwrap();
    assert_eq!(store.find_smtp(id).await.unwrap(), None);
}

pub async fn names_versions_and_references_are_checked(store: Subject) {
    let id = store.add_smtp(&draft("Été"), &[]).await.unwrap();
    let taken = store.add_smtp(&draft("ete"), &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    let gone = store.add_smtp(&SmtpDraft { credential_id: Some(CredentialId(99)), ..draft("x") }, &[]).await;
    assert!(matches!(gone, Err(StoreError::Gone { field: "credential_id" })), "{gone:?}");
    let changed = SmtpDraft { enabled: false, reply_to: None, ..draft("summer") };
    assert_eq!(store.change_smtp(id, 1, &changed, &[]).await.unwrap(), 2);
    assert_eq!(store.find_smtp(id).await.unwrap().unwrap().draft, changed);
    assert!(matches!(store.change_smtp(id, 1, &changed, &[]).await, Err(StoreError::Conflict)));
    assert!(matches!(store.remove_smtp(id, 1, &[]).await, Err(StoreError::Conflict)));
    assert!(matches!(store.remove_smtp(SmtpId(99), 1, &[]).await, Err(StoreError::NotFound)));
}

pub async fn there_is_one_default(store: Subject) {
    let default = |name: &str| SmtpDraft { is_default: true, ..draft(name) };
    assert_eq!(store.default_smtp().await.unwrap(), None);
    let first = store.add_smtp(&default("one"), &[]).await.unwrap();
    let second = store.add_smtp(&default("two"), &[]).await.unwrap();
    assert_eq!(store.default_smtp().await.unwrap().map(|it| it.id), Some(second));
    let before = store.find_smtp(first).await.unwrap().unwrap();
    assert!(!before.draft.is_default);
    // Who is the default already keeps it by a change, and its version counts by one.
    assert_eq!(store.change_smtp(second, 1, &default("two"), &[]).await.unwrap(), 2);
    assert_eq!(store.find_smtp(second).await.unwrap().unwrap().version, 2);
    store.change_smtp(first, before.version, &default("one"), &[]).await.unwrap();
    assert_eq!(store.default_smtp().await.unwrap().map(|it| it.id), Some(first));
    let off = SmtpDraft { enabled: false, ..default("one") };
    store.change_smtp(first, before.version + 1, &off, &[]).await.unwrap();
    assert_eq!(store.default_smtp().await.unwrap(), None);
}
