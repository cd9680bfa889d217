//! The use cases of OAuth 2.0 credentials: their settings, and how somebody consents.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    account::UsedBy,
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    check::{ErrorKind, Stage},
    credential::{Credential, SecretInput},
    ids::CredentialId,
    notices::Webhook,
    oauth::{Grant, OAuthForm, OAuthStatus, Provider},
    problem::Rule,
    query,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::{Consent, MailError, SealedAt, SealedPlace, StoreError},
    seals::seal_for,
    secret::Secret,
    tokens::washed,
};

/// How long somebody may take to sign in to the provider and consent.
const CONSENT_FOR: std::time::Duration = std::time::Duration::from_mins(10);

/// The use cases of OAuth 2.0 credentials.
pub struct OAuth<'a>(pub(crate) &'a Parts);

/// What a provider hands back by way of the browser (RFC 6749 section 4.1.2, RFC 9207).
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Callback {
    pub state: String,
    pub code: String,
    pub error: String,
    /// Who hands it back, if the provider says so.
    pub iss: String,
}

/// What is remembered of somebody who was sent to consent. Sealed.
#[derive(Serialize, Deserialize)]
struct Sent {
    user: String,
    verifier: String,
    redirect_uri: String,
}

impl OAuth<'_> {
    /// A credential, how its tokens stand, and what uses it.
    pub async fn load(&self, actor: &Actor, id: CredentialId) -> Result<(Credential, OAuthStatus, UsedBy), Error> {
        let credential = self.0.credentials().load(actor, id).await?;
        let row = self.0.store.find_oauth(id).await?.ok_or(Error::NotFound)?;
        Ok((credential, row.status, self.0.store.credential_used_by(id).await?))
    }

    /// Adds a credential (`id` is `None`) or changes one. Other settings make the tokens void.
    pub async fn save(&self, actor: &Actor, id: Option<CredentialId>, form: &OAuthForm) -> Result<CredentialId, Error> {
        need(actor, Permission::Write)?;
        need(actor, Permission::Action)?;
        let before = match id {
            Some(id) => Some(self.load(actor, id).await?),
            None => None,
        };
        // A new record has no version, whatever the form says.
        let version = if id.is_some() { form.version.clone() } else { String::new() };
        let form = OAuthForm { version, ..form.clone() };
        let is_stale = before.as_ref().is_some_and(|it| form.version.parse() != Ok(it.0.version));
        if is_stale {
            return Err(Error::Conflict);
        }
        let (draft, secret) = form.draft().map_err(Error::Invalid)?;
        let now = self.0.clock.now();
        let credentials = self.0.credentials();
        let after = picture(&form.without_secrets());
        let Some((stored, status, _)) = before else {
            let id = self.0.store.next_credential_id().await?;
            let subject = format!("credential {id} \"{}\"", draft.name);
            let entry = AuditEntry { after, ..entry(actor, now, AuditAction::CredentialAdded, subject) };
            credentials.add(id, &draft, secret.unwrap_or_default(), entry).await?;
            return Ok(id);
        };
        let id = stored.id;
        let mut secret = secret;
        let settings = draft.oauth.as_ref();
        if secret.is_none() && settings.is_some_and(|it| it.goes_elsewhere(&status.settings)) {
            // What is stored was entered for another address, and goes nowhere else.
            if settings.is_some_and(|it| it.grant == Grant::ClientCredentials) {
                return Err(Error::field("secret", Rule::Missing));
            }
            secret = Some(SecretInput::default());
        }
        let mut shown = form.without_secrets();
        if secret.is_some() {
            shown.secret = SecretInput("replaced".to_owned());
        }
        let after = picture(&shown);
        let subject = format!("credential {id} \"{}\"", draft.name);
        let before = picture(&OAuthForm::of(&stored, &status.settings));
        let entry = AuditEntry { before, after, ..entry(actor, now, AuditAction::CredentialChanged, subject) };
        credentials.change(&stored, &draft, secret, entry).await?;
        Ok(id)
    }

    /// Sends somebody to the provider: answers with the address that their browser is to open.
    pub async fn start(&self, actor: &Actor, id: CredentialId, redirect_uri: &str) -> Result<String, Error> {
        need(actor, Permission::Action)?;
        let (credential, OAuthStatus { settings, .. }, _) = self.load(actor, id).await?;
        let Some(url) = settings.authorize_url.filter(|_| settings.grant == Grant::AuthorizationCode) else {
            return Err(Error::field("grant", Rule::NotAnOption));
        };
        let (state, verifier) = (random(), random());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let sent = Sent { user: actor.name.clone(), verifier, redirect_uri: redirect_uri.to_owned() };
        let json = serde_json::to_string(&sent).map_err(|it| Error::internal(&it))?;
        let json = Secret::new(json);
        loop {
            let sealed = seal_for(self.0, consent_of(id), &json).await?;
            let consent = Consent { hash: hash(&state), sealed, until: self.0.clock.now().plus(CONSENT_FOR) };
            match self.0.store.start_consent(id, &consent).await {
                Err(StoreError::OtherKey) => {}
                started => break started?,
            }
        }
        let mut pairs = vec![
            ("response_type", "code".to_owned()),
            ("client_id", settings.client_id),
            ("redirect_uri", redirect_uri.to_owned()),
            ("scope", settings.scopes),
            ("state", state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256".to_owned()),
            ("login_hint", credential.username),
        ];
        if settings.provider == Provider::Google {
            // Without these Google gives no refresh token.
            pairs.extend([("access_type", "offline".to_owned()), ("prompt", "consent".to_owned())]);
        }
        pairs.retain(|it| !it.1.is_empty());
        let url = url.to_string();
        let joint = if url.contains('?') { '&' } else { '?' };
        Ok(format!("{url}{joint}{}", query::encode(&pairs)))
    }

    /// Takes what the provider handed back. Only whoever was sent may bring it, once and within ten minutes; anything else is
    /// not found. The inner error is the provider's.
    pub async fn finish(
        &self,
        actor: &Actor,
        callback: &Callback,
    ) -> Result<(CredentialId, Result<(), MailError>), Error> {
        need(actor, Permission::Action)?;
        let taken = self.0.store.take_consent(&hash(&callback.state), self.0.clock.now()).await?;
        let (id, sealed) = taken.ok_or(Error::NotFound)?;
        let json = self.0.vault.open(consent_of(id), &sealed).map_err(|it| Error::internal(&it))?;
        let sent: Sent = serde_json::from_str(json.expose()).map_err(|it| Error::internal(&it))?;
        if sent.user != actor.name {
            tracing::warn!(actor = %actor.name, "brings a consent that somebody else was sent to give");
            return Err(Error::NotFound);
        }
        let (_, status, _) = self.load(actor, id).await?;
        if !callback.error.is_empty() || callback.code.is_empty() {
            let code = washed(&callback.error);
            return Ok((id, Err(denied(&format!("the OAuth 2.0 provider sent you back without a consent ({code})")))));
        }
        let host = status.settings.authorize_url.map(|it| it.authority());
        if !callback.iss.is_empty() && Webhook::parse(&callback.iss).ok().map(|it| it.authority()) != host {
            return Ok((id, Err(denied("another provider sent you back than the one that you were sent to"))));
        }
        let pairs = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", callback.code.clone()),
            ("redirect_uri", sent.redirect_uri),
            ("code_verifier", sent.verifier),
        ];
        Ok((id, self.obtain(actor, id, Some(pairs)).await?))
    }

    /// Asks for a token for the application itself, at once. The inner error is the provider's.
    pub async fn fetch(&self, actor: &Actor, id: CredentialId) -> Result<Result<(), MailError>, Error> {
        need(actor, Permission::Action)?;
        let (_, status, _) = self.load(actor, id).await?;
        if status.settings.grant != Grant::ClientCredentials {
            return Err(Error::field("grant", Rule::NotAnOption));
        }
        self.obtain(actor, id, None).await
    }

    async fn obtain(
        &self,
        actor: &Actor,
        id: CredentialId,
        code: Option<Vec<(&'static str, String)>>,
    ) -> Result<Result<(), MailError>, Error> {
        let (credential, ..) = self.load(actor, id).await?;
        let subject = format!("credential {id} \"{}\"", credential.name);
        let entry = entry(actor, self.0.clock.now(), AuditAction::OauthConsented, subject);
        Ok(self.0.tokens.obtain(id, code, entry).await)
    }
}

fn denied(message: &str) -> MailError {
    MailError::new(ErrorKind::Authentication, Stage::Authenticate, message)
}

/// 256 random bits that may stand in an address.
fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn hash(state: &str) -> Vec<u8> {
    Sha256::digest(state.as_bytes()).to_vec()
}

/// Where a consent under way is stored.
fn consent_of(id: CredentialId) -> SealedAt {
    SealedPlace::OauthConsent.of(id.0)
}
