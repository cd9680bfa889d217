//! What a server shows of itself, kept for a test of the connection.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{
    account::KeyPin,
    connection_test::{CertificateFacts, Verdict},
    time::Timestamp,
};
use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};
use x509_parser::{certificate::X509Certificate, parse_x509_certificate, public_key::PublicKey, x509::X509Name};

use super::{explain, reason_of};
use crate::clean;

/// The most certificates of a chain, names of a certificate, and characters of a subject.
const CHAIN_MAX: usize = 10;
const NAMES_MAX: usize = 100;
const SUBJECT_MAX: usize = 200;

type Seen = (Vec<CertificateFacts>, Verdict);

/// Lets another verifier decide, and keeps what was shown and why it is not trusted.
#[derive(Debug)]
pub(crate) struct Watching {
    decides: Arc<dyn ServerCertVerifier>,
    /// Is asked what it would say, where the one that decides takes what it is shown.
    vouches: Option<Arc<dyn ServerCertVerifier>>,
    seen: Mutex<Option<Seen>>,
}

impl Watching {
    pub(crate) fn new(decides: Arc<dyn ServerCertVerifier>, vouches: Option<Arc<dyn ServerCertVerifier>>) -> Self {
        Self { decides, vouches, seen: Mutex::default() }
    }

    /// What was shown, if anything was.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let decided = self.decides.verify_server_cert(leaf, sent, name, ocsp, now);
        let verdict = match (&decided, &self.vouches) {
            (Err(error), _) => Verdict::Refused { why: why(error) },
            (Ok(_), None) => Verdict::Trusted,
            (Ok(_), Some(vouches)) => match vouches.verify_server_cert(leaf, sent, name, ocsp, now) {
                Ok(_) => Verdict::Trusted,
                Err(error) => Verdict::Accepted { why: why(&error) },
            },
        };
        let chain = std::iter::once(leaf).chain(sent).take(CHAIN_MAX).map(facts).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((chain, verdict));
        decided
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.decides.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.decides.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.decides.supported_verify_schemes()
    }
}

fn why(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(reason) => reason_of(reason),
        other => other.to_string(),
    }
}

/// What cannot be read has a fingerprint all the same.
fn facts(der: &CertificateDer<'_>) -> CertificateFacts {
    let fingerprint = KeyPin(Sha256::digest(der).into()).to_string();
    let Ok((_, certificate)) = parse_x509_certificate(der) else {
        return CertificateFacts { fingerprint, ..CertificateFacts::default() };
    };
    let shown = |name: &X509Name| clean(name.to_string().as_bytes(), SUBJECT_MAX);
    let moment = |seconds: i64| Timestamp::from_seconds(seconds);
    let mut names = explain::names(&certificate);
    names.truncate(NAMES_MAX);
    CertificateFacts {
        subject: shown(certificate.subject()),
        issuer: shown(certificate.issuer()),
        names,
        not_before: moment(certificate.validity().not_before.timestamp()),
        not_after: moment(certificate.validity().not_after.timestamp()),
        fingerprint,
        key: key(&certificate),
        pin: explain::pin(der).map(|it| it.to_string()).unwrap_or_default(),
    }
}

/// The kind of its key, and how long it is.
fn key(certificate: &X509Certificate) -> String {
    if let Some(bits) = explain::rsa_bits(certificate) {
        return format!("RSA, {bits} bits");
    }
    match certificate.public_key().parsed() {
        Ok(PublicKey::EC(point)) => format!("EC, {} bits", point.key_size()),
        _ => match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            "1.3.101.113" => "Ed448".to_owned(),
            other => clean(other.as_bytes(), NAMES_MAX),
        },
    }
}
