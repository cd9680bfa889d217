//! An authority's bundle: its certificates in PEM, and the lists of what it revoked, if somebody puts them in.

use std::sync::Arc;

use domain::{account::KeyPin, authority::AuthorityFacts, time::Timestamp};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, CertificateRevocationListDer,
        pem::{PemObject as _, SectionKind},
    },
};
use service::ports::CertificateReader;
use sha2::{Digest as _, Sha256};
use x509_parser::{parse_x509_certificate, prelude::FromDer as _, revocation_list::CertificateRevocationList};

use crate::{Reader, clean};

/// The most characters of a subject.
const SUBJECT_MAX: usize = 200;

/// Trusts these certificates and no others. A revocation list counts for the server's certificate; whatever no list speaks of is
/// not revoked.
pub(crate) fn verifier(pem: &str, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|it| it.to_string())?;
        roots.add(certificate).map_err(|it| it.to_string())?;
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()).collect();
    let lists = lists.map_err(|it| it.to_string())?;
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .with_crls(lists)
        .only_check_end_entity_revocation()
        .allow_unknown_revocation_status();
    let verifier = builder.build().map_err(|it| it.to_string())?;
    Ok(verifier)
}

impl CertificateReader for Reader {
    /// A private key is no part of a bundle: whoever pastes one made a mistake, and it is not kept.
    fn authority(&self, pem: &str) -> Option<AuthorityFacts> {
        let mut facts = AuthorityFacts { expires_at: Timestamp(i64::MAX), ..AuthorityFacts::default() };
        let mut hash = Sha256::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
            match section.ok()? {
                (SectionKind::Certificate, der) => {
                    let (rest, certificate) = parse_x509_certificate(&der).ok()?;
                    RootCertStore::empty().add(CertificateDer::from(der.as_slice())).ok()?;
                    if facts.n_certificates == 0 {
                        facts.subject = clean(certificate.subject().to_string().as_bytes(), SUBJECT_MAX);
                    }
                    facts.n_certificates += 1;
                    let expires = Timestamp::from_seconds(certificate.validity().not_after.timestamp());
                    facts.expires_at = facts.expires_at.min(expires);
                    hash.update(&der);
                    rest.is_empty().then_some(())?;
                }
                (SectionKind::Crl, der) => drop(CertificateRevocationList::from_der(&der).ok()?),
                _ => return None,
            }
        }
        facts.fingerprint = KeyPin(hash.finalize().into()).to_string();
        (facts.n_certificates > 0).then_some(facts)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    #[test]
    fn certificates_are_read_and_a_private_key_is_refused() {
        let made = generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let pem = made.cert.pem();
        let facts = Reader.authority(&format!("Some words before it\n{pem}{pem}")).unwrap();
        assert_eq!((facts.n_certificates, facts.subject.as_str()), (2, "CN=rcgen self signed cert"));
        assert!(facts.expires_at.to_string().starts_with("4096-01-01"), "{facts:?}");
        let one = Reader.authority(&pem).unwrap();
        assert!(one.fingerprint.starts_with("SHA256:") && one.fingerprint != facts.fingerprint);
        for wrong in [
            format!("{pem}{}", made.signing_key.serialize_pem()),
            pem.replace("MII", "MIJ"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            "nothing".to_owned(),
        ] {
            assert_eq!(Reader.authority(&wrong), None, "{wrong}");
        }
    }
}
