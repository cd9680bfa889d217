//! Who is told when accounts are late or failing by a common cause, and when that is over.

use serde::{Deserialize, Serialize};

use crate::{
    account::Address,
    email::EmailAddress,
    problem::{Problem, Problems, Rule, choice, port, yes_no},
    schedule::LANGUAGES,
};

/// The most addresses that a notice goes to.
const RECIPIENTS_MAX: usize = 20;
/// The most characters of a webhook's URL.
const URL_MAX: u32 = 1000;
/// The most minutes that a notice waits for the cause to pass.
const AFTER_MINUTES_MAX: u32 = 24 * 60;
const AFTER_MINUTES_DEFAULT: u32 = 5;

/// The form, every field as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NoticesForm {
    pub enabled: String,
    /// Addresses, separated by spaces, commas or lines.
    pub recipients: String,
    pub webhook: String,
    pub after_minutes: String,
    pub language: String,
}

impl NoticesForm {
    pub fn of(notices: &Notices) -> Self {
        Self {
            enabled: if notices.enabled { "yes" } else { "no" }.to_owned(),
            recipients: notices.recipients.iter().map(EmailAddress::as_str).collect::<Vec<_>>().join("\n"),
            webhook: notices.webhook.as_ref().map(ToString::to_string).unwrap_or_default(),
            after_minutes: notices.after_minutes.to_string(),
            language: notices.language.clone(),
        }
    }
}

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    pub enabled: bool,
    pub recipients: Vec<EmailAddress>,
    pub webhook: Option<Webhook>,
    /// A cause that passes sooner is not told of.
    pub after_minutes: u32,
    /// One of [`LANGUAGES`].
    pub language: String,
}

impl Notices {
    /// For those who may not post, and for the audit log.
    #[must_use]
    pub fn without_secrets(self) -> Self {
        Self { webhook: self.webhook.map(Webhook::without_path), ..self }
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self {
            enabled: false,
            recipients: Vec::new(),
            webhook: None,
            after_minutes: AFTER_MINUTES_DEFAULT,
            language: "en".to_owned(),
        }
    }
}

impl TryFrom<&NoticesForm> for Notices {
    type Error = Vec<Problem>;

    /// Reports every problem, in the order of the form.
    fn try_from(form: &NoticesForm) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let enabled = problems.keep("enabled", yes_no(&form.enabled, false));
        let recipients = problems.keep("recipients", recipients(&form.recipients));
        let webhook = Some(form.webhook.trim()).filter(|it| !it.is_empty()).map(Webhook::parse).transpose();
        let webhook = problems.keep("webhook", webhook);
        let after_minutes = problems.keep("after_minutes", minutes(&form.after_minutes));
        let language = if form.language.is_empty() { LANGUAGES[0] } else { form.language.as_str() };
        let language = choice(language, |it| LANGUAGES.contains(&it).then(|| it.to_owned()));
        let language = problems.keep("language", language);
        let all = (|| {
            let it = Self {
                enabled: enabled?,
                recipients: recipients?,
                webhook: webhook?,
                after_minutes: after_minutes?,
                language: language?,
            };
            if it.enabled && it.recipients.is_empty() && it.webhook.is_none() {
                problems.note("recipients", Rule::Missing);
                return None;
            }
            Some(it)
        })();
        all.ok_or_else(|| problems.into_vec())
    }
}

fn recipients(text: &str) -> Result<Vec<EmailAddress>, Rule> {
    let parts = text.split(|it: char| it.is_whitespace() || it == ',' || it == ';').filter(|it| !it.is_empty());
    let found = parts.map(EmailAddress::parse).collect::<Result<Vec<_>, _>>()?;
    let max = RECIPIENTS_MAX;
    if found.len() > max { Err(Rule::TooMany { max: u32::try_from(max).unwrap_or(u32::MAX) }) } else { Ok(found) }
}

fn minutes(text: &str) -> Result<u32, Rule> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(AFTER_MINUTES_DEFAULT);
    }
    let max = AFTER_MINUTES_MAX;
    text.parse().ok().filter(|it| *it <= max).ok_or(Rule::OutOfRange { min: 0, max })
}

/// Where notices are posted as JSON: `https://hooks.example.org/posthorn`. Whoever knows all of it may post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub is_secure: bool,
    pub address: Address,
    pub port: u16,
    /// From the slash on, with the query.
    pub path: String,
}

impl Webhook {
    /// An absolute `http` or `https` URL (RFC 3986), without user, password or fragment.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        if text.chars().count() > URL_MAX as usize {
            return Err(Rule::TooLong { max: URL_MAX });
        }
        let (is_secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(Rule::NotAUrl),
        };
        let is_plain = |it: u8| it.is_ascii_graphic() && it != b'#' && it != b'@' && it != b'\\';
        if !rest.bytes().all(is_plain) {
            return Err(Rule::NotAUrl);
        }
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let (host, number) = split_port(authority);
        let address = Address::parse(host).map_err(|_| Rule::NotAUrl)?;
        let standard = if is_secure { 443 } else { 80 };
        let port = number.map_or(Ok(standard), port).map_err(|_| Rule::NotAUrl)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { is_secure, address, port, path })
    }

    /// Scheme and authority only, for those who may not post: `https://hooks.example.org`.
    #[must_use]
    pub fn without_path(self) -> Self {
        Self { path: String::new(), ..self }
    }

    /// As the `Host` field has it.
    pub fn authority(&self) -> String {
        let host =
            if self.address.as_str().contains(':') { format!("[{}]", self.address) } else { self.address.to_string() };
        let standard = if self.is_secure { 443 } else { 80 };
        if self.port == standard { host } else { format!("{host}:{}", self.port) }
    }
}

/// `[::1]:443` and `host:443`.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = authority.strip_prefix('[').and_then(|it| it.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
}

impl std::fmt::Display for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_an_absolute_url_without_secrets_in_its_authority() {
        for (text, shown) in [
            ("https://hooks.example.org", "https://hooks.example.org/"),
            ("https://hooks.example.org:443/a?b=c", "https://hooks.example.org/a?b=c"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("https://hooks.example.org?x", "https://hooks.example.org/?x"),
        ] {
            assert_eq!(Webhook::parse(text).map(|it| it.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in [
            "hooks.example.org",
            "ftp://hooks.example.org",
            "https://",
            "https://a b/",
            "https://u:p@hooks.example.org/",
            "https://hooks.example.org/#x",
            "https://hooks.example.org:0/",
            "https://hooks.example.org:99999/",
            "https://hooks.example.org/\r\nX: y",
        ] {
            assert_eq!(Webhook::parse(text), Err(Rule::NotAUrl), "{text:?}");
        }
    }

    #[test]
    fn whoever_turns_notices_on_says_where_they_go() {
        let form = NoticesForm { enabled: "yes".to_owned(), ..NoticesForm::default() };
        assert_eq!(Notices::try_from(&form), Err(vec![Problem::new("recipients", Rule::Missing)]));
        let form = NoticesForm { recipients: "ana@example.org, bo@example.org".to_owned(), ..form };
        assert_eq!(Notices::try_from(&form).map(|it| (it.recipients.len(), it.after_minutes)), Ok((2, 5)));
    }
}
