//! TLS around a connection. One configuration a trust policy, so that no session of a skipping one resumes in a verifying one.

pub(crate) mod bundle;
mod explain;
mod facts;
mod seen;
mod verify;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::{
    account::{Address, KeyPin, Trust},
    check::{ErrorKind, Stage},
    connection_test::{Fact, TlsFacts},
    ids::AuthorityId,
    time::{Day, Timestamp},
};
use rustls::{
    CertificateError, ClientConfig,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{ServerName, UnixTime},
};
use service::ports::{AuthorityBundle, MailError};
use tokio_rustls::TlsConnector;

use self::{
    explain::Explained,
    facts::Watching,
    verify::{AnyCertificate, Explaining, Pinned},
};
use crate::{
    stages::Stages,
    wire::{Ahead, Wire},
};

/// Policies of accounts that are kept at once. Beyond that all are made anew, which costs a handshake without resumption.
const KEPT_AT_MOST: usize = 1024;

/// Whose certificate is accepted, for whom.
pub(crate) struct Expected<'a> {
    pub(crate) address: &'a Address,
    pub(crate) trust: Trust,
    /// Present if the trust is in an authority.
    pub(crate) authority: Option<&'a AuthorityBundle>,
}

#[derive(Clone)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    /// What the system's roots say.
    system: Arc<dyn ServerCertVerifier>,
    verifying: TlsConnector,
    skipping: TlsConnector,
    chosen: Arc<Mutex<HashMap<Policy, TlsConnector>>>,
}

/// What one configuration is made for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Policy {
    Authority { id: AuthorityId, version: i64 },
    Pin(KeyPin),
}

impl Tls {
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let platform = Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(&provider))?);
        let system: Arc<dyn ServerCertVerifier> = Arc::new(Explaining::system(platform));
        let verifying = config(&provider, Arc::clone(&system))?;
        let skipping = config(&provider, Arc::new(AnyCertificate(Arc::clone(&provider))))?;
        let (verifying, skipping) = (Arc::new(verifying).into(), Arc::new(skipping).into());
        Ok(Self { verifying, skipping, system, provider, chosen: Arc::default() })
    }

    /// The same connection inside TLS. The certificate must be for the address that was entered (RFC 7817), unless its key is
    /// pinned or anything is accepted.
    pub(crate) async fn secure(&self, wire: Wire, expected: &Expected<'_>, stages: &Stages) -> Result<Wire, MailError> {
        let handshake = async {
            let (connector, watching) = if stages.is_probing {
                let (connector, watching) = self.watched(expected)?;
                (connector, Some(watching))
            } else {
                (self.connector(expected)?, None)
            };
            let name = ServerName::try_from(expected.address.as_str().to_owned())
                .map_err(|_| MailError::new(ErrorKind::Tls, Stage::Tls, "the address is no name for a certificate"))?;
            let (stream, mold) = wire.into_stream()?;
            let connected = connector.connect(name, Ahead::new(stream)).await;
            if let Some((chain, verdict)) = watching.and_then(|it| it.seen()) {
                stages.found(|| Fact::Chain(chain, verdict));
            }
            let stream = connected.map_err(|it| {
                if let Some(seen) = explained(&it).and_then(Explained::seen) {
                    stages.saw_tls(seen);
                }
                failed(&it)
            })?;
            let seen = seen::session(stream.get_ref().1);
            let version = seen.version.clone();
            stages.found(|| Fact::Tls(TlsFacts { version: version.clone(), cipher: seen.suite.clone() }));
            stages.saw_tls(seen);
            let detail = match expected.trust {
                Trust::System => version,
                Trust::Authority(_) => format!("{version}, by an own authority"),
                Trust::Pin(_) => format!("{version}, by the pinned key"),
                Trust::SkipCertificate { .. } => format!("{version}, certificate not checked"),
            };
            Ok((mold.wire(Box::new(stream)), detail))
        };
        stages.run(Stage::Tls, handshake).await
    }

    /// A configuration of its own that decides in the same way and keeps what the server shows. Without resumption: a session
    /// that is resumed shows nothing.
    fn watched(&self, expected: &Expected) -> Result<(TlsConnector, Arc<Watching>), MailError> {
        let decides = self.verifier(expected)?;
        // Where names and dates do not count, it is still told what the system would say.
        let is_lenient = matches!(expected.trust, Trust::Pin(_) | Trust::SkipCertificate { .. });
        let watching = Arc::new(Watching::new(decides, is_lenient.then(|| Arc::clone(&self.system))));
        let mut config = config(&self.provider, Arc::<Watching>::clone(&watching)).map_err(|it| unusable(&it))?;
        config.resumption = Resumption::disabled();
        Ok((Arc::new(config).into(), watching))
    }

    /// Who decides whether the certificate is accepted.
    fn verifier(&self, expected: &Expected) -> Result<Arc<dyn ServerCertVerifier>, MailError> {
        match expected.trust {
            Trust::System => Ok(Arc::clone(&self.system)),
            Trust::SkipCertificate { until } => {
                in_force(until)?;
                Ok(Arc::new(AnyCertificate(Arc::clone(&self.provider))))
            }
            Trust::Pin(pin) => Ok(Arc::new(Pinned { pin, provider: Arc::clone(&self.provider) })),
            Trust::Authority(_) => {
                let bundle = authority(expected)?;
                let verifier = bundle::verifier(&bundle.pem, &self.provider).map_err(|it| unusable(&it))?;
                Ok(Arc::new(Explaining::own(verifier)))
            }
        }
    }

    fn connector(&self, expected: &Expected) -> Result<TlsConnector, MailError> {
        match expected.trust {
            Trust::System => Ok(self.verifying.clone()),
            Trust::SkipCertificate { until } => in_force(until).map(|()| self.skipping.clone()),
            Trust::Pin(pin) => self.kept(Policy::Pin(pin), expected),
            Trust::Authority(_) => {
                let bundle = authority(expected)?;
                self.kept(Policy::Authority { id: bundle.id, version: bundle.version }, expected)
            }
        }
    }

    /// The configuration of that policy, made once.
    fn kept(&self, policy: Policy, expected: &Expected) -> Result<TlsConnector, MailError> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = chosen.get(&policy) {
            return Ok(connector.clone());
        }
        let mut config = config(&self.provider, self.verifier(expected)?).map_err(|it| unusable(&it))?;
        if matches!(policy, Policy::Pin(_)) {
            // A resumed session shows no key: with a pin each connection has to.
            config.resumption = Resumption::disabled();
        }
        let connector = TlsConnector::from(Arc::new(config));
        if chosen.len() >= KEPT_AT_MOST {
            chosen.clear();
        }
        chosen.insert(policy, connector.clone());
        Ok(connector)
    }
}

