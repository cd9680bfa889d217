//! OAuth 2.0 (RFC 6749) for a credential: who gives its tokens, by which grant, and how that stands.

use serde::{Deserialize, Serialize};

use crate::{
    account::NAME_MAX,
    credential::{Credential, CredentialDraft, SecretInput, day_or_none},
    notices::Webhook,
    problem::{Problem, Problems, Rule, choice, line},
    time::Timestamp,
};

/// The most characters of a list of scopes.
const SCOPES_MAX: u32 = 1000;
/// The most characters of a client's id and of a tenant.
const CLIENT_MAX: u32 = 255;
const SECRET_MAX: u32 = 4096;

/// Who gives the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    #[default]
    Microsoft,
    Google,
    /// Its addresses are part of the settings.
    Other,
}

impl Provider {
    pub const ALL: [Self; 3] = [Self::Microsoft, Self::Google, Self::Other];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Microsoft => "microsoft",
            Self::Google => "google",
            Self::Other => "other",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// By which grant the tokens come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Somebody signs in to the provider and consents (RFC 6749 section 4.1), with PKCE (RFC 7636).
    #[default]
    AuthorizationCode,
    /// The same on another device, with a code that is shown here (RFC 8628).
    DeviceCode,
    /// The application signs in for itself (RFC 6749 section 4.4).
    ClientCredentials,
}

impl Grant {
    pub const ALL: [Self; 3] = [Self::AuthorizationCode, Self::DeviceCode, Self::ClientCredentials];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::DeviceCode => "device_code",
            Self::ClientCredentials => "client_credentials",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Whether the mailbox's owner consents, and a refresh token stands for that.
    pub fn is_consented(self) -> bool {
        self != Self::ClientCredentials
    }
}

/// The form, every field as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OAuthForm {
    pub name: String,
    pub username: String,
    pub provider: String,
    pub grant: String,
    /// Microsoft: the directory's id or domain.
    pub tenant: String,
    pub client_id: String,
    /// The client's secret. Empty on a change: the stored one stays.
    pub secret: SecretInput,
    /// Separated by spaces; empty: those that the provider wants for mail.
    pub scopes: String,
    /// Other providers.
    pub authorize_url: String,
    pub device_url: String,
    pub token_url: String,
    /// The day on which the client's secret ends at the provider, if somebody knows: `2026-01-31`.
    pub secret_ends_on: String,
    pub version: String,
}

/// Settings that keep the rules. Presets are written out, so that a later release changes nothing that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OAuthDraft {
    pub provider: Provider,
    pub grant: Grant,
    pub tenant: String,
    pub client_id: String,
    pub scopes: String,
    /// Where somebody consents; present if and only if they are sent there.
    pub authorize_url: Option<Webhook>,
    /// Where device codes are given (RFC 8628 section 3.1); present if and only if they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_url: Option<Webhook>,
    pub token_url: Webhook,
}

/// How a credential's tokens stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// There was never a token for these settings.
    Never,
    Ok,
    /// The provider refuses until somebody acts.
    NeedsPerson,
}

impl TokenState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Ok => "ok",
            Self::NeedsPerson => "needs_person",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Never, Self::Ok, Self::NeedsPerson].into_iter().find(|it| it.as_str() == text)
    }
}

/// The settings and how the tokens stand, as screens may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OAuthStatus {
    pub settings: OAuthDraft,
    pub state: TokenState,
    /// The provider's error code.
    pub message: Option<String>,
    pub obtained_at: Option<Timestamp>,
    /// Of the access token; it is renewed before.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, and with it the consent, if the provider said.
    pub consent_ends_at: Option<Timestamp>,
}

impl OAuthDraft {
    /// Whether the client's secret would be shown where it was not shown by these settings.
    pub fn goes_elsewhere(&self, before: &Self) -> bool {
        let is_new = |it: &Webhook| {
            let is_beside =
                it.is_secure == before.token_url.is_secure && it.authority() == before.token_url.authority();
            before.device_url.as_ref() != Some(it) && !is_beside
        };
        self.token_url != before.token_url || self.device_url.as_ref().is_some_and(is_new)
    }
}

