//! Consent by a device code (RFC 8628): somebody enters a code on another device while the provider is asked again and again.
//!
//! What was begun is in the store, so it goes on after a restart, and of several instances one asks at a time.

use std::{sync::Arc, time::Duration};

use domain::{
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    check::ErrorKind,
    device::{DeviceFlow, DeviceState, UserCode},
    ids::CredentialId,
    notices::Webhook,
    oauth::{Grant, OAuthDraft},
    problem::Rule,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, OAuth,
    audit::{entry, picture},
    error::need,
    ports::{DeviceClaim, MailError, NewDeviceFlow, SealedAt, SealedPlace, SealedSecret, StoreError},
    seals::{SealsError, seal_for},
    secret::Secret,
    tokens::{
        Denied, Given, Inner, LEASE, LOOK_EVERY, Life, STORE_ATTEMPTS, TOKEN_MAX, Tokens, failed, not_sealed, read,
        seconds, stored, washed,
    },
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// If the provider does not say (RFC 8628 section 3.2), and what `slow_down` adds (section 3.5).
const INTERVAL_S: u32 = 5;
const INTERVAL_MAX_S: u32 = 300;
/// While the provider is in trouble, it is asked half as often each time, to this bound.
const TROUBLE_MAX_S: u32 = 60;
/// The longest that a code is waited for.
const CODE_LIFE_MAX_S: u64 = 3600;
/// The most characters of a code that people type.
const USER_CODE_MAX: usize = 40;

/// What is sealed. It has no `Debug`.
#[derive(Serialize, Deserialize)]
struct Codes {
    device_code: String,
    /// Where the code may be shown.
    token_url: String,
    shown: UserCode,
}

/// What an answer to the request for a code may hold (RFC 8628 section 3.2).
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    device_code: String,
    #[serde(default)]
    user_code: String,
    #[serde(default)]
    verification_uri: String,
    verification_uri_complete: Option<String>,
    #[serde(default)]
    expires_in: serde_json::Value,
    #[serde(default)]
    interval: serde_json::Value,
    error: Option<String>,
}

/// A code that was given, how long it is good, and how often the provider may be asked about it.
struct Begun {
    codes: Codes,
    life: Duration,
    interval_s: u32,
}

/// What came of asking (RFC 8628 section 3.5).
enum Polled {
    Pending,
    SlowDown,
    Ended(DeviceState, String),
    Trouble(MailError),
    Given(Given),
}

impl OAuth<'_> {
    /// How the last flow stands, if there was one; its code is for those who may act.
    pub async fn device(&self, actor: &Actor, id: CredentialId) -> Result<Option<DeviceFlow>, Error> {
        self.load(actor, id).await?;
        let Some(row) = self.0.store.find_device(id).await? else { return Ok(None) };
        let mut flow = row.flow;
        if flow.state == DeviceState::Pending && flow.until <= self.0.clock.now() {
            // Whoever asks the provider has not noticed yet.
            flow.state = DeviceState::Expired;
        }
        if let Some(sealed) = row.sealed.filter(|_| flow.state == DeviceState::Pending && actor.may(Permission::Action))
        {
            let codes = self.0.tokens.0.codes(id, &sealed).map_err(|it| Error::internal(&it))?;
            flow.code = Some(codes.shown);
        }
        Ok(Some(flow))
    }

    /// Asks the provider for a code. `Conflict` while another is waited for. The inner error is the provider's.
    pub async fn start_device(&self, actor: &Actor, id: CredentialId) -> Result<Result<(), MailError>, Error> {
        need(actor, Permission::Action)?;
        let (credential, status, _) = self.load(actor, id).await?;
        let settings = status.settings;
        let Some(url) = settings.device_url.as_ref().filter(|_| settings.grant == Grant::DeviceCode) else {
            return Err(Error::field("grant", Rule::NotAnOption));
        };
        if self.device(actor, id).await?.is_some_and(|it| it.state == DeviceState::Pending) {
            return Err(Error::Conflict);
        }
        let tokens = &self.0.tokens.0;
        let begun = match tokens.begin(id, &settings, url).await {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(error)),
        };
        let now = self.0.clock.now();
        let json = serde_json::to_string(&begun.codes).map(Secret::new).map_err(|it| Error::internal(&it))?;
        let audit = [entry(actor, now, AuditAction::DeviceStarted, subject(id, &credential.name))];
        loop {
            let new = NewDeviceFlow {
                sealed: seal_for(self.0, codes_of(id), &json).await?,
                started_by: actor.name.clone(),
                started_at: now,
                until: now.plus(begun.life),
                interval_s: begun.interval_s,
                poll_at: now.plus(Duration::from_secs(begun.interval_s.into())),
            };
            match self.0.store.start_device(id, &new, &audit).await {
                Err(StoreError::OtherKey) => {}
                started => return Ok(Ok(started?)),
            }
        }
    }

    /// Waits no longer. `NotFound` unless a code is waited for.
    pub async fn cancel_device(&self, actor: &Actor, id: CredentialId) -> Result<(), Error> {
        need(actor, Permission::Action)?;
        let (credential, ..) = self.load(actor, id).await?;
        let now = self.0.clock.now();
        let entry = entry(actor, now, AuditAction::DeviceCancelled, subject(id, &credential.name));
        Ok(self.0.store.cancel_device(id, &[entry]).await?)
    }
}

