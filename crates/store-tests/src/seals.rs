//! Sealed secrets: which key may seal, and how rows get another seal.

use domain::{
    audit::{AuditAction, AuditEntry, AuditQuery},
    credential::CredentialDraft,
    ids::CredentialId,
    incident::Role,
    notices::Webhook,
    oauth::{Grant, OAuthDraft, Provider},
};
use service::{
    ports::{
        Consent, FIRST_KEY, InstanceKeys, KeptTokens, KeyChange, NewDeviceFlow, Resealed, SEALING_KEY, SealedAt,
        SealedCount, SealedPlace, SealedRow, SealedSecret, StoreError,
    },
    vault::{KeyId, sealed_by},
};

use crate::{
    Subject,
    samples::{at, credential, entry},
};

const OLD: &str = "00000000000000aa";
const NEW: &str = "00000000000000bb";
const NEXT: &str = "00000000000000cc";

fn key(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

/// Begins like a seal by that key.
fn seal(by: &str, secret: u8) -> SealedSecret {
    let id = u64::from_str_radix(by, 16).unwrap().to_be_bytes();
    let sealed = SealedSecret([&[2], id.as_slice(), &[secret]].concat());
    assert_eq!(sealed_by(&sealed.0), Some(key(by)));
    sealed
}

fn draft(name: &str) -> CredentialDraft {
    let oauth = OAuthDraft {
        provider: Provider::Other,
        grant: Grant::AuthorizationCode,
        tenant: String::new(),
        client_id: "posthorn".to_owned(),
        scopes: "mail".to_owned(),
        authorize_url: Some(Webhook::parse("https://id.example.org/authorize").unwrap()),
        device_url: None,
        token_url: Webhook::parse("https://id.example.org/token").unwrap(),
    };
    CredentialDraft { name: name.to_owned(), username: "ana".to_owned(), oauth: Some(oauth), secret_ends_on: None }
}

async fn add(store: &Subject, name: &str, sealed: &SealedSecret) -> Result<CredentialId, StoreError> {
    let id = store.next_credential_id().await.unwrap();
    store.add_credential(id, &draft(name), sealed, &[]).await.map(|()| id)
}

async fn keep_tokens(store: &Subject, id: CredentialId, sealed: SealedSecret) -> Result<(), StoreError> {
    let fence = store.take_renewal(id, at(0), at(60), true).await.unwrap().unwrap();
    let kept = KeptTokens { sealed, obtained_at: at(0), expires_at: at(100), renew_at: at(75), consent_ends_at: None };
    store.keep_tokens(id, fence, &kept, &[]).await
}

/// The state that the provider hands back is the credential's number.
async fn start_consent(store: &Subject, id: CredentialId, sealed: SealedSecret) -> Result<(), StoreError> {
    let consent = Consent { hash: id.0.to_be_bytes().to_vec(), sealed, until: at(600) };
    store.start_consent(id, &consent).await
}

/// Begins when the one before is over.
async fn start_device(store: &Subject, id: CredentialId, sealed: SealedSecret, from: i64) -> Result<(), StoreError> {
    let new = NewDeviceFlow {
        sealed,
        started_by: "ana".to_owned(),
        started_at: at(from),
        until: at(from + 600),
        interval_s: 5,
        poll_at: at(from + 5),
    };
    store.start_device(id, &new, &[]).await
}

/// A credential with a secret in each place.
async fn filled(store: &Subject, name: &str, by: &str) -> CredentialId {
    let id = add(store, name, &seal(by, 1)).await.unwrap();
    keep_tokens(store, id, seal(by, 2)).await.unwrap();
    start_consent(store, id, seal(by, 3)).await.unwrap();
    start_device(store, id, seal(by, 4), 0).await.unwrap();
    id
}

async fn change(store: &Subject, before: &str, after: &str) -> Result<Vec<InstanceKeys>, StoreError> {
    let change = KeyChange { before: key(before), after: key(after), seen_since: at(0) };
    store.change_sealing_key(&change, &[changed()]).await
}

fn changed() -> AuditEntry {
    entry(AuditAction::MasterKeyChanged, "ana", "master key")
}

fn resealed() -> AuditEntry {
    entry(AuditAction::SecretsResealed, "ana", "some")
}

async fn audited(store: &Subject) -> Vec<AuditEntry> {
    let listed = store.list_audit(&AuditQuery::default()).await.unwrap();
    listed.items.into_iter().map(|it| it.entry).collect()
}

async fn stored(store: &Subject, at: SealedAt) -> Option<SealedSecret> {
    let rows = store.sealed_rows(at.place, at.id - 1, 1).await.unwrap();
    rows.into_iter().find(|it| it.at == at).map(|it| it.sealed)
}

#[track_caller]
fn assert_other_key<T: std::fmt::Debug>(written: &Result<T, StoreError>) {
    assert!(matches!(written, Err(StoreError::OtherKey)), "{written:?}");
}

pub async fn only_the_key_that_seals_may_seal(store: Subject) {
    store.setting_or(SEALING_KEY, OLD).await.unwrap();
    let id = filled(&store, "a", OLD).await;
    let wrong = change(&store, NEW, OLD).await;
    assert!(matches!(wrong, Err(StoreError::Conflict)), "{wrong:?}");
    assert!(audited(&store).await.is_empty());
    assert!(change(&store, OLD, NEW).await.unwrap().is_empty());
    assert_eq!(store.setting(SEALING_KEY).await.unwrap().as_deref(), Some(NEW));
    assert_eq!(audited(&store).await, [changed()]);
    for old in [seal(OLD, 9), seal(NEXT, 9), SealedSecret(vec![1, 9])] {
        assert_other_key(&add(&store, "b", &old).await);
        assert_other_key(&store.change_credential(id, 1, &draft("a"), Some(&old), &[]).await);
        assert_other_key(&keep_tokens(&store, id, old.clone()).await);
        assert_other_key(&start_consent(&store, id, old.clone()).await);
        assert_other_key(&start_device(&store, id, old.clone(), 700).await);
        let claim = store.claim_device(id, at(5), at(5)).await.unwrap().unwrap();
        let kept = KeptTokens {
            sealed: old,
            obtained_at: at(0),
            expires_at: at(100),
            renew_at: at(75),
            consent_ends_at: None,
        };
        assert_other_key(&store.grant_device(id, claim.fence, &kept, &[]).await);
    }
    for (place, secret) in SealedPlace::ALL.into_iter().zip(1..) {
        assert_eq!(stored(&store, place.of(id.0)).await, Some(seal(OLD, secret)), "{place:?}");
    }
    // Without a secret nothing is asked of any key.
    assert_eq!(store.change_credential(id, 1, &draft("a"), None, &[]).await.unwrap(), 2);
    assert_eq!(store.change_credential(id, 2, &draft("a"), Some(&seal(NEW, 11)), &[]).await.unwrap(), 3);
    keep_tokens(&store, id, seal(NEW, 12)).await.unwrap();
    start_consent(&store, id, seal(NEW, 13)).await.unwrap();
    start_device(&store, id, seal(NEW, 14), 700).await.unwrap();
    for (place, secret) in SealedPlace::ALL.into_iter().zip(11..) {
        assert_eq!(stored(&store, place.of(id.0)).await, Some(seal(NEW, secret)), "{place:?}");
    }
    add(&store, "b", &seal(NEW, 7)).await.unwrap();
}

pub async fn the_first_key_is_remembered(store: Subject) {
    store.setting_or(SEALING_KEY, OLD).await.unwrap();
    assert!(change(&store, OLD, NEW).await.unwrap().is_empty());
    assert!(change(&store, NEW, NEXT).await.unwrap().is_empty());
    assert_eq!(store.setting(FIRST_KEY).await.unwrap().as_deref(), Some(OLD));
}

pub async fn a_seal_is_replaced_only_if_nobody_changed_it(store: Subject) {
    store.setting_or(SEALING_KEY, OLD).await.unwrap();
    let ids = [filled(&store, "a", OLD).await, filled(&store, "b", OLD).await];
    let mut read = Vec::new();
    for (place, secret) in SealedPlace::ALL.into_iter().zip(1..) {
        let rows = store.sealed_rows(place, 0, 1).await.unwrap();
        assert_eq!(rows, [SealedRow { at: place.of(ids[0].0), sealed: seal(OLD, secret) }]);
        let rest = store.sealed_rows(place, ids[0].0, 9).await.unwrap();
        assert_eq!(rest, [SealedRow { at: place.of(ids[1].0), sealed: seal(OLD, secret) }]);
        read.push([rows, rest].concat());
    }
    let anew = |rows: &[SealedRow], secret| -> Vec<Resealed> {
        rows.iter().map(|it| Resealed { before: it.clone(), after: seal(NEW, secret) }).collect()
    };
    assert_other_key(&store.replace_seals(&anew(&read[0], 1), &[resealed()]).await);
    assert!(change(&store, OLD, NEW).await.unwrap().is_empty());
    // Somebody changes the second of each before it is sealed anew.
    store.change_credential(ids[1], 1, &draft("b"), Some(&seal(NEW, 7)), &[]).await.unwrap();
    keep_tokens(&store, ids[1], seal(NEW, 7)).await.unwrap();
    start_consent(&store, ids[1], seal(NEW, 7)).await.unwrap();
    start_device(&store, ids[1], seal(NEW, 7), 700).await.unwrap();
    for (rows, n) in read.iter().zip(1..) {
        let (first, second) = (rows[0].at, rows[1].at);
        assert_eq!(store.replace_seals(&anew(rows, 8), &[resealed()]).await.unwrap(), 1, "{first}");
        assert_eq!(stored(&store, first).await, Some(seal(NEW, 8)));
        assert_eq!(stored(&store, second).await, Some(seal(NEW, 7)), "what was changed is not overwritten");
        assert_eq!(audited(&store).await.iter().filter(|it| **it == resealed()).count(), n);
        assert_eq!(store.replace_seals(&anew(rows, 9), &[resealed()]).await.unwrap(), 0, "nothing is as it was read");
        assert_eq!(audited(&store).await.iter().filter(|it| **it == resealed()).count(), n, "nothing was done");
    }
    // Who sees the record sees no change: no form that is open is stale, and no token is taken for another one.
    assert_eq!(store.find_credential(ids[0]).await.unwrap().unwrap().version, 1);
    assert_eq!(store.find_oauth(ids[0]).await.unwrap().unwrap().status.obtained_at, Some(at(0)));
    let consent = store.take_consent(&ids[0].0.to_be_bytes(), at(1)).await.unwrap();
    assert_eq!(consent, Some((ids[0], seal(NEW, 8))));
    assert!(store.sealed_rows(SealedPlace::OauthConsent, 0, 9).await.unwrap().iter().all(|it| it.at.id == ids[1].0));
}

pub async fn of_seals_by_two_keys_none_is_written(store: Subject) {
    store.setting_or(SEALING_KEY, OLD).await.unwrap();
    let ids = [add(&store, "a", &seal(OLD, 1)).await.unwrap(), add(&store, "b", &seal(OLD, 1)).await.unwrap()];
    assert!(change(&store, OLD, NEW).await.unwrap().is_empty());
    let rows = store.sealed_rows(SealedPlace::Credential, 0, 9).await.unwrap();
    let by = [NEW, NEXT].map(|it| seal(it, 1));
    let rows: Vec<_> = rows.into_iter().zip(by).map(|(before, after)| Resealed { before, after }).collect();
    assert_other_key(&store.replace_seals(&rows, &[resealed()]).await);
    for id in ids {
        assert_eq!(stored(&store, SealedPlace::Credential.of(id.0)).await, Some(seal(OLD, 1)));
    }
}

/// Whatever is under way when the key changes is either there when the change is done, or refused.
pub async fn nothing_is_sealed_by_a_key_that_seals_no_more(store: Subject) {
    async fn n_old(store: &Subject) -> u64 {
        let counts = store.count_sealed(SealedPlace::Credential).await.unwrap();
        counts.iter().filter(|it| sealed_by(&it.head) == Some(key(OLD))).map(|it| it.n).sum()
    }
    store.setting_or(SEALING_KEY, OLD).await.unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Subject::clone(&store);
            tokio::spawn(async move {
                let mut n_written = 0;
                loop {
                    match add(&store, &format!("{writer} {n_written}"), &seal(OLD, 1)).await {
                        Ok(_) => n_written += 1,
                        Err(StoreError::OtherKey) => return n_written,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    while n_old(&store).await < 20 {
        tokio::task::yield_now().await;
    }
    assert!(change(&store, OLD, NEW).await.unwrap().is_empty());
    let n_then = n_old(&store).await;
    let mut n_written = 0;
    for writer in writers {
        n_written += writer.await.unwrap();
    }
    assert_eq!((n_old(&store).await, n_written), (n_then, n_then));
}

pub async fn secrets_are_counted_by_their_keys(store: Subject) {
    credential(&store, "first form").await;
    credential(&store, "and another").await;
    for (name, by) in [("a", OLD), ("b", OLD), ("c", NEW)] {
        filled(&store, name, by).await;
    }
    let head = |by| seal(by, 0).0[..9].to_vec();
    let by_keys = [SealedCount { head: head(OLD), n: 2 }, SealedCount { head: head(NEW), n: 1 }];
    for place in SealedPlace::ALL {
        let mut counts = store.count_sealed(place).await.unwrap();
        counts.sort_by(|one, other| one.head.cmp(&other.head));
        let of_first_form = (place == SealedPlace::Credential).then(|| SealedCount { head: vec![1], n: 2 });
        assert_eq!(counts, of_first_form.into_iter().chain(by_keys.clone()).collect::<Vec<_>>(), "{place:?}");
    }
}

pub async fn the_key_stays_while_an_instance_does_not_hold_the_next(store: Subject) {
    store.setting_or(SEALING_KEY, OLD).await.unwrap();
    let both = format!("{NEW} {OLD}");
    let touch = |id: &'static str, keys: &str, seconds| {
        let (store, keys) = (Subject::clone(&store), keys.to_owned());
        async move { store.touch_instance(id, Role::Web, "mx1", &keys, at(seconds), at(seconds - 60)).await.unwrap() }
    };
    touch("knows", &both, 10).await;
    touch("old", OLD, 10).await;
    touch("of another release", "", 11).await;
    let without = change(&store, OLD, NEW).await.unwrap();
    assert_eq!(without.iter().map(|it| &*it.instance).collect::<Vec<_>>(), ["of another release", "old"]);
    assert_eq!(store.setting(SEALING_KEY).await.unwrap().as_deref(), Some(OLD));
    assert!(store.setting(FIRST_KEY).await.unwrap().is_none() && audited(&store).await.is_empty());
    let known = InstanceKeys { instance: "knows".to_owned(), host: "mx1".to_owned(), key_ids: both.clone() };
    assert_eq!(store.instance_keys(at(10)).await.unwrap()[0], known);
    assert!(known.holds(key(OLD)) && known.holds(key(NEW)) && !known.holds(key(NEXT)));
    // One began again with both keys, the other has ended.
    touch("old", &both, 20).await;
    assert_eq!(store.instance_keys(at(20)).await.unwrap().len(), 1);
    store.remove_instance("of another release").await.unwrap();
    assert!(change(&store, OLD, NEW).await.unwrap().is_empty());
}