impl OAuthForm {
    pub fn of(credential: &Credential, settings: &OAuthDraft) -> Self {
        let is_other = settings.provider == Provider::Other;
        let shown = |it: &Webhook| if is_other { it.to_string() } else { String::new() };
        Self {
            name: credential.name.clone(),
            username: credential.username.clone(),
            provider: settings.provider.as_str().to_owned(),
            grant: settings.grant.as_str().to_owned(),
            tenant: settings.tenant.clone(),
            client_id: settings.client_id.clone(),
            secret: SecretInput::default(),
            scopes: settings.scopes.clone(),
            authorize_url: settings.authorize_url.as_ref().map(shown).unwrap_or_default(),
            device_url: settings.device_url.as_ref().map(shown).unwrap_or_default(),
            token_url: shown(&settings.token_url),
            secret_ends_on: credential.secret_ends_on.map(|it| it.to_string()).unwrap_or_default(),
            version: credential.version.to_string(),
        }
    }

    /// What of it may be shown again and written down.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        Self { secret: SecretInput::default(), ..self.clone() }
    }

    /// The draft, and the client's secret if one was entered. Reports every problem, in the order of the form.
    pub fn draft(&self) -> Result<(CredentialDraft, Option<SecretInput>), Vec<Problem>> {
        let mut problems = Problems::default();
        let name = problems.keep("name", line(&self.name, NAME_MAX));
        let username = problems.keep("username", line(&self.username, 255));
        let provider = problems.keep("provider", choice(&self.provider, Provider::parse));
        let grant = problems.keep("grant", choice(&self.grant, Grant::parse).and_then(|it| offered(provider, it)));
        let tenant = match provider {
            Some(Provider::Microsoft) => problems.keep("tenant", tenant(&self.tenant)),
            _ => Some(String::new()),
        };
        let client_id = problems.keep("client_id", line(&self.client_id, CLIENT_MAX));
        let secret = Some(&self.secret).filter(|it| !it.0.is_empty());
        match secret {
            // Whoever consents proves it by PKCE; an application that signs in for itself has nothing but its secret.
            None if self.version.is_empty() && grant == Some(Grant::ClientCredentials) => {
                problems.note("secret", Rule::Missing);
            }
            Some(it) if it.0.len() > SECRET_MAX as usize => {
                problems.note("secret", Rule::TooLong { max: SECRET_MAX });
            }
            Some(it) if crate::text::has_control(&it.0) => problems.note("secret", Rule::Control),
            _ => {}
        }
        let secret_ends_on = problems.keep("secret_ends_on", day_or_none(&self.secret_ends_on));
        let scopes = problems.keep("scopes", self.scopes(provider, grant));
        let urls = self.urls(provider, grant, tenant.as_deref(), &mut problems);
        let draft = (|| {
            let Urls { authorize, device, token } = urls?;
            let settings = OAuthDraft {
                provider: provider?,
                grant: grant?,
                tenant: tenant?,
                client_id: client_id?,
                scopes: scopes?,
                authorize_url: authorize,
                device_url: device,
                token_url: token,
            };
            let (name, username, secret_ends_on) = (name?, username?, secret_ends_on?);
            Some(CredentialDraft { name, username, oauth: Some(settings), secret_ends_on })
        })();
        let problems = problems.into_vec();
        match draft {
            Some(draft) if problems.is_empty() => Ok((draft, secret.cloned())),
            _ => Err(problems),
        }
    }

    /// As entered, or what the provider wants for IMAP, POP3 and SMTP.
    fn scopes(&self, provider: Option<Provider>, grant: Option<Grant>) -> Result<String, Rule> {
        let entered = self.scopes.split_whitespace().collect::<Vec<_>>().join(" ");
        if !entered.is_empty() {
            return line(&entered, SCOPES_MAX);
        }
        let preset = match (provider, grant) {
            (Some(Provider::Microsoft), Some(Grant::ClientCredentials)) => "https://outlook.office365.com/.default",
            (Some(Provider::Microsoft), _) => {
                "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/POP.AccessAsUser.All \
                 https://outlook.office.com/SMTP.Send offline_access"
            }
            (Some(Provider::Google), _) => "https://mail.google.com/",
            _ => "",
        };
        Ok(preset.to_owned())
    }

    /// Where somebody consents, where device codes are given, and where tokens are.
    fn urls(
        &self,
        provider: Option<Provider>,
        grant: Option<Grant>,
        tenant: Option<&str>,
        problems: &mut Problems,
    ) -> Option<Urls> {
        let microsoft = |end: &str| Some(format!("https://login.microsoftonline.com/{}/oauth2/v2.0/{end}", tenant?));
        let (authorize, device, token) = match provider? {
            Provider::Microsoft => (microsoft("authorize")?, microsoft("devicecode")?, microsoft("token")?),
            Provider::Google => (
                "https://accounts.google.com/o/oauth2/v2/auth".to_owned(),
                String::new(),
                "https://oauth2.googleapis.com/token".to_owned(),
            ),
            Provider::Other => (self.authorize_url.clone(), self.device_url.clone(), self.token_url.clone()),
        };
        let grant = grant?;
        let mut keep = |field, url: &str, is_needed| {
            if is_needed { problems.keep(field, endpoint(url)).map(Some) } else { Some(None) }
        };
        let authorize = keep("authorize_url", &authorize, grant == Grant::AuthorizationCode);
        let device = keep("device_url", &device, grant == Grant::DeviceCode);
        let token = problems.keep("token_url", endpoint(&token));
        Some(Urls { authorize: authorize?, device: device?, token: token? })
    }
}

