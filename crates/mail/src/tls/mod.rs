//! TLS around a connection. One configuration a trust policy, so that no session of a skipping one resumes in a verifying one.

pub(crate) mod bundle;
mod explain;
mod seen;
mod verify;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::{
    account::{Address, KeyPin, Trust},
    check::{ErrorKind, Stage},
    ids::AuthorityId,
    time::Timestamp,
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
        let system = Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(&provider))?);
        let verifying = config(&provider, Arc::new(Explaining::system(system)))?;
        let skipping = config(&provider, Arc::new(AnyCertificate(Arc::clone(&provider))))?;
        let chosen = Arc::default();
        Ok(Self { verifying: Arc::new(verifying).into(), skipping: Arc::new(skipping).into(), provider, chosen })
    }

    /// The same connection inside TLS. The certificate must be for the address that was entered (RFC 7817), unless its key is
    /// pinned or anything is accepted.
    pub(crate) async fn secure(&self, wire: Wire, expected: &Expected<'_>, stages: &Stages) -> Result<Wire, MailError> {
        let handshake = async {
            let connector = self.connector(expected)?;
            let name = ServerName::try_from(expected.address.as_str().to_owned())
                .map_err(|_| MailError::new(ErrorKind::Tls, Stage::Tls, "the address is no name for a certificate"))?;
            let (stream, mold) = wire.into_stream()?;
            let stream = connector.connect(name, Ahead::new(stream)).await.map_err(|it| {
                if let Some(seen) = explained(&it).and_then(Explained::seen) {
                    stages.saw_tls(seen);
                }
                failed(&it)
            })?;
            let (_, session) = stream.get_ref();
            stages.saw_tls(seen::session(session));
            let version = seen::version(session);
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

    fn connector(&self, expected: &Expected) -> Result<TlsConnector, MailError> {
        match expected.trust {
            Trust::System => Ok(self.verifying.clone()),
            Trust::SkipCertificate { until } => {
                let now = Timestamp::from_seconds(i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX));
                match until.filter(|it| it.is_over(now)) {
                    None => Ok(self.skipping.clone()),
                    Some(day) => Err(refused(&format!(
                        "the certificate was to be skipped until {day} and that day is over. Choose what to trust, or a later end"
                    ))),
                }
            }
            Trust::Pin(pin) => self.kept(Policy::Pin(pin), || {
                let pinned = Pinned { pin, provider: Arc::clone(&self.provider) };
                let mut config = config(&self.provider, Arc::new(pinned)).map_err(|it| it.to_string())?;
                // A resumed session shows no key: with a pin each connection has to.
                config.resumption = Resumption::disabled();
                Ok(config)
            }),
            Trust::Authority(_) => {
                let Some(bundle) = expected.authority else {
                    return Err(refused("its authority does not exist any more. Choose what to trust"));
                };
                self.kept(Policy::Authority { id: bundle.id, version: bundle.version }, || {
                    let verifier = bundle::verifier(&bundle.pem, &self.provider)?;
                    config(&self.provider, Arc::new(Explaining::own(verifier))).map_err(|it| it.to_string())
                })
            }
        }
    }

    /// The configuration of that policy, made once.
    fn kept(
        &self,
        policy: Policy,
        make: impl FnOnce() -> Result<ClientConfig, String>,
    ) -> Result<TlsConnector, MailError> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = chosen.get(&policy) {
            return Ok(connector.clone());
        }
        let config = make().map_err(|it| refused(&format!("the chosen trust cannot be used: {it}")))?;
        let connector = TlsConnector::from(Arc::new(config));
        if chosen.len() >= KEPT_AT_MOST {
            chosen.clear();
        }
        chosen.insert(policy, connector.clone());
        Ok(connector)
    }
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
    refused(&explained(error).map_or_else(|| format!("it does not hold ({reason})"), ToString::to_string))
}

fn inner(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|it| it.downcast_ref())
}

/// Our own words for the refusal of a certificate, if it was refused here.
fn explained(error: &std::io::Error) -> Option<&Explained> {
    match inner(error)? {
        rustls::Error::InvalidCertificate(CertificateError::Other(it)) => it.0.downcast_ref(),
        _ => None,
    }
}
