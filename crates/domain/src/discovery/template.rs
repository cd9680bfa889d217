//! Placeholders of the autoconfig format, in what files say and in the URL of a database.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{email::EmailAddress, notices::Webhook, problem::Rule, query::encode_value};

/// Fills `%EMAILADDRESS%`, `%EMAILLOCALPART%` and `%EMAILDOMAIN%`. What is filled in is not looked at again: a local part may have
/// percent signs of its own.
pub fn fill(template: &str, address: &EmailAddress) -> String {
    fill_with(template, address, str::to_owned)
}

fn fill_with(template: &str, address: &EmailAddress, write: impl Fn(&str) -> String) -> String {
    let values = [
        ("%EMAILADDRESS%", address.as_str()),
        ("%EMAILLOCALPART%", address.local_part()),
        ("%EMAILDOMAIN%", address.host()),
    ];
    let (mut text, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('%') {
        let (before, after) = rest.split_at(at);
        text.push_str(before);
        let (value, length) = match values.iter().find(|(name, _)| after.starts_with(name)) {
            Some((name, value)) => (write(value), name.len()),
            None => ("%".to_owned(), 1),
        };
        text.push_str(&value);
        rest = &after[length..];
    }
    text + rest
}

/// Where a database of providers has the file of a domain: `https://autoconfig.example.net/v1.1/%EMAILDOMAIN%`.
///
/// **Invariant:** made by [`DatabaseUrl::parse`]: with any address it is an absolute `https` URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Accepts an `https` URL with `%EMAILDOMAIN%` in it; a database is told the whole address only if `%EMAILADDRESS%` is there.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let it = Self(text.trim().to_owned());
        let sample = EmailAddress::parse("a@example.org").map_err(|_| Rule::NotAUrl)?;
        let names_domain = ["%EMAILDOMAIN%", "%EMAILADDRESS%"].iter().any(|name| it.0.contains(name));
        match it.url(&sample) {
            Ok(url) if url.is_secure && names_domain => Ok(it),
            _ => Err(Rule::NotAUrl),
        }
    }

    /// The URL for this address, with every value percent-encoded.
    pub fn url(&self, address: &EmailAddress) -> Result<Webhook, Rule> {
        Webhook::parse(&fill_with(&self.0, address, encode_value))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    #[test]
    fn placeholders_are_filled_once() {
        let odd = address("%EMAILDOMAIN%@example.org");
        for (template, expected) in [
            ("%EMAILADDRESS%", "%EMAILDOMAIN%@example.org"),
            ("%EMAILLOCALPART%", "%EMAILDOMAIN%"),
            ("mail.%EMAILDOMAIN%", "mail.example.org"),
            ("%EMAILDOMAIN%.%EMAILDOMAIN%", "example.org.example.org"),
            ("100% %emaildomain% %EMAIL", "100% %emaildomain% %EMAIL"),
            ("%%EMAILDOMAIN%%", "%example.org%"),
            ("", ""),
        ] {
            assert_eq!(fill(template, &odd), expected, "{template}");
        }
    }

    #[test]
    fn a_database_is_asked_by_https_and_for_a_domain() {
        let url = DatabaseUrl::parse(" https://db.example.net/v1.1/%EMAILDOMAIN%?who=%EMAILADDRESS% ").unwrap();
        let asked = url.url(&address("a+b&c@bücher.example")).unwrap().to_string();
        assert_eq!(asked, "https://db.example.net/v1.1/xn--bcher-kva.example?who=a%2Bb%26c%40xn--bcher-kva.example");
        for text in [
            "http://db.example.net/%EMAILDOMAIN%",
            "https://db.example.net/",
            "%EMAILDOMAIN%",
            "",
            "https://a b/%EMAILDOMAIN%",
        ] {
            assert_eq!(DatabaseUrl::parse(text), Err(Rule::NotAUrl), "{text}");
        }
    }
}
