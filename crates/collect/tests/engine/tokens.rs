//! Access tokens: one renewal at a time, nothing used that is not stored, and who must act when the provider refuses.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    check::ErrorKind,
    notices::Webhook,
    oauth::{Grant, OAuthDraft, Provider, TokenState},
    query,
};
use service::{
    Tokens,
    ports::{Clock as _, KeyChange, MailError, SEALING_KEY, Store, TokenEndpoint},
    secret::Secret,
    vault::{KeyId, Vault, sealed_by},
};

use crate::world::World;

/// A provider that answers what it was told to, in that order, and then fails; it remembers what it was asked.
#[derive(Default)]
pub(crate) struct Scripted {
    answers: Mutex<VecDeque<(u16, String)>>,
    asked: Mutex<Vec<Vec<(String, String)>>>,
    /// While it is taken, no answer comes.
    pub(crate) held: tokio::sync::Mutex<()>,
}

impl Scripted {
    pub(crate) fn answering(answers: &[(u16, &str)]) -> Arc<Self> {
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        Arc::new(Self { answers: Mutex::new(answers), ..Self::default() })
    }

    pub(crate) fn n_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// What the nth request said under this name.
    pub(crate) fn said(&self, nth: usize, name: &str) -> Option<String> {
        self.asked.lock().unwrap()[nth].iter().find(|it| it.0 == name).map(|it| it.1.clone())
    }
}

#[async_trait]
impl TokenEndpoint for Scripted {
    async fn post_form(&self, _url: &Webhook, form: &Secret) -> Result<(u16, Secret), MailError> {
        self.asked.lock().unwrap().push(query::decode(form.expose()));
        // Others get a turn before the answer comes.
        tokio::task::yield_now().await;
        drop(self.held.lock().await);
        let (status, body) = self.answers.lock().unwrap().pop_front().unwrap_or((500, String::new()));
        Ok((status, Secret::new(body)))
    }
}

pub(crate) fn settings(grant: Grant) -> OAuthDraft {
    OAuthDraft {
        provider: Provider::Other,
        grant,
        tenant: String::new(),
        client_id: "posthorn".to_owned(),
        scopes: "mail".to_owned(),
        authorize_url: None,
        device_url: None,
        token_url: Webhook::parse("https://id.example.org/token").unwrap(),
    }
}

const STORED: &str = r#"{"access":"a0","refresh":"r0"}"#;
pub(crate) const FIRST: &str = r#"{"access_token":"a1","expires_in":3600,"refresh_token":"r1"}"#;
const SECOND: &str = r#"{"access_token":"a2","expires_in":3600}"#;
const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn text(token: Result<Secret, MailError>) -> String {
    let token = token.unwrap();
    assert!(token.is_token());
    token.expose().to_owned()
}

#[tokio::test]
async fn many_that_need_a_token_ask_once() {
    let world = World::new().await;
    let provider = Scripted::answering(&[(200, FIRST)]);
    let id = world.oauth_credential(settings(Grant::ClientCredentials), None).await;
    // Two instances, each with many visits.
    let instances: [Tokens; 2] = [(); 2].map(|()| world.tokens_of(Arc::<Scripted>::clone(&provider)));
    let visits = (0..20).map(|nth| {
        let tokens = instances[nth % 2].clone();
        tokio::spawn(async move { tokens.access_token(id).await })
    });
    for visit in visits.collect::<Vec<_>>() {
        assert_eq!(text(visit.await.unwrap()), "a1");
    }
    assert_eq!(provider.n_asked(), 1);
    assert_eq!(provider.said(0, "grant_type").as_deref(), Some("client_credentials"));
    assert_eq!(provider.said(0, "client_secret").as_deref(), Some("client secret"));
    assert_eq!(provider.said(0, "scope").as_deref(), Some("mail"));
}

