//! Users, sessions, tokens and settings.

use domain::{actor::Role, ids::UserId};
use service::ports::StoreError;

use crate::{Subject, samples::at};

async fn user(store: &Subject, name: &str) -> UserId {
    store.add_user(name, Role::Administrator, "$argon2id$", false, &[]).await.unwrap()
}

pub async fn only_one_first_user_is_made(store: Subject) {
    assert_eq!(store.count_users().await.unwrap(), 0);
    let add = |name| store.add_user(name, Role::Administrator, "x", true, &[]);
    let (first, second) = tokio::join!(add("ana"), add("bob"));
    assert!(first.is_ok() != second.is_ok());
    assert!(matches!(first.and(second), Err(StoreError::Conflict)));
    assert_eq!(store.count_users().await.unwrap(), 1);
}

pub async fn users_are_found_without_regard_to_case(store: Subject) {
    let id = store.add_user("Zoë", Role::Viewer, "$argon2id$x", false, &[]).await.unwrap();
    let found = store.find_user("ZOE").await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.role), (id, "Zoë", Role::Viewer));
    assert_eq!(found.password_hash, "$argon2id$x");
    let taken = store.add_user("zoe", Role::Viewer, "x", false, &[]).await;
    assert!(matches!(taken, Err(StoreError::Taken { field: "name" })), "{taken:?}");
    assert!(store.find_user("zoe%").await.unwrap().is_none());
    assert!(store.find_user("zoe\0").await.unwrap().is_none());
}

pub async fn sessions_are_found_touched_and_removed(store: Subject) {
    let id = user(&store, "ana").await;
    store.add_session(&[1, 0, 255], id, at(0), &[]).await.unwrap();
    store.touch_session(&[1, 0, 255], at(5)).await.unwrap();
    let session = store.find_session(&[1, 0, 255]).await.unwrap().unwrap();
    assert_eq!((session.user.id, session.created_at, session.last_used_at), (id, at(0), at(5)));
    assert!(store.find_session(&[1]).await.unwrap().is_none());
    store.remove_session(&[1, 0, 255], &[]).await.unwrap();
    assert!(store.find_session(&[1, 0, 255]).await.unwrap().is_none());
}

pub async fn expired_sessions_go(store: Subject) {
    let id = user(&store, "ana").await;
    for (hash, created, used) in [(1, 0, 100), (2, 50, 60), (3, 50, 100)] {
        store.add_session(&[hash], id, at(created), &[]).await.unwrap();
        store.touch_session(&[hash], at(used)).await.unwrap();
    }
    assert_eq!(store.remove_expired_sessions(at(10), at(70)).await.unwrap(), 2);
    assert!(store.find_session(&[3]).await.unwrap().is_some());
}

pub async fn tokens_lead_to_their_user(store: Subject) {
    let id = user(&store, "ana").await;
    store.add_token(&[7; 32], id, at(0), &[]).await.unwrap();
    assert_eq!(store.find_token(&[7; 32]).await.unwrap().unwrap().id, id);
    assert!(store.find_token(&[8; 32]).await.unwrap().is_none());
}

pub async fn a_setting_is_set_once(store: Subject) {
    assert_eq!(store.setting("salt").await.unwrap(), None);
    let (first, second) = tokio::join!(store.setting_or("salt", "a"), store.setting_or("salt", "b"));
    assert_eq!(first.unwrap(), second.unwrap());
    let set = store.setting("salt").await.unwrap().unwrap();
    assert_eq!(store.setting_or("salt", "c").await.unwrap(), set);
}