impl Tokens {
    /// Asks about the codes that are due; answers with how many there were.
    pub async fn poll_devices(&self, limit: u32) -> Result<usize, StoreError> {
        let due = self.0.store.due_devices(self.0.clock.now(), limit).await?;
        // One that is slow holds no other up; and whoever stops waiting takes nothing along that the provider will not give
        // again, since each is a task of its own.
        let polls = due.iter().map(|id| {
            let (inner, id) = (Arc::clone(&self.0), *id);
            tokio::spawn(async move {
                if let Err(error) = inner.poll(id).await {
                    tracing::warn!(credential = %id, %error, "a device code could not be asked about");
                }
            })
        });
        for poll in polls.collect::<Vec<_>>() {
            _ = poll.await;
        }
        Ok(due.len())
    }
}

impl Inner {
    async fn begin(&self, id: CredentialId, settings: &OAuthDraft, url: &Webhook) -> Result<Begun, MailError> {
        let mut pairs = Vec::new();
        if !settings.scopes.is_empty() {
            pairs.push(("scope", settings.scopes.clone()));
        }
        let (status, body) = self.post(id, settings, url, &pairs).await?;
        begun(url, &settings.token_url, status, &body)
    }

    fn codes(&self, id: CredentialId, sealed: &SealedSecret) -> Result<Codes, MailError> {
        let opened = self.vault.open(codes_of(id), sealed);
        let opened = opened.map_err(|it| failed(ErrorKind::Internal, &it.to_string()))?;
        serde_json::from_str(opened.expose())
            .map_err(|_| failed(ErrorKind::Internal, "the stored device code cannot be read"))
    }

    /// Asks once, if it is this one's turn, and keeps what came of it.
    async fn poll(&self, id: CredentialId) -> Result<(), MailError> {
        let now = self.clock.now();
        let claim = self.store.claim_device(id, now, now.plus(LEASE)).await.map_err(|it| stored(&it))?;
        let Some(claim) = claim else { return Ok(()) };
        let settings = self.find(id).await?.status.settings;
        let polled = match self.codes(id, &claim.sealed) {
            _ if claim.until <= now => Polled::Ended(DeviceState::Expired, "expired_token".to_owned()),
            // As after a change of the master key: only another code helps.
            Err(error) => {
                tracing::warn!(credential = %id, %error, "a device code that was waited for cannot be opened");
                Polled::Ended(DeviceState::Failed, "unreadable".to_owned())
            }
            // Other settings ended the flow since the right was taken.
            Ok(codes) if codes.token_url != settings.token_url.to_string() => return Ok(()),
            Ok(codes) => self.ask_about(id, &settings, &codes).await,
        };
        let interval_s = match polled {
            Polled::Pending => claim.interval_s,
            Polled::SlowDown => claim.interval_s.saturating_add(INTERVAL_S).min(INTERVAL_MAX_S),
            Polled::Trouble(error) => {
                tracing::warn!(credential = %id, %error, "the provider could not be asked about a device code");
                claim.interval_s.saturating_mul(2).min(TROUBLE_MAX_S.max(claim.interval_s))
            }
            Polled::Ended(state, code) => return self.end(id, &claim, (state, &code)).await,
            Polled::Given(given) => return self.grant(id, &claim, settings.grant, &given).await,
        };
        let poll_at = self.clock.now().plus(Duration::from_secs(interval_s.into()));
        unless_fenced(self.store.put_off_device(id, claim.fence, interval_s, poll_at).await)
    }

    async fn ask_about(&self, id: CredentialId, settings: &OAuthDraft, codes: &Codes) -> Polled {
        let pairs = [("grant_type", GRANT.to_owned()), ("device_code", codes.device_code.clone())];
        match self.post(id, settings, &settings.token_url, &pairs).await {
            Ok((status, body)) => polled(&settings.token_url, status, &body),
            Err(error) => Polled::Trouble(error),
        }
    }