/// The addresses of a provider.
struct Urls {
    authorize: Option<Webhook>,
    device: Option<Webhook>,
    token: Webhook,
}

/// Google gives device codes for no scope of mail.
fn offered(provider: Option<Provider>, grant: Grant) -> Result<Grant, Rule> {
    let is_offered = !(provider == Some(Provider::Google) && grant == Grant::DeviceCode);
    if is_offered { Ok(grant) } else { Err(Rule::NotAnOption) }
}

/// What stands in the path of Microsoft's addresses: an id, a domain, or `organizations`.
fn tenant(text: &str) -> Result<String, Rule> {
    let text = line(text, CLIENT_MAX)?;
    let is_plain = text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.'));
    if is_plain && !text.starts_with('.') { Ok(text) } else { Err(Rule::NotAnAddress) }
}

/// Secrets go there: `https`, or a provider on this very machine.
fn endpoint(text: &str) -> Result<Webhook, Rule> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Rule::Missing);
    }
    let url = Webhook::parse(text)?;
    let is_here = matches!(url.address.as_str(), "127.0.0.1" | "::1" | "localhost");
    if url.is_secure || is_here { Ok(url) } else { Err(Rule::NotAUrl) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Day;

    fn form(provider: &str, grant: &str) -> OAuthForm {
        OAuthForm {
            name: "Invoices".to_owned(),
            username: "ana@example.org".to_owned(),
            provider: provider.to_owned(),
            grant: grant.to_owned(),
            client_id: "posthorn".to_owned(),
            secret: SecretInput("s3cret".to_owned()),
            ..OAuthForm::default()
        }
    }

    fn settings(form: &OAuthForm) -> OAuthDraft {
        form.draft().unwrap().0.oauth.unwrap()
    }

    fn problem(form: &OAuthForm) -> Vec<Problem> {
        form.draft().unwrap_err()
    }

    #[test]
    fn presets_are_written_out() {
        let microsoft = OAuthForm { tenant: "example.org".to_owned(), ..form("microsoft", "client_credentials") };
        let found = settings(&microsoft);
        assert_eq!(found.token_url.to_string(), "https://login.microsoftonline.com/example.org/oauth2/v2.0/token");
        assert_eq!(found.authorize_url, None);
        assert_eq!(found.scopes, "https://outlook.office365.com/.default");
        let google = settings(&form("google", "authorization_code"));
        assert_eq!(google.authorize_url.unwrap().to_string(), "https://accounts.google.com/o/oauth2/v2/auth");
        assert_eq!(google.scopes, "https://mail.google.com/");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let check = |form: &OAuthForm, field, rule| assert_eq!(problem(form), [Problem::new(field, rule)]);
        check(&form("microsoft", "authorization_code"), "tenant", Rule::Missing);
        let tenant = OAuthForm { tenant: "a/../b".to_owned(), ..form("microsoft", "authorization_code") };
        check(&tenant, "tenant", Rule::NotAnAddress);
        let other =
            OAuthForm { token_url: "http://id.example.org/t".to_owned(), ..form("other", "client_credentials") };
        check(&other, "token_url", Rule::NotAUrl);
        let here = OAuthForm { token_url: "http://127.0.0.1:9000/t".to_owned(), ..other };
        assert_eq!(settings(&here).token_url.port, 9000);
        let none = OAuthForm { secret: SecretInput::default(), ..here };
        check(&none, "secret", Rule::Missing);
        assert!(OAuthForm { version: "3".to_owned(), ..none }.draft().unwrap().1.is_none());
        let fields: Vec<String> = problem(&OAuthForm::default()).into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["name", "username", "provider", "grant", "client_id"]);
    }

    #[test]
    fn a_device_code_has_an_address_of_its_own_and_google_gives_none_for_mail() {
        let microsoft = OAuthForm { tenant: "organizations".to_owned(), ..form("microsoft", "device_code") };
        let found = settings(&microsoft);
        let device = found.device_url.unwrap().to_string();
        assert_eq!(device, "https://login.microsoftonline.com/organizations/oauth2/v2.0/devicecode");
        assert_eq!(found.authorize_url, None);
        assert_eq!(problem(&form("google", "device_code")), [Problem::new("grant", Rule::NotAnOption)]);
        let token_url = "https://id.example.org/t".to_owned();
        let other = OAuthForm { token_url, ..form("other", "device_code") };
        assert_eq!(problem(&other), [Problem::new("device_url", Rule::Missing)]);
    }

    #[test]
    fn a_secret_goes_nowhere_else_by_another_address() {
        let with = |device: &str, token: &str| {
            let form = OAuthForm {
                device_url: device.to_owned(),
                token_url: token.to_owned(),
                ..form("other", if device.is_empty() { "client_credentials" } else { "device_code" })
            };
            settings(&form)
        };
        let [token, beside, away] =
            ["https://id.example.org/t", "https://id.example.org/d", "https://id.example.net/d"];
        assert!(!with(beside, token).goes_elsewhere(&with("", token)));
        assert!(with(away, token).goes_elsewhere(&with("", token)));
        assert!(with(away, token).goes_elsewhere(&with(beside, token)));
        assert!(!with(away, token).goes_elsewhere(&with(away, token)));
        assert!(with("", "https://id.example.org/u").goes_elsewhere(&with("", token)));
    }

    #[test]
    fn settings_without_a_device_code_are_written_as_ever() {
        // A text that differed would make stored tokens void.
        let stored = serde_json::to_string(&settings(&form("google", "authorization_code"))).unwrap();
        assert!(!stored.contains("device"), "{stored}");
        assert_eq!(serde_json::from_str::<OAuthDraft>(&stored).unwrap().device_url, None);
    }

    #[test]
    fn the_day_on_which_a_secret_ends_is_a_day() {
        let ends = |text: &str| OAuthForm { secret_ends_on: text.to_owned(), ..form("google", "authorization_code") };
        assert_eq!(ends("2026-01-31").draft().unwrap().0.secret_ends_on, Day::parse("2026-01-31"));
        assert_eq!(ends(" ").draft().unwrap().0.secret_ends_on, None);
        assert_eq!(problem(&ends("soon")), [Problem::new("secret_ends_on", Rule::NotADay)]);
    }

    #[test]
    fn a_consent_needs_no_secret() {
        let form = OAuthForm { secret: SecretInput::default(), ..form("google", "authorization_code") };
        assert!(form.draft().unwrap().1.is_none());
    }
}