#[tokio::test]
async fn a_rotated_refresh_token_takes_the_place_of_the_old_one() {
    let world = World::new().await;
    let provider = Scripted::answering(&[(200, FIRST), (200, SECOND), (200, SECOND)]);
    let tokens = world.tokens_of(Arc::<Scripted>::clone(&provider));
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), Some(STORED)).await;
    assert_eq!(text(tokens.access_token(id).await), "a0");
    assert_eq!(provider.n_asked(), 0);
    for (nth, (refresh, access)) in [("r0", "a1"), ("r1", "a2"), ("r1", "a2")].into_iter().enumerate() {
        world.clock.advance(HOUR);
        assert_eq!(text(tokens.access_token(id).await), access);
        assert_eq!(provider.said(nth, "grant_type").as_deref(), Some("refresh_token"));
        assert_eq!(provider.said(nth, "refresh_token").as_deref(), Some(refresh));
    }
}

#[tokio::test]
async fn what_is_due_is_renewed_ahead_of_its_expiry() {
    let world = World::new().await;
    let provider = Scripted::answering(&[(200, FIRST)]);
    let tokens = world.tokens_of(Arc::<Scripted>::clone(&provider));
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), Some(STORED)).await;
    assert_eq!(tokens.renew_due(10).await.unwrap(), 0);
    world.clock.advance(Duration::from_mins(46));
    assert_eq!(tokens.renew_due(10).await.unwrap(), 1);
    assert_eq!(tokens.renew_due(10).await.unwrap(), 0);
    assert_eq!((text(tokens.access_token(id).await).as_str(), provider.n_asked()), ("a1", 1));
}

#[tokio::test]
async fn while_the_provider_is_in_trouble_the_old_token_serves_until_it_expires() {
    let world = World::new().await;
    let provider = Scripted::answering(&[(503, "busy"), (200, "<html>")]);
    let tokens = world.tokens_of(Arc::<Scripted>::clone(&provider));
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), Some(STORED)).await;
    world.clock.advance(Duration::from_mins(50));
    assert_eq!(text(tokens.access_token(id).await), "a0");
    // The next attempt is not made at once.
    assert_eq!((text(tokens.access_token(id).await).as_str(), provider.n_asked()), ("a0", 1));
    world.clock.advance(HOUR);
    let error = tokens.access_token(id).await.unwrap_err();
    assert_eq!((error.kind, error.is_certain), (ErrorKind::Protocol, false), "{error}");
    let error = tokens.access_token(id).await.unwrap_err();
    assert_eq!((error.kind, error.is_certain), (ErrorKind::Throttled, false), "{error}");
    assert_eq!(world.store.find_oauth(id).await.unwrap().unwrap().status.state, TokenState::Ok);
}

#[tokio::test]
async fn the_end_of_a_consent_is_kept_until_the_provider_says_another() {
    let world = World::new().await;
    let said = r#"{"access_token":"a1","expires_in":3600,"refresh_token":"r1","refresh_token_expires_in":86400}"#;
    let again = r#"{"access_token":"a3","expires_in":3600,"refresh_token":"r3"}"#;
    let provider = Scripted::answering(&[(200, said), (200, SECOND), (200, again)]);
    let tokens = world.tokens_of(Arc::<Scripted>::clone(&provider));
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), Some(STORED)).await;
    let ends = async || world.store.find_oauth(id).await.unwrap().unwrap().status.consent_ends_at;
    assert_eq!(ends().await, None);
    world.clock.advance(HOUR);
    let day = Some(world.clock.now().plus(HOUR * 24));
    for (access, expected) in [("a1", day), ("a2", day), ("a3", None)] {
        assert_eq!(text(tokens.access_token(id).await), access);
        assert_eq!(ends().await, expected, "{access}");
        world.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn a_provider_that_refuses_is_not_asked_again_until_somebody_acts() {
    let world = World::new().await;
    let refusal = r#"{"error":"invalid_grant","error_description":"\u001b[31m<b>AADSTS700082</b>"}"#;
    let provider = Scripted::answering(&[(400, refusal)]);
    let tokens = world.tokens_of(Arc::<Scripted>::clone(&provider));
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), Some(STORED)).await;
    world.clock.advance(HOUR);
    for _ in 0..3 {
        let error = tokens.access_token(id).await.unwrap_err();
        assert_eq!((error.kind, error.is_certain), (ErrorKind::Authentication, true), "{error}");
        assert!(error.message.contains("(invalid_grant)") && error.message.contains("the mailbox's owner"), "{error}");
        assert!(!error.message.contains("AADSTS"), "{error}");
    }
    assert_eq!(provider.n_asked(), 1);
    let row = world.store.find_oauth(id).await.unwrap().unwrap();
    assert_eq!((row.status.state, row.status.message.as_deref()), (TokenState::NeedsPerson, Some("invalid_grant")));
}