/// For a server that speaks no mail: it is verified by the system's roots, or by an authority of one's own (PEM) and nobody else.
pub(crate) fn verifying(authority: Option<&str>) -> Result<TlsConnector, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match authority {
        Some(pem) => bundle::verifier(pem, &provider)?,
        None => Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(|it| it.to_string())?),
    };
    Ok(TlsConnector::from(Arc::new(config(&provider, verifier).map_err(|it| it.to_string())?)))
}

/// Refuses what was to be skipped up to a day that is over.
fn in_force(until: Option<Day>) -> Result<(), MailError> {
    let now = Timestamp::from_seconds(i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX));
    let Some(day) = until.filter(|it| it.is_over(now)) else { return Ok(()) };
    Err(refused(&format!(
        "the certificate was to be skipped until {day} and that day is over. Choose what to trust, or a later end"
    )))
}

fn authority<'a>(expected: &Expected<'a>) -> Result<&'a AuthorityBundle, MailError> {
    expected.authority.ok_or_else(|| refused("its authority does not exist any more. Choose what to trust"))
}

fn unusable(why: &dyn std::fmt::Display) -> MailError {
    refused(&format!("the chosen trust cannot be used: {why}"))
}

fn config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn refused(why: &str) -> MailError {
    MailError::new(ErrorKind::Certificate, Stage::Tls, format!("the server's certificate is not accepted: {why}"))
}

/// What went wrong in the handshake, in plain words.
fn failed(error: &std::io::Error) -> MailError {
    let inner = inner(error);
    let Some(rustls::Error::InvalidCertificate(reason)) = inner else {
        let what = inner.map_or_else(|| error.to_string(), ToString::to_string);
        return MailError::new(ErrorKind::Tls, Stage::Tls, format!("no TLS connection: {what}"));
    };
    refused(&reason_of(reason))
}

fn inner(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|it| it.downcast_ref())
}

/// Our own words for the refusal of a certificate, if it was refused here.
fn explained(error: &std::io::Error) -> Option<&Explained> {
    match inner(error)? {
        rustls::Error::InvalidCertificate(it) => own_words(it),
        _ => None,
    }
}

fn own_words(reason: &CertificateError) -> Option<&Explained> {
    if let CertificateError::Other(it) = reason { it.0.downcast_ref() } else { None }
}

/// Why a certificate is refused, in plain words.
fn reason_of(reason: &CertificateError) -> String {
    own_words(reason).map_or_else(|| format!("it does not hold ({reason})"), ToString::to_string)
}
