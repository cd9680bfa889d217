//! Access tokens: kept until shortly before they expire, then renewed by one at a time.
//!
//! **Invariant:** what a provider gave is committed before anybody uses it. A refresh token that was replaced is worth nothing
//! any more, so one that is lost between the answer and the store would cost a consent.

use std::{sync::Arc, time::Duration};

use domain::{
    audit::AuditEntry,
    check::{ErrorKind, Stage},
    ids::CredentialId,
    notices::Webhook,
    oauth::{Grant, OAuthDraft, OAuthStatus, TokenState},
    query,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::{
    credentials::place_of,
    ports::{Clock, KeptTokens, MailError, OAuthRow, SealedAt, SealedPlace, Store, StoreError, TokenEndpoint},
    seals::{SealsError, can_seal, seal},
    secret::Secret,
    vault::Vault,
};

/// How long one renewal may take; who took the right and is gone does not hold the others up for longer.
pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// How long a visit waits for a renewal that somebody else has under way.
const WAIT_MAX: Duration = Duration::from_secs(45);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What is left of a token's life that a visit needs at least.
const LEFT_AT_LEAST: Duration = Duration::from_secs(30);
/// For a provider that does not say how long its token lasts (RFC 6749 section 5.1 recommends that it does).
const LIFE_DEFAULT_S: u64 = 3600;
const LIFE_MAX_S: u64 = 30 * 24 * 3600;
/// What is further away than ten years ends never.
const CONSENT_MAX_S: u64 = 3650 * 24 * 3600;
/// After a failure that will pass, when the renewal ahead of expiry tries again.
const AGAIN_AFTER: Duration = Duration::from_mins(1);
/// Ours alone has the only copy until it is stored.
pub(crate) const STORE_ATTEMPTS: u32 = 3;
pub(crate) const TOKEN_MAX: usize = 16 * 1024;
const CODE_MAX: usize = 60;

/// Gives access tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) endpoint: Arc<dyn TokenEndpoint>,
}

/// What is sealed. It has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pair {
    access: String,
    refresh: Option<String>,
}

/// What a provider gave.
pub(crate) struct Given {
    pair: Pair,
    life: Duration,
    /// Of the refresh token, if the provider says.
    consent_life: Option<Duration>,
}

impl Given {
    /// What is sealed of it.
    pub(crate) fn to_json(&self) -> Result<Secret, MailError> {
        let json = serde_json::to_string(&self.pair);
        json.map(Secret::new).map_err(|it| failed(ErrorKind::Internal, &it.to_string()))
    }
}

/// When a token was obtained, expires, and is to be renewed; and when the consent ends, if that is known.
#[derive(Clone, Copy)]
pub(crate) struct Life {
    from: Timestamp,
    until: Timestamp,
    renewal: Timestamp,
    consent: Option<Timestamp>,
}

impl Life {
    pub(crate) fn of(now: Timestamp, grant: Grant, Given { pair, life, consent_life }: &Given) -> Self {
        // At three quarters of its life, a little earlier or later, so that not all of them come at once.
        let ahead = rand::random_range(0.70..0.80);
        // Without a refresh token nobody gets another access token.
        let consent_life = if pair.refresh.is_none() { Some(*life) } else { *consent_life };
        Self {
            from: now,
            until: now.plus(*life),
            renewal: now.plus(life.mul_f64(ahead)),
            consent: consent_life.filter(|_| grant.is_consented()).map(|it| now.plus(it)),
        }
    }
}

/// Why a provider gave nothing.
pub(crate) enum Denied {
    /// By its error code: it will not until somebody acts.
    Refused(String),
    /// It will pass.
    Trouble(MailError),
}

impl Tokens {
    pub fn new(
        store: Arc<dyn Store>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        endpoint: Arc<dyn TokenEndpoint>,
    ) -> Self {
        Self(Arc::new(Inner { store, vault, clock, endpoint }))
    }

