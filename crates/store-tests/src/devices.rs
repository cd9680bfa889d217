//! Device codes: one pending a credential, one who asks at a time, and tokens that are kept with the end of the flow.

use std::time::Duration;

use domain::{
    account::{Failure, Health},
    audit::{AuditAction, AuditQuery},
    check::ErrorKind,
    device::DeviceState,
    ids::CredentialId,
    oauth::TokenState,
};
use service::ports::{DeviceClaim, NewDeviceFlow, SealedSecret, StoreError};

use crate::{
    Subject,
    oauth::{credential, draft, settings, state, take, tokens},
    samples::{at, draft as account_draft, entry},
};

/// A code that is good for ten minutes, and about which the provider may be asked every five seconds.
fn flow(n: u8, seconds: i64) -> NewDeviceFlow {
    NewDeviceFlow {
        sealed: SealedSecret(vec![n]),
        started_by: "ana".to_owned(),
        started_at: at(seconds),
        until: at(seconds + 600),
        interval_s: 5,
        poll_at: at(seconds + 5),
    }
}

async fn start(store: &Subject, id: CredentialId, n: u8, seconds: i64) -> Result<(), StoreError> {
    store.start_device(id, &flow(n, seconds), &[entry(AuditAction::DeviceStarted, "ana", "a")]).await
}

async fn claim(store: &Subject, id: CredentialId, seconds: i64) -> Option<DeviceClaim> {
    store.claim_device(id, at(seconds), at(seconds).plus(Duration::from_mins(1))).await.unwrap()
}

async fn device(store: &Subject, id: CredentialId) -> (DeviceState, Option<SealedSecret>) {
    let row = store.find_device(id).await.unwrap().unwrap();
    (row.flow.state, row.sealed)
}

#[track_caller]
fn fenced(written: Result<(), StoreError>) {
    let error = written.unwrap_err();
    assert!(matches!(error, StoreError::Fenced), "{error:?}");
}

pub async fn one_is_pending_until_its_code_is_too_old(store: Subject) {
    let id = credential(&store).await;
    assert!(store.find_device(id).await.unwrap().is_none());
    start(&store, id, 1, 0).await.unwrap();
    let row = store.find_device(id).await.unwrap().unwrap();
    let (flow, sealed) = (row.flow, row.sealed);
    assert_eq!(
        (flow.state, flow.started_by.as_str(), sealed),
        (DeviceState::Pending, "ana", Some(SealedSecret(vec![1])))
    );
    assert_eq!((flow.started_at, flow.until, flow.interval_s), (at(0), at(600), 5));
    let second = start(&store, id, 2, 599).await;
    assert!(matches!(second, Err(StoreError::Conflict)), "{second:?}");
    start(&store, id, 3, 600).await.unwrap();
    assert_eq!(device(&store, id).await, (DeviceState::Pending, Some(SealedSecret(vec![3]))));
    let missing = start(&store, CredentialId(99), 1, 0).await;
    assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
    let audit = store.list_audit(&AuditQuery::default()).await.unwrap();
    let n_started = audit.items.iter().filter(|it| it.entry.action == AuditAction::DeviceStarted).count();
    assert_eq!(n_started, 2, "what was refused is in the log");
    store.remove_credential(id, 1, &[]).await.unwrap();
    assert!(store.find_device(id).await.unwrap().is_none());
}

pub async fn one_asks_at_a_time_and_never_too_soon(store: Subject) {
    let id = credential(&store).await;
    start(&store, id, 1, 0).await.unwrap();
    assert!(claim(&store, id, 4).await.is_none(), "before the interval is over");
    assert!(store.due_devices(at(4), 10).await.unwrap().is_empty());
    assert_eq!(store.due_devices(at(5), 10).await.unwrap(), [id]);
    let (one, two) = tokio::join!(claim(&store, id, 5), claim(&store, id, 5));
    assert!(one.is_some() != two.is_some(), "{one:?} {two:?}");
    let first = one.or(two).unwrap();
    assert_eq!((&first.sealed, first.interval_s, first.until), (&SealedSecret(vec![1]), 5, at(600)));
    assert!(store.due_devices(at(64), 10).await.unwrap().is_empty(), "somebody asks already");
    // Whoever took the right is gone: another one asks, and the first has nothing to say any more.
    let second = claim(&store, id, 65).await.unwrap();
    fenced(store.put_off_device(id, first.fence, 10, at(70)).await);
    fenced(store.grant_device(id, first.fence, &tokens(9, 65), &[]).await);
    fenced(store.end_device(id, first.fence, (DeviceState::Denied, "access_denied"), &[]).await);
    store.put_off_device(id, second.fence, 10, at(75)).await.unwrap();
    assert!(claim(&store, id, 74).await.is_none());
    assert_eq!(claim(&store, id, 75).await.unwrap().interval_s, 10);
    assert_eq!(state(&store, id).await, (TokenState::Never, None));
}

