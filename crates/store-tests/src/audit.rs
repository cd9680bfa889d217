//! The audit log. That it refuses changes is tested beside each store's triggers: no port can try.

use domain::{
    audit::{AuditAction, AuditQuery},
    page::PageRequest,
};

use crate::{
    Subject,
    samples::{account, at, entry},
};

pub async fn entries_come_newest_first(store: Subject) {
    let entries: Vec<_> = (0..5)
        .map(|n| {
            let mut entry = entry(AuditAction::SignIn, "ana", &format!("session {n}"));
            entry.at = at(n);
            entry.before = (n == 1).then(|| r#"{"name":"é"}"#.to_owned());
            entry
        })
        .collect();
    store.add_audit(&entries[..2]).await.unwrap();
    store.add_audit(&entries[2..]).await.unwrap();
    let query = AuditQuery { page: PageRequest::new(2, 2), ..AuditQuery::default() };
    let page = store.list_audit(&query).await.unwrap();
    assert_eq!(page.total, 5);
    assert_eq!(page.items.into_iter().map(|it| it.entry).collect::<Vec<_>>(), [entries[2].clone(), entries[1].clone()]);
}

pub async fn every_filter_selects(store: Subject) {
    let entries = [
        entry(AuditAction::SignIn, "Élodie", "session"),
        entry(AuditAction::AccountAdded, "Élodie", r#"account 7 "50% São""#),
        entry(AuditAction::AccountAdded, "Marcel", "account 8"),
    ];
    store.add_audit(&entries).await.unwrap();
    let all = AuditQuery::default();
    let cases = [
        (AuditQuery { actor: "elo".to_owned(), ..all.clone() }, 2),
        // The name begins so; it is not enough that it holds the letters.
        (AuditQuery { actor: "odie".to_owned(), ..all.clone() }, 0),
        (AuditQuery { actor: "%".to_owned(), ..all.clone() }, 0),
        (AuditQuery { action: Some(AuditAction::AccountAdded), ..all.clone() }, 2),
        (AuditQuery { subject: "ACCOUNT".to_owned(), ..all.clone() }, 2),
        (AuditQuery { subject: "0% SAO".to_owned(), ..all.clone() }, 1),
        (AuditQuery { actor: "m".to_owned(), action: Some(AuditAction::SignIn), ..all.clone() }, 0),
        (all, 3),
    ];
    for (query, expected) in cases {
        let page = store.list_audit(&query).await.unwrap();
        assert_eq!((page.total, page.items.len() as u64), (expected, expected), "{query:?}");
    }
}

pub async fn a_refused_change_leaves_no_entry(store: Subject) {
    let id = account(&store, "a").await;
    let count = async || store.list_audit(&AuditQuery::default()).await.unwrap().total;
    let before = count().await;
    let audit = [entry(AuditAction::AccountRemoved, "ana", "a")];
    assert!(store.remove_account(id, 9, at(1), &audit).await.is_err());
    let draft = store.find_account(id).await.unwrap().unwrap().draft;
    assert!(store.add_account(&draft, None, &audit).await.is_err());
    assert_eq!(count().await, before);
    store.remove_account(id, 1, at(1), &audit).await.unwrap();
    assert_eq!(count().await, before + 1);
}

pub async fn what_a_stranger_typed_is_recorded(store: Subject) {
    store.add_audit(&[entry(AuditAction::SignInFailed, "a\0b", "\0")]).await.unwrap();
    let query = AuditQuery { actor: "A\0".to_owned(), ..AuditQuery::default() };
    assert_eq!(store.list_audit(&query).await.unwrap().items[0].entry.actor, "a\u{fffd}b");
}