    /// A token that is valid for a while yet.
    pub async fn access_token(&self, id: CredentialId) -> Result<Secret, MailError> {
        self.token(id, None).await
    }

    /// Another one than this, which a mail server refused.
    pub async fn instead_of(&self, id: CredentialId, refused: &Secret) -> Result<Secret, MailError> {
        self.token(id, Some(refused)).await
    }

    /// Renews what is due, so that checks seldom wait for it. Answers with how many were.
    pub async fn renew_due(&self, limit: u32) -> Result<usize, StoreError> {
        let due = self.0.store.due_renewals(self.0.clock.now(), limit).await?;
        for id in &due {
            if let Err(error) = self.access_token(*id).await {
                tracing::warn!(credential = %id, %error, "an access token could not be renewed ahead of its expiry");
            }
        }
        Ok(due.len())
    }

    async fn token(&self, id: CredentialId, refused: Option<&Secret>) -> Result<Secret, MailError> {
        let inner = &self.0;
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let row = inner.find(id).await?;
            let now = inner.clock.now();
            if row.status.state == TokenState::NeedsPerson {
                return Err(needs_person(&row.status));
            }
            let pair = inner.open(id, &row)?;
            let held = pair.map(|it| Secret::token(it.access)).filter(|it| {
                let is_refused = refused.is_some_and(|other| other.expose() == it.expose());
                !is_refused && row.status.expires_at.is_some_and(|it| now.plus(LEFT_AT_LEAST) < it)
            });
            if let Some(held) = held.clone().filter(|_| row.renew_at.is_none_or(|it| now < it)) {
                return Ok(held);
            }
            if row.status.state == TokenState::Never && row.status.settings.grant.is_consented() {
                return Err(needs_person(&row.status));
            }
            let taken = inner.store.take_renewal(id, now, now.plus(LEASE), false).await.map_err(|it| stored(&it))?;
            match (taken, held) {
                (Some(fence), held) => {
                    let renewed = self.renew_apart(id, fence, row.status.obtained_at).await;
                    match (renewed, held) {
                        (Ok(Some(fresh)), _) => return Ok(fresh),
                        // Somebody else was faster: look again.
                        (Ok(None), _) => {}
                        // The old one still serves, unless the provider says that it is over.
                        (Err(error), Some(held)) if !error.is_certain => {
                            tracing::warn!(credential = %id, %error, "an access token was not renewed; the old one serves");
                            return Ok(held);
                        }
                        (Err(error), _) => return Err(error),
                    }
                }
                (None, Some(held)) => return Ok(held),
                (None, None) => sleep(LOOK_EVERY).await,
            }
            if Instant::now() >= deadline {
                return Err(failed(ErrorKind::Timeout, "another renewal of the OAuth 2.0 token does not end"));
            }
        }
    }

    /// In a task of its own: a check that is cut off takes nothing with it that the provider will not give again.
    async fn renew_apart(
        &self,
        id: CredentialId,
        fence: i64,
        seen: Option<Timestamp>,
    ) -> Result<Option<Secret>, MailError> {
        let inner = Arc::clone(&self.0);
        let renewal = tokio::spawn(async move { inner.renew(id, fence, seen).await });
        renewal
            .await
            .unwrap_or_else(|_| Err(failed(ErrorKind::Internal, "the renewal of the OAuth 2.0 token broke off")))
    }

    /// Exchanges what a provider handed out by way of the browser (RFC 6749 section 4.1.3), or, without it, asks for a token
    /// for the application itself; keeps it whatever renewal is under way, with the audit entry.
    ///
    /// In a task of its own: whoever closes the browser takes nothing with them that the provider will not give again.
    pub(crate) async fn obtain(
        &self,
        id: CredentialId,
        code: Option<Vec<(&'static str, String)>>,
        audit: AuditEntry,
    ) -> Result<(), MailError> {
        let inner = Arc::clone(&self.0);
        let asking = tokio::spawn(async move { inner.obtain(id, code, audit).await });
        asking.await.unwrap_or_else(|_| Err(failed(ErrorKind::Internal, "asking for the OAuth 2.0 token broke off")))
    }
}