    async fn end(&self, id: CredentialId, claim: &DeviceClaim, end: (DeviceState, &str)) -> Result<(), MailError> {
        let after = picture(&serde_json::json!({ "state": end.0, "error": end.1 }));
        let entry = self.entry(id, claim, AuditAction::DeviceEnded).await?;
        let ended = self.store.end_device(id, claim.fence, end, &[AuditEntry { after, ..entry }]).await;
        unless_fenced(ended)
    }

    /// Ours alone has the only copy until it is stored.
    async fn grant(&self, id: CredentialId, claim: &DeviceClaim, grant: Grant, given: &Given) -> Result<(), MailError> {
        let (json, life) = (given.to_json()?, Life::of(self.clock.now(), grant, given));
        let audit = [self.entry(id, claim, AuditAction::OauthConsented).await?];
        let mut attempt = 1;
        loop {
            match self.keep_granted(id, claim.fence, &json, life, &audit).await {
                Ok(()) | Err(SealsError::Store(StoreError::Fenced)) => return Ok(()),
                Err(error) if attempt >= STORE_ATTEMPTS => return Err(not_sealed(&error)),
                Err(error) => tracing::warn!(credential = %id, %error, attempt, "fresh tokens could not be stored yet"),
            }
            attempt += 1;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Sealed in each attempt: another key may seal by then.
    async fn keep_granted(
        &self,
        id: CredentialId,
        fence: i64,
        json: &Secret,
        life: Life,
        audit: &[AuditEntry],
    ) -> Result<(), SealsError> {
        let kept = self.seal(id, json, life).await?;
        Ok(self.store.grant_device(id, fence, &kept, audit).await?)
    }

    /// In the name of whoever began it, from nowhere: they may have left long ago.
    async fn entry(&self, id: CredentialId, claim: &DeviceClaim, action: AuditAction) -> Result<AuditEntry, MailError> {
        let credential = self.store.find_credential(id).await.map_err(|it| stored(&it))?;
        let name = credential.map(|it| it.name).unwrap_or_default();
        Ok(AuditEntry {
            at: self.clock.now(),
            actor: claim.started_by.clone(),
            origin: "this server".to_owned(),
            action,
            subject: subject(id, &name),
            before: None,
            after: None,
        })
    }
}

/// Who lost the right has nothing to say: it was cancelled, or begun anew.
fn unless_fenced(written: Result<(), StoreError>) -> Result<(), MailError> {
    match written {
        Ok(()) | Err(StoreError::Fenced) => Ok(()),
        Err(error) => Err(stored(&error)),
    }
}

fn subject(id: CredentialId, name: &str) -> String {
    format!("credential {id} \"{name}\"")
}

/// Where the codes are stored.
fn codes_of(id: CredentialId) -> SealedAt {
    SealedPlace::DeviceCodes.of(id.0)
}

/// A provider's answer to the request for a code.
fn begun(url: &Webhook, token_url: &Webhook, status: u16, body: &Secret) -> Result<Begun, MailError> {
    let says = |kind, what: &str| {
        failed(kind, &format!("the OAuth 2.0 provider {} answered with status {status} {what}", url.authority()))
    };
    let answer: Option<Answer> = serde_json::from_str(body.expose()).ok();
    let trouble = if status == 429 || status >= 500 { ErrorKind::Throttled } else { ErrorKind::Protocol };
    let Some(answer) = answer else { return Err(says(trouble, "and no JSON of a device code")) };
    if let Some(code) = answer.error {
        let kind = if trouble == ErrorKind::Throttled { trouble } else { ErrorKind::Authentication };
        return Err(says(kind, &format!("({})", washed(&code))));
    }
    let is_plain = |it: &str, most: usize| {
        !it.is_empty() && it.len() <= most && it.bytes().all(|it| it.is_ascii_graphic() || it == b' ')
    };
    if !is_plain(&answer.device_code, TOKEN_MAX) || !is_plain(&answer.user_code, USER_CODE_MAX) {
        return Err(says(trouble, "and no code that could be entered"));
    }
    let Ok(uri) = Webhook::parse(&answer.verification_uri) else {
        return Err(says(trouble, "and no address where the code could be entered"));
    };
    // It is the same place, or it is not shown.
    let complete = answer.verification_uri_complete.and_then(|it| Webhook::parse(&it).ok());
    let complete = complete.filter(|it| it.authority() == uri.authority() && it.is_secure == uri.is_secure);
    let Some(life) = seconds(&answer.expires_in).filter(|it| *it > 0) else {
        return Err(says(trouble, "and does not say how long the code is good"));
    };
    let interval = seconds(&answer.interval).and_then(|it| u32::try_from(it).ok()).unwrap_or(INTERVAL_S);
    Ok(Begun {
        codes: Codes {
            device_code: answer.device_code,
            token_url: token_url.to_string(),
            shown: UserCode {
                user_code: answer.user_code,
                verification_uri: uri.to_string(),
                verification_uri_complete: complete.map(|it| it.to_string()),
            },
        },
        life: Duration::from_secs(life.min(CODE_LIFE_MAX_S)),
        interval_s: interval.clamp(1, INTERVAL_MAX_S),
    })
}

/// A provider's answer to the question about a code.
fn polled(url: &Webhook, status: u16, body: &Secret) -> Polled {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    if let Ok(Refusal { error }) = serde_json::from_str(body.expose()) {
        match error.as_str() {
            "authorization_pending" => return Polled::Pending,
            "slow_down" => return Polled::SlowDown,
            "access_denied" => return Polled::Ended(DeviceState::Denied, error),
            "expired_token" => return Polled::Ended(DeviceState::Expired, error),
            _ => {}
        }
    }
    match read(url, status, body) {
        Ok(given) => Polled::Given(given),
        Err(Denied::Trouble(error)) => Polled::Trouble(error),
        // Microsoft's word for what the standard calls access_denied and expired_token.
        Err(Denied::Refused(code)) => {
            let state = match code.as_str() {
                "authorization_declined" => DeviceState::Denied,
                "code_expired" => DeviceState::Expired,
                _ => DeviceState::Failed,
            };
            Polled::Ended(state, code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Webhook {
        Webhook::parse("https://id.example.org/device").unwrap()
    }

    fn of(status: u16, body: &str) -> Result<Begun, String> {
        begun(&url(), &url(), status, &Secret::new(body.to_owned()))
            .map_err(|it| format!("{:?}: {}", it.kind, it.message))
    }

    const GIVEN: &str = r#""device_code":"d","user_code":"WDJB-MJHT","verification_uri":"https://id.example.org/d""#;

    #[test]
    fn a_code_is_read_with_and_without_what_is_optional() {
        let begun = of(200, &format!(r#"{{{GIVEN},"expires_in":1800}}"#)).unwrap();
        assert_eq!((begun.life, begun.interval_s), (Duration::from_mins(30), 5));
        assert_eq!(begun.codes.shown.verification_uri_complete, None);
        let more = r#""expires_in":"99999","interval":7,"verification_uri_complete":"https://id.example.org/d?c=W""#;
        let begun = of(200, &format!("{{{GIVEN},{more}}}")).unwrap();
        assert_eq!((begun.life, begun.interval_s), (Duration::from_hours(1), 7));
        assert_eq!(begun.codes.shown.verification_uri_complete.as_deref(), Some("https://id.example.org/d?c=W"));
        let elsewhere = r#""expires_in":60,"verification_uri_complete":"https://evil.example.org/""#;
        let begun = of(200, &format!("{{{GIVEN},{elsewhere}}}")).unwrap();
        assert_eq!(begun.codes.shown.verification_uri_complete, None);
    }

    #[test]
    fn what_is_no_code_is_said() {
        for (status, body, said) in [
            (400, r#"{"error":"unauthorized_client","error_description":"<b>"}"#, "Authentication: "),
            (400, r#"{"error":"unauthorized_client"}"#, "(unauthorized_client)"),
            (503, r#"{"error":"server_error"}"#, "Throttled: "),
            (502, "<html>", "Throttled: "),
            (200, "[]", "no JSON"),
            (200, "{}", "no code"),
            (200, r#"{"device_code":"d","user_code":"a\nb","verification_uri":"https://a.example.org"}"#, "no code"),
            (200, r#"{"device_code":"d","user_code":"a","verification_uri":"javascript:alert(1)"}"#, "no address"),
        ] {
            let error = of(status, body).err().unwrap();
            assert!(error.contains(said), "{body}: {error}");
        }
        assert!(of(200, &format!("{{{GIVEN}}}")).err().unwrap().contains("how long"));
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let of = |status, body: &str| match polled(&url(), status, &Secret::new(body.to_owned())) {
            Polled::Pending => "pending".to_owned(),
            Polled::SlowDown => "slow down".to_owned(),
            Polled::Ended(state, code) => format!("{} {code}", state.as_str()),
            Polled::Trouble(_) => "trouble".to_owned(),
            Polled::Given(_) => "given".to_owned(),
        };
        for (error, expected) in [
            ("authorization_pending", "pending"),
            ("slow_down", "slow down"),
            ("access_denied", "denied access_denied"),
            ("authorization_declined", "denied authorization_declined"),
            ("expired_token", "expired expired_token"),
            ("invalid_grant", "failed invalid_grant"),
            ("temporarily_unavailable", "trouble"),
        ] {
            assert_eq!(of(400, &format!(r#"{{"error":"{error}"}}"#)), expected);
        }
        assert_eq!(of(503, "busy"), "trouble");
        assert_eq!(of(200, r#"{"access_token":"a"}"#), "given");
    }
}