#[tokio::test]
async fn nobody_has_consented_yet() {
    let world = World::new().await;
    let provider = Scripted::answering(&[]);
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), None).await;
    let error = world.tokens_of(Arc::<Scripted>::clone(&provider)).access_token(id).await.unwrap_err();
    assert!(error.is_certain && error.message.contains("nobody has consented yet"), "{error}");
    assert_eq!(provider.n_asked(), 0);
}

#[tokio::test]
async fn a_token_that_a_mail_server_refused_is_replaced_once_for_all() {
    let world = World::new().await;
    let provider = Scripted::answering(&[(200, FIRST)]);
    let tokens = world.tokens_of(Arc::<Scripted>::clone(&provider));
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), Some(STORED)).await;
    let refused = tokens.access_token(id).await.unwrap();
    for _ in 0..3 {
        assert_eq!(text(tokens.instead_of(id, &refused).await), "a1");
    }
    assert_eq!(provider.n_asked(), 1);
}

/// A provider that answers only after another master key has begun to seal.
struct AfterChange {
    store: Arc<dyn Store>,
    change: KeyChange,
    answers: Arc<Scripted>,
}

#[async_trait]
impl TokenEndpoint for AfterChange {
    async fn post_form(&self, url: &Webhook, form: &Secret) -> Result<(u16, Secret), MailError> {
        assert!(self.store.change_sealing_key(&self.change, &[]).await.unwrap().is_empty());
        self.answers.post_form(url, form).await
    }
}

#[tokio::test]
async fn what_a_provider_gave_is_kept_if_the_master_key_changes_before_it_answers() {
    let world = World::new().await;
    let vault = Arc::new(Vault::new(&[8; 32]).holding(&[7; 32]));
    let (before, after) = (KeyId::of(&[7; 32]), KeyId::of(&[8; 32]));
    world.store.setting_or(SEALING_KEY, &before.to_string()).await.unwrap();
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), Some(STORED)).await;
    let provider = Arc::new(AfterChange {
        store: Arc::clone(&world.store),
        change: KeyChange { before, after, seen_since: world.clock.now() },
        answers: Scripted::answering(&[(200, FIRST)]),
    });
    let tokens = Tokens::new(Arc::clone(&world.store), vault, Arc::clone(&world.clock) as _, provider);
    world.clock.advance(HOUR);
    assert_eq!(text(tokens.access_token(id).await), "a1");
    let kept = world.store.find_oauth(id).await.unwrap().unwrap().tokens.unwrap();
    assert_eq!(sealed_by(&kept.0), Some(after));
    assert_eq!(text(tokens.access_token(id).await), "a1");
}

#[tokio::test]
async fn whoever_could_not_keep_what_a_provider_gives_does_not_ask_for_it() {
    let world = World::new().await;
    let id = world.oauth_credential(settings(Grant::AuthorizationCode), Some(STORED)).await;
    world.store.setting_or(SEALING_KEY, &KeyId::of(&[8; 32]).to_string()).await.unwrap();
    let provider = Scripted::answering(&[(200, FIRST)]);
    world.clock.advance(HOUR);
    let error = world.tokens_of(Arc::<Scripted>::clone(&provider)).access_token(id).await.unwrap_err();
    assert_eq!((error.kind, error.is_certain), (ErrorKind::Internal, false), "{error}");
    assert!(error.message.contains("is not held here"), "{error}");
    assert_eq!(provider.n_asked(), 0);
    assert_eq!(world.store.find_oauth(id).await.unwrap().unwrap().status.state, TokenState::Ok);
}
