//! Autoconfig files (draft-ietf-mailmaint-autoconfig): which URLs are asked, and how. HTTPS only, wherever a redirect leads; each
//! host is looked up and judged anew.

use std::time::Duration;

use domain::{
    check::{ErrorKind, Stage},
    discovery::{LookUp, LookUpOutcome, Source, fill},
    email::EmailAddress,
    notices::Webhook,
    query::encode_value,
};
use futures::future::join_all;
use hyper::{Request, body::Bytes, header};
use service::ports::MailError;

use super::{failed, failure, file};
use crate::{
    Mail, clean,
    hook::{ask, read, within},
};

/// For one file, with all its redirects.
const DEADLINE: Duration = Duration::from_secs(8);
/// The longest file that is taken.
const FILE_MAX: usize = 64 * 1024;
const REDIRECTS_MAX: usize = 3;

impl Mail {
    pub(super) async fn look_up_files(&self, address: &EmailAddress) -> Vec<LookUp> {
        let mut urls: Vec<(Source, String)> = of_domain(address).map(|it| (Source::Autoconfig, it)).into();
        if let Some(database) = &self.settings.autoconfig_database
            && let Ok(url) = database.url(address)
        {
            urls.push((Source::Database, url.to_string()));
        }
        let one = |(source, target): (Source, String)| async move {
            let outcome = match Webhook::parse(&target) {
                Ok(url) => self.file_at(url, address).await,
                // A domain may be so long that nothing fits before it.
                Err(_) => LookUpOutcome::Nothing,
            };
            LookUp { source, target, outcome }
        };
        join_all(urls.into_iter().map(one)).await
    }

    async fn file_at(&self, url: Webhook, address: &EmailAddress) -> LookUpOutcome {
        match within(DEADLINE, &url, self.fetch(&url)).await {
            Ok(Some(text)) => match file::offers(&text, |it| fill(it, address)) {
                Ok(offers) => LookUpOutcome::Offers(offers),
                Err(error) => failed(ErrorKind::Protocol, format!("the file cannot be read: {error}")),
            },
            Ok(None) => LookUpOutcome::Nothing,
            Err(error) => failure(error),
        }
    }

    /// The text of the file, if there is one.
    async fn fetch(&self, url: &Webhook) -> Result<Option<String>, MailError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let stream = self.reach(&url, DEADLINE).await?;
            let request = Request::get(&url.path).header(header::ACCEPT, "application/xml, text/xml");
            let mut answer = ask(stream, &url, request, Bytes::new()).await?;
            tracing::debug!(authority = url.authority(), status = answer.status, "autoconfig");
            match (answer.status, answer.location.take()) {
                (200, _) => return Ok(Some(read(&url, &mut answer.body, FILE_MAX).await?)),
                (404 | 410, _) => return Ok(None),
                (301 | 302 | 303 | 307 | 308, Some(location)) => url = next(&url, &location)?,
                (status, _) => return Err(refused(format!("{} answered with status {status}", url.authority()))),
            }
        }
        Err(refused(format!("more than {REDIRECTS_MAX} redirects, the last to {}", url.authority())))
    }
}

/// Only the host that is made for it is told the address; whoever has the domain's web site is told nothing.
fn of_domain(address: &EmailAddress) -> [String; 2] {
    let (domain, whole) = (address.host(), encode_value(address.as_str()));
    [
        format!("https://autoconfig.{domain}/mail/config-v1.1.xml?emailaddress={whole}"),
        format!("https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"),
    ]
}

/// Where a redirect leads: to an `https` URL, or to a path of the same host.
fn next(url: &Webhook, location: &str) -> Result<Webhook, MailError> {
    let is_path = location.starts_with('/') && !location.starts_with("//");
    let absolute = if is_path { format!("https://{}{location}", url.authority()) } else { location.to_owned() };
    Webhook::parse(&absolute).ok().filter(|it| it.is_secure).ok_or_else(|| {
        let said = clean(location.as_bytes(), 100);
        refused(format!("{} leads to \u{ab}{said}\u{bb}, which is no https URL", url.authority()))
    })
}

fn refused(message: String) -> MailError {
    MailError::new(ErrorKind::Protocol, Stage::Send, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_with_https() {
        let url = Webhook::parse("https://autoconfig.example.org:8443/mail/x").unwrap();
        for (location, expected) in [
            ("/other?x=1", Some("https://autoconfig.example.org:8443/other?x=1")),
            ("https://config.example.net/y", Some("https://config.example.net/y")),
            ("http://autoconfig.example.org/y", None),
            ("//config.example.net/y", None),
            ("other.xml", None),
            ("file:///etc/passwd", None),
            ("https://user:password@config.example.net/", None),
        ] {
            assert_eq!(next(&url, location).ok().map(|it| it.to_string()).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn only_the_host_for_it_is_told_the_address() {
        let address = EmailAddress::parse("a+b@bücher.example").unwrap();
        assert_eq!(
            of_domain(&address),
            [
                "https://autoconfig.xn--bcher-kva.example/mail/config-v1.1.xml?emailaddress=a%2Bb%40xn--bcher-kva.example",
                "https://xn--bcher-kva.example/.well-known/autoconfig/mail/config-v1.1.xml",
            ]
        );
    }
}