impl Inner {
    pub(crate) async fn find(&self, id: CredentialId) -> Result<OAuthRow, MailError> {
        let found = self.store.find_oauth(id).await.map_err(|it| stored(&it))?;
        found.ok_or_else(|| failed(ErrorKind::Internal, "the credential has no OAuth 2.0 settings any more"))
    }

    fn open(&self, id: CredentialId, row: &OAuthRow) -> Result<Option<Pair>, MailError> {
        let Some(sealed) = &row.tokens else { return Ok(None) };
        let opened = self.vault.open(tokens_of(id), sealed);
        let opened = opened.map_err(|it| failed(ErrorKind::Internal, &it.to_string()))?;
        let pair = serde_json::from_str(opened.expose());
        pair.map(Some).map_err(|_| failed(ErrorKind::Internal, "the stored OAuth 2.0 tokens cannot be read"))
    }

    /// Asks first and takes the right then: a renewal under way is only fenced out by tokens that take its place.
    async fn obtain(
        &self,
        id: CredentialId,
        code: Option<Vec<(&'static str, String)>>,
        audit: AuditEntry,
    ) -> Result<(), MailError> {
        let row = self.find(id).await?;
        let settings = &row.status.settings;
        let pairs = code.unwrap_or_else(|| for_itself(settings));
        let asked = match self.ask(id, settings, &pairs).await {
            Err(Denied::Trouble(error)) => return Err(error),
            // What is refused here is this one attempt: tokens that serve go on serving.
            Err(Denied::Refused(code)) if row.status.state == TokenState::Ok => {
                return Err(failed(ErrorKind::Authentication, &format!("the OAuth 2.0 provider refuses ({code})")));
            }
            asked => asked,
        };
        let now = self.clock.now();
        let taken = self.store.take_renewal(id, now, now.plus(LEASE), true).await.map_err(|it| stored(&it))?;
        let fence =
            taken.ok_or_else(|| failed(ErrorKind::Internal, "the credential has no OAuth 2.0 settings any more"))?;
        let changed =
            || failed(ErrorKind::Internal, "the credential was changed meanwhile: what the provider gave was not kept");
        if self.find(id).await?.status.settings != *settings {
            _ = self.store.give_back_renewal(id, fence, None).await;
            return Err(changed());
        }
        let settled = self.settle(id, fence, &row.status, asked, None, &[audit]).await?;
        settled.map(|_| ()).ok_or_else(changed)
    }

    /// `None` if the tokens are not those any more that were seen before the right was taken.
    async fn renew(&self, id: CredentialId, fence: i64, seen: Option<Timestamp>) -> Result<Option<Secret>, MailError> {
        let found = self.find(id).await.and_then(|row| Ok((self.open(id, &row)?, row)));
        let (pair, row) = match found {
            Ok((pair, row)) if row.status.obtained_at == seen => (pair, row),
            other => {
                _ = self.store.give_back_renewal(id, fence, None).await;
                return other.map(|_| None);
            }
        };
        let refresh = pair.and_then(|it| it.refresh);
        let settings = &row.status.settings;
        let asked = match (settings.grant, &refresh) {
            (Grant::ClientCredentials, _) => self.ask(id, settings, &for_itself(settings)).await,
            (_, Some(refresh)) => {
                let pairs = [("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh.clone())];
                self.ask(id, settings, &pairs).await
            }
            (_, None) => Err(Denied::Refused("no_refresh_token".to_owned())),
        };
        self.settle(id, fence, &row.status, asked, refresh, &[]).await
    }

    /// Writes what came of asking, and only then hands it out.
    async fn settle(
        &self,
        id: CredentialId,
        fence: i64,
        status: &OAuthStatus,
        asked: Result<Given, Denied>,
        refresh: Option<String>,
        audit: &[AuditEntry],
    ) -> Result<Option<Secret>, MailError> {
        let given = match asked {
            Ok(given) => given,
            Err(Denied::Refused(code)) => {
                let refused = self.store.refuse_tokens(id, fence, &code).await;
                let status = OAuthStatus { state: TokenState::NeedsPerson, message: Some(code), ..status.clone() };
                return match refused {
                    Err(StoreError::Fenced) => Ok(None),
                    Err(error) => Err(stored(&error)),
                    Ok(()) => Err(needs_person(&status)),
                };
            }
            Err(Denied::Trouble(error)) => {
                let again_at = (status.state == TokenState::Ok).then(|| self.clock.now().plus(AGAIN_AFTER));
                _ = self.store.give_back_renewal(id, fence, again_at).await;
                return Err(error);
            }
        };
        // A provider that does not rotate leaves the refresh token out (RFC 6749 section 6).
        let is_kept = given.pair.refresh.is_none() && refresh.is_some();
        let pair = Pair { refresh: given.pair.refresh.or(refresh), access: given.pair.access };
        let given = Given { pair, ..given };
        let mut life = Life::of(self.clock.now(), status.settings.grant, &given);
        if is_kept && given.consent_life.is_none() {
            life.consent = status.consent_ends_at;
        }
        let json = given.to_json()?;
        let pair = given.pair;
        let mut attempt = 1;
        loop {
            match self.keep(id, fence, &json, life, audit).await {
                Ok(()) => return Ok(Some(Secret::token(pair.access))),
                Err(SealsError::Store(StoreError::Fenced)) => return Ok(None),
                Err(error) if attempt >= STORE_ATTEMPTS => return Err(not_sealed(&error)),
                Err(error) => tracing::warn!(credential = %id, %error, attempt, "fresh tokens could not be stored yet"),
            }
            attempt += 1;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Sealed in each attempt: another key may seal by then.
    async fn keep(
        &self,
        id: CredentialId,
        fence: i64,
        json: &Secret,
        life: Life,
        audit: &[AuditEntry],
    ) -> Result<(), SealsError> {
        let kept = self.seal(id, json, life).await?;
        Ok(self.store.keep_tokens(id, fence, &kept, audit).await?)
    }

    pub(crate) async fn seal(&self, id: CredentialId, json: &Secret, life: Life) -> Result<KeptTokens, SealsError> {
        Ok(KeptTokens {
            sealed: seal(&*self.store, &self.vault, tokens_of(id), json).await?,
            obtained_at: life.from,
            expires_at: life.until,
            renew_at: life.renewal,
            consent_ends_at: life.consent,
        })
    }

    async fn ask(&self, id: CredentialId, settings: &OAuthDraft, pairs: &[(&str, String)]) -> Result<Given, Denied> {
        let (status, body) = self.post(id, settings, &settings.token_url, pairs).await.map_err(Denied::Trouble)?;
        read(&settings.token_url, status, &body)
    }

    /// Posts a form with who asks to an address of the provider.
    pub(crate) async fn post(
        &self,
        id: CredentialId,
        settings: &OAuthDraft,
        url: &Webhook,
        pairs: &[(&str, String)],
    ) -> Result<(u16, Secret), MailError> {
        // What could not be kept is not asked for: the provider would not give it again.
        can_seal(&*self.store, &self.vault).await.map_err(|it| not_sealed(&it))?;
        let secret = self.client_secret(id).await?;
        let mut pairs = pairs.to_vec();
        pairs.push(("client_id", settings.client_id.clone()));
        if !secret.expose().is_empty() {
            pairs.push(("client_secret", secret.expose().to_owned()));
        }
        let form = Secret::new(query::encode(&pairs));
        self.endpoint.post_form(url, &form).await.map_err(|it| {
            failed(it.kind, &format!("the OAuth 2.0 provider {} gave no token: {}", url.authority(), it.message))
        })
    }

    async fn client_secret(&self, id: CredentialId) -> Result<Secret, MailError> {
        let found = self.store.sealed_credential(id).await.map_err(|it| stored(&it))?;
        let found = found.ok_or_else(|| failed(ErrorKind::Internal, "the credential does not exist any more"))?;
        self.vault.open(place_of(id), &found.secret).map_err(|it| failed(ErrorKind::Internal, &it.to_string()))
    }
}

/// The application asks for itself.
fn for_itself(settings: &OAuthDraft) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("grant_type", "client_credentials".to_owned())];
    if !settings.scopes.is_empty() {
        pairs.push(("scope", settings.scopes.clone()));
    }
    pairs
}

/// Where the tokens are stored.
fn tokens_of(id: CredentialId) -> SealedAt {
    SealedPlace::OauthTokens.of(id.0)
}

/// What an answer may hold (RFC 6749 sections 5.1 and 5.2); everything else is passed over.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    refresh_token: Option<String>,
    /// Seconds.
    #[serde(default)]
    expires_in: serde_json::Value,
    /// Of the refresh token, in seconds; no standard has it, and two names are about.
    #[serde(default, alias = "refresh_expires_in")]
    refresh_token_expires_in: serde_json::Value,
    error: Option<String>,
}

/// A number of seconds; some providers send it as text.
pub(crate) fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

pub(crate) fn read(url: &Webhook, status: u16, body: &Secret) -> Result<Given, Denied> {
    let trouble = |kind, what: &str| {
        let message = format!("the OAuth 2.0 provider {} answered with status {status} {what}", url.authority());
        Denied::Trouble(failed(kind, &message))
    };
    let answer: Option<Answer> = serde_json::from_str(body.expose()).ok();
    if let Some(code) = answer.as_ref().and_then(|it| it.error.as_deref()) {
        let code = washed(code);
        let will_pass = matches!(code.as_str(), "temporarily_unavailable" | "server_error" | "slow_down");
        return Err(if will_pass || status == 429 || status >= 500 {
            trouble(ErrorKind::Throttled, &format!("({code})"))
        } else {
            Denied::Refused(code)
        });
    }
    if status == 429 || status >= 500 {
        return Err(trouble(ErrorKind::Throttled, "and no token"));
    }
    let answer = answer.ok_or_else(|| trouble(ErrorKind::Protocol, "and no JSON of a token"))?;
    let is_token = |it: &String| !it.is_empty() && it.len() <= TOKEN_MAX && it.bytes().all(|it| it.is_ascii_graphic());
    let access = answer.access_token.filter(is_token);
    let access = access.ok_or_else(|| trouble(ErrorKind::Protocol, "and no token that could be sent"))?;
    let life = Duration::from_secs(seconds(&answer.expires_in).unwrap_or(LIFE_DEFAULT_S).min(LIFE_MAX_S));
    // Zero is how one of them says that it does not end.
    let consent_life = seconds(&answer.refresh_token_expires_in).filter(|it| *it > 0);
    let consent_life = consent_life.map(|it| Duration::from_secs(it.min(CONSENT_MAX_S)));
    let pair = Pair { access, refresh: answer.refresh_token.filter(|it| !it.is_empty()) };
    Ok(Given { pair, life, consent_life })
}

/// A provider's error code: letters, digits and underscores by the standard. Its description is nobody's to trust.
pub(crate) fn washed(code: &str) -> String {
    let is_plain = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
    let code: String = code.chars().filter(is_plain).take(CODE_MAX).collect();
    if code.is_empty() { "unknown_error".to_owned() } else { code }
}

/// Says who must act. The accounts stop, as for a password that is surely wrong.
fn needs_person(status: &OAuthStatus) -> MailError {
    let who = match status.settings.grant {
        Grant::AuthorizationCode | Grant::DeviceCode => {
            "the mailbox's owner has to sign in to the provider on the credential's page"
        }
        Grant::ClientCredentials => {
            "whoever manages the application at the provider has to see to its id, its secret and its permissions"
        }
    };
    let message = match &status.message {
        Some(code) => format!("the OAuth 2.0 provider gives no token any more ({code}): {who}"),
        None => format!("nobody has consented yet that Posthorn reads this mailbox: {who}"),
    };
    MailError { is_certain: true, ..failed(ErrorKind::Authentication, &message) }
}

pub(crate) fn not_sealed(error: &SealsError) -> MailError {
    match error {
        SealsError::Store(error) => stored(error),
        other => failed(ErrorKind::Internal, &other.to_string()),
    }
}

pub(crate) fn stored(error: &StoreError) -> MailError {
    tracing::error!(%error, "the store failed with OAuth 2.0 tokens");
    failed(ErrorKind::Storage, "the OAuth 2.0 tokens could not be read or stored")
}

pub(crate) fn failed(kind: ErrorKind, message: &str) -> MailError {
    MailError::new(kind, Stage::Authenticate, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Result<Given, Denied> {
        let url = Webhook::parse("https://id.example.org/token").unwrap();
        read(&url, status, &Secret::new(body.to_owned()))
    }

    fn refused(status: u16, body: &str) -> String {
        match of(status, body) {
            Err(Denied::Refused(code)) => code,
            Err(Denied::Trouble(error)) => format!("trouble {:?}: {}", error.kind, error.message),
            Ok(_) => "a token".to_owned(),
        }
    }

    #[test]
    fn tokens_are_read_with_and_without_what_is_optional() {
        let given = of(200, r#"{"access_token":"a","token_type":"Bearer","expires_in":120,"refresh_token":"r"}"#);
        let given = given.ok().unwrap();
        assert_eq!((given.pair.access.as_str(), given.pair.refresh.as_deref()), ("a", Some("r")));
        assert_eq!(given.life, Duration::from_mins(2));
        for (said, seconds) in [("", 3600), (r#","expires_in":"77""#, 77), (r#","expires_in":-1"#, 3600)] {
            let given = of(200, &format!(r#"{{"access_token":"a"{said}}}"#)).ok().unwrap();
            assert_eq!(given.life, Duration::from_secs(seconds), "{said}");
        }
    }

    #[test]
    fn the_end_of_a_consent_is_read_by_either_name() {
        let life = |said: &str| of(200, &format!(r#"{{"access_token":"a",{said}}}"#)).ok().unwrap().consent_life;
        assert_eq!(life(r#""refresh_token_expires_in":604799"#), Some(Duration::from_secs(604_799)));
        assert_eq!(life(r#""refresh_expires_in":"1800""#), Some(Duration::from_mins(30)));
        assert_eq!(life(r#""refresh_expires_in":0"#), None);
        assert_eq!(life(r#""expires_in":60"#), None);
    }

    #[test]
    fn only_a_refusal_needs_a_person() {
        let code = |it: &str| format!(r#"{{"error":"{it}","error_description":"<b>secret</b>"}}"#);
        for refusal in ["invalid_grant", "invalid_client", "unauthorized_client", "interaction_required"] {
            assert_eq!(refused(400, &code(refusal)), refusal);
        }
        assert_eq!(refused(400, &code("<script>")), "script");
        assert_eq!(refused(400, &code("!")), "unknown_error");
        for (status, body) in [(500, ""), (503, "{}"), (429, "{}"), (400, &*code("temporarily_unavailable"))] {
            assert!(refused(status, body).starts_with("trouble Throttled"), "{status} {body}");
        }
        for body in ["", "<html>", "[]", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\u0001b"}"#] {
            assert!(refused(200, body).starts_with("trouble Protocol"), "{body}");
        }
        assert!(refused(302, "").starts_with("trouble Protocol"), "nobody follows");
    }
}