pub async fn tokens_and_the_end_of_the_flow_are_kept_together(store: Subject) {
    let id = credential(&store).await;
    let account = store.add_account(&account_draft("one", id), None, &[]).await.unwrap();
    let failure = Failure {
        kind: ErrorKind::Authentication,
        message: "nobody has consented".to_owned(),
        since: at(1),
        n_failures: 1,
        is_stopped: true,
    };
    let stopped = Health { failure: Some(failure), ..Health::default() };
    crate::checks::check_once(&store, account, stopped).await;
    start(&store, id, 1, 0).await.unwrap();
    let claimed = claim(&store, id, 5).await.unwrap();
    let renewal = take(&store, id, 6).await.unwrap();
    store
        .grant_device(id, claimed.fence, &tokens(7, 10), &[entry(AuditAction::OauthConsented, "ana", "a")])
        .await
        .unwrap();
    assert_eq!(device(&store, id).await, (DeviceState::Granted, None));
    assert_eq!(state(&store, id).await, (TokenState::Ok, Some(SealedSecret(vec![7]))));
    // What was under way renews what does not count any more.
    fenced(store.keep_tokens(id, renewal, &tokens(8, 11), &[]).await);
    fenced(store.grant_device(id, claimed.fence, &tokens(9, 12), &[]).await);
    let resumed = store.find_account(account).await.unwrap().unwrap().health;
    assert_eq!(resumed, Health { next_check_at: Some(at(10)), ..Health::default() });
    assert!(store.due_devices(at(500), 10).await.unwrap().is_empty());
    // It is over, so another may begin, and the old right is worth nothing in it.
    start(&store, id, 2, 20).await.unwrap();
    fenced(store.end_device(id, claimed.fence, (DeviceState::Denied, "access_denied"), &[]).await);
}

pub async fn who_ends_it_fences_out_who_asks(store: Subject) {
    let id = credential(&store).await;
    let cancelled = store.cancel_device(id, &[]).await;
    assert!(matches!(cancelled, Err(StoreError::NotFound)), "{cancelled:?}");
    start(&store, id, 1, 0).await.unwrap();
    let claimed = claim(&store, id, 5).await.unwrap();
    store.cancel_device(id, &[entry(AuditAction::DeviceCancelled, "ana", "a")]).await.unwrap();
    fenced(store.grant_device(id, claimed.fence, &tokens(1, 6), &[]).await);
    assert_eq!(device(&store, id).await, (DeviceState::Cancelled, None));
    assert_eq!(state(&store, id).await, (TokenState::Never, None));
    // Other settings are another client, to which nobody consented; another name is not.
    start(&store, id, 2, 10).await.unwrap();
    let renamed = domain::credential::CredentialDraft { name: "b".to_owned(), ..draft(Some(settings("one"))) };
    store.change_credential(id, 1, &renamed, None, &[]).await.unwrap();
    assert_eq!(device(&store, id).await.0, DeviceState::Pending);
    let claimed = claim(&store, id, 15).await.unwrap();
    store.change_credential(id, 2, &draft(Some(settings("two"))), None, &[]).await.unwrap();
    fenced(store.grant_device(id, claimed.fence, &tokens(2, 16), &[]).await);
    assert_eq!(device(&store, id).await, (DeviceState::Cancelled, None));
    // A refusal is kept with its reason.
    start(&store, id, 3, 20).await.unwrap();
    let claimed = claim(&store, id, 25).await.unwrap();
    store.end_device(id, claimed.fence, (DeviceState::Denied, "access_denied"), &[]).await.unwrap();
    let row = store.find_device(id).await.unwrap().unwrap();
    assert_eq!((row.flow.state, row.flow.message.as_deref()), (DeviceState::Denied, Some("access_denied")));
    assert!(row.sealed.is_none());
}
