//! OAuth 2.0: settings beside a credential, tokens behind a fence, consents that are taken once.

use std::time::Duration;

use domain::{
    account::{Failure, Health},
    audit::AuditAction,
    check::ErrorKind,
    credential::{CredentialDraft, TokensLast},
    ids::CredentialId,
    notices::Webhook,
    oauth::{Grant, OAuthDraft, Provider, TokenState},
    page::PageRequest,
    time::Day,
};
use service::ports::{Consent, KeptTokens, SealedSecret, StoreError};

use crate::{
    Subject,
    samples::{at, draft as account_draft, entry},
};

pub(crate) fn settings(client_id: &str) -> OAuthDraft {
    OAuthDraft {
        provider: Provider::Other,
        grant: Grant::AuthorizationCode,
        tenant: String::new(),
        client_id: client_id.to_owned(),
        scopes: "mail".to_owned(),
        authorize_url: Some(Webhook::parse("https://id.example.org/authorize").unwrap()),
        device_url: None,
        token_url: Webhook::parse("https://id.example.org/token").unwrap(),
    }
}

pub(crate) fn draft(settings: Option<OAuthDraft>) -> CredentialDraft {
    CredentialDraft { name: "a".to_owned(), username: "ana".to_owned(), oauth: settings, secret_ends_on: None }
}

pub(crate) async fn credential(store: &Subject) -> CredentialId {
    let id = store.next_credential_id().await.unwrap();
    store.add_credential(id, &draft(Some(settings("one"))), &SealedSecret(vec![1]), &[]).await.unwrap();
    id
}

pub(crate) fn tokens(n: u8, seconds: i64) -> KeptTokens {
    KeptTokens {
        sealed: SealedSecret(vec![n]),
        obtained_at: at(seconds),
        expires_at: at(seconds + 100),
        renew_at: at(seconds + 75),
        consent_ends_at: None,
    }
}

pub(crate) async fn take(store: &Subject, id: CredentialId, seconds: i64) -> Option<i64> {
    store.take_renewal(id, at(seconds), at(seconds).plus(Duration::from_mins(1)), false).await.unwrap()
}

pub(crate) async fn state(store: &Subject, id: CredentialId) -> (TokenState, Option<SealedSecret>) {
    let row = store.find_oauth(id).await.unwrap().unwrap();
    (row.status.state, row.tokens)
}

pub async fn settings_stand_beside_their_credential_and_go_with_it(store: Subject) {
    let id = credential(&store).await;
    assert!(store.find_credential(id).await.unwrap().unwrap().is_oauth);
    assert!(store.sealed_credential(id).await.unwrap().unwrap().is_oauth);
    let row = store.find_oauth(id).await.unwrap().unwrap();
    assert_eq!((row.status.settings, row.status.state), (settings("one"), TokenState::Never));
    assert!(row.tokens.is_none() && row.renew_at.is_none());
    store.remove_credential(id, 1, &[]).await.unwrap();
    assert!(store.find_oauth(id).await.unwrap().is_none());
    assert!(store.find_oauth(CredentialId(99)).await.unwrap().is_none());
}

pub async fn other_settings_make_the_tokens_void_and_other_names_do_not(store: Subject) {
    let id = credential(&store).await;
    let fence = take(&store, id, 0).await.unwrap();
    store.keep_tokens(id, fence, &tokens(7, 0), &[]).await.unwrap();
    let renamed = CredentialDraft { name: "b".to_owned(), ..draft(Some(settings("one"))) };
    store.change_credential(id, 1, &renamed, None, &[]).await.unwrap();
    assert_eq!(state(&store, id).await, (TokenState::Ok, Some(SealedSecret(vec![7]))));
    let fence = take(&store, id, 1).await.unwrap();
    store.change_credential(id, 2, &draft(Some(settings("two"))), None, &[]).await.unwrap();
    assert_eq!(state(&store, id).await, (TokenState::Never, None));
    // What was asked for with the old settings is not kept for the new ones.
    let late = store.keep_tokens(id, fence, &tokens(8, 1), &[]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(state(&store, id).await, (TokenState::Never, None));
}

pub async fn one_at_a_time_renews_and_who_lost_the_right_writes_nothing(store: Subject) {
    let id = credential(&store).await;
    let (one, two) = tokio::join!(take(&store, id, 0), take(&store, id, 0));
    assert!(one.is_some() != two.is_some(), "{one:?} {two:?}");
    let first = one.or(two).unwrap();
    assert_eq!(take(&store, id, 59).await, None);
    let second = take(&store, id, 60).await.unwrap();
    for written in
        [store.keep_tokens(id, first, &tokens(1, 60), &[]).await, store.refuse_tokens(id, first, "invalid_grant").await]
    {
        assert!(matches!(written, Err(StoreError::Fenced)), "{written:?}");
    }
    store.give_back_renewal(id, first, None).await.unwrap();
    assert_eq!(take(&store, id, 61).await, None, "a stale fence gave the right back");
    // After a consent the right is taken from whoever has it.
    let third = store.take_renewal(id, at(61), at(121), true).await.unwrap().unwrap();
    assert!(matches!(store.keep_tokens(id, second, &tokens(2, 61), &[]).await, Err(StoreError::Fenced)));
    store.keep_tokens(id, third, &tokens(3, 62), &[]).await.unwrap();
    assert_eq!(state(&store, id).await, (TokenState::Ok, Some(SealedSecret(vec![3]))));
    assert!(take(&store, id, 63).await.is_some(), "the right was not given back");
}

pub async fn what_is_due_is_renewed_until_the_provider_refuses(store: Subject) {
    let id = credential(&store).await;
    assert!(store.due_renewals(at(1000), 10).await.unwrap().is_empty());
    let fence = take(&store, id, 0).await.unwrap();
    store.keep_tokens(id, fence, &tokens(1, 0), &[]).await.unwrap();
    assert!(store.due_renewals(at(74), 10).await.unwrap().is_empty());
    assert_eq!(store.due_renewals(at(75), 10).await.unwrap(), [id]);
    let fence = take(&store, id, 75).await.unwrap();
    assert!(store.due_renewals(at(75), 10).await.unwrap().is_empty(), "somebody renews it already");
    store.give_back_renewal(id, fence, Some(at(90))).await.unwrap();
    assert!(store.due_renewals(at(89), 10).await.unwrap().is_empty());
    assert_eq!(store.due_renewals(at(90), 10).await.unwrap(), [id]);
    let fence = take(&store, id, 90).await.unwrap();
    store.refuse_tokens(id, fence, "invalid_grant").await.unwrap();
    let row = store.find_oauth(id).await.unwrap().unwrap();
    assert_eq!((row.status.state, row.status.message.as_deref()), (TokenState::NeedsPerson, Some("invalid_grant")));
    assert!(store.due_renewals(at(1000), 10).await.unwrap().is_empty());
    // The client's new secret may be what the provider wanted.
    let mut audit = entry(AuditAction::CredentialChanged, "ana", "a");
    audit.at = at(100);
    let secret = SealedSecret(vec![2]);
    store.change_credential(id, 1, &draft(Some(settings("one"))), Some(&secret), &[audit]).await.unwrap();
    assert_eq!(state(&store, id).await.0, TokenState::Ok);
    assert_eq!(store.due_renewals(at(100), 10).await.unwrap(), [id]);
}

pub async fn a_consent_ends_the_stop_of_the_accounts(store: Subject) {
    let id = credential(&store).await;
    let account = store.add_account(&account_draft("one", id), None, &[]).await.unwrap();
    let failure = Failure {
        kind: ErrorKind::Authentication,
        message: "invalid_grant".to_owned(),
        since: at(1),
        n_failures: 1,
        is_stopped: true,
    };
    let stopped = Health { failure: Some(failure), ..Health::default() };
    crate::checks::check_once(&store, account, stopped.clone()).await;
    // A renewal is nobody's consent.
    let fence = take(&store, id, 0).await.unwrap();
    store.keep_tokens(id, fence, &tokens(1, 0), &[]).await.unwrap();
    assert_eq!(store.find_account(account).await.unwrap().unwrap().health, stopped);
    let fence = take(&store, id, 50).await.unwrap();
    let audit = [entry(AuditAction::OauthConsented, "ana", "a")];
    store.keep_tokens(id, fence, &tokens(2, 50), &audit).await.unwrap();
    let resumed = store.find_account(account).await.unwrap().unwrap().health;
    assert_eq!(resumed, Health { next_check_at: Some(at(50)), ..Health::default() });
}

pub async fn a_consent_is_taken_once_and_not_too_late(store: Subject) {
    let id = credential(&store).await;
    let consent = |n: u8| Consent { hash: vec![n], sealed: SealedSecret(vec![n, n]), until: at(600) };
    store.start_consent(id, &consent(1)).await.unwrap();
    assert!(store.take_consent(&[9], at(1)).await.unwrap().is_none());
    assert_eq!(store.take_consent(&[1], at(599)).await.unwrap(), Some((id, SealedSecret(vec![1, 1]))));
    assert!(store.take_consent(&[1], at(599)).await.unwrap().is_none(), "taken twice");
    store.start_consent(id, &consent(2)).await.unwrap();
    assert!(store.take_consent(&[2], at(600)).await.unwrap().is_none(), "too late");
    store.start_consent(id, &consent(3)).await.unwrap();
    store.start_consent(id, &consent(4)).await.unwrap();
    assert!(store.take_consent(&[3], at(1)).await.unwrap().is_none(), "another one was begun since");
    let missing = store.start_consent(CredentialId(99), &consent(5)).await;
    assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
}

pub async fn a_success_notes_that_the_credential_was_accepted_once_a_minute(store: Subject) {
    let id = credential(&store).await;
    let account = store.add_account(&account_draft("one", id), None, &[]).await.unwrap();
    let accepted = async || store.find_credential(id).await.unwrap().unwrap().last_accepted_at;
    let check = async |seconds: i64, failure: Option<Failure>| {
        let health = Health { last_success_at: Some(at(seconds)), failure, ..Health::default() };
        crate::checks::check_once(&store, account, health).await;
    };
    assert_eq!(accepted().await, None);
    let failure =
        Failure { kind: ErrorKind::Timeout, message: String::new(), since: at(1), n_failures: 1, is_stopped: false };
    check(1, Some(failure)).await;
    assert_eq!(accepted().await, None);
    for (seconds, expected) in [(2, 2), (60, 2), (62, 62)] {
        check(seconds, None).await;
        assert_eq!(accepted().await, Some(at(expected)), "{seconds}");
    }
}

pub async fn a_credential_says_when_its_consent_and_its_secret_end(store: Subject) {
    let id = credential(&store).await;
    let found = async || store.find_credential(id).await.unwrap().unwrap();
    let before = found().await;
    assert_eq!((before.secret_ends_on, before.tokens.unwrap().state), (None, TokenState::Never));
    let fence = take(&store, id, 0).await.unwrap();
    let kept = KeptTokens { consent_ends_at: Some(at(5000)), ..tokens(1, 0) };
    store.keep_tokens(id, fence, &kept, &[]).await.unwrap();
    let ends_on = Day::parse("2027-01-31");
    let dated = CredentialDraft { secret_ends_on: ends_on, ..draft(Some(settings("one"))) };
    store.change_credential(id, 1, &dated, None, &[]).await.unwrap();
    let last = found().await;
    let tokens = TokensLast { state: TokenState::Ok, expires_at: Some(at(100)), consent_ends_at: Some(at(5000)) };
    assert_eq!((last.secret_ends_on, last.tokens), (ends_on, Some(tokens)));
    assert_eq!(store.find_oauth(id).await.unwrap().unwrap().status.consent_ends_at, Some(at(5000)));
    let listed = store.list_credentials("", PageRequest::default()).await.unwrap();
    assert_eq!(listed.items, [found().await]);
}

pub async fn what_a_server_accepted_is_noted_once_a_minute_and_not_for_a_new_secret(store: Subject) {
    let id = store.next_credential_id().await.unwrap();
    store.add_credential(id, &draft(None), &SealedSecret(vec![1]), &[]).await.unwrap();
    let accepted = async || store.find_credential(id).await.unwrap().unwrap().last_accepted_at;
    for (seconds, expected) in [(10, 10), (69, 10), (70, 70), (60, 70)] {
        store.note_accepted(id, at(seconds)).await.unwrap();
        assert_eq!(accepted().await, Some(at(expected)), "{seconds}");
    }
    store.change_credential(id, 1, &draft(None), None, &[]).await.unwrap();
    assert_eq!(accepted().await, Some(at(70)));
    store.change_credential(id, 2, &draft(None), Some(&SealedSecret(vec![2])), &[]).await.unwrap();
    assert_eq!(accepted().await, None);
    // A version is what people changed.
    store.note_accepted(id, at(80)).await.unwrap();
    assert_eq!(store.find_credential(id).await.unwrap().unwrap().version, 3);
}
