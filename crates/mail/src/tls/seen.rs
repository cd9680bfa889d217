//! What is noted of a server's TLS: version, suite, and its certificate.

use domain::{account::KeyPin, posture::TlsSeen, time::Timestamp};
use rustls::{ClientConnection, pki_types::CertificateDer};
use sha2::{Digest as _, Sha256};
use x509_parser::parse_x509_certificate;

use crate::clean;

/// The most characters of an issuer.
const ISSUER_MAX: usize = 200;

/// After a handshake. A resumed session has the certificate of the one that it goes on with.
pub(super) fn session(session: &ClientConnection) -> TlsSeen {
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    TlsSeen {
        version: version(session),
        suite: session.negotiated_cipher_suite().and_then(|it| it.suite().as_str()).unwrap_or_default().to_owned(),
        ..leaf.map(certificate).unwrap_or_default()
    }
}

/// `TLSv1.3`
fn version(session: &ClientConnection) -> String {
    session.protocol_version().and_then(|it| it.as_str()).unwrap_or("TLS").replace('_', ".")
}

/// Of a certificate alone, which may have been refused.
pub(super) fn certificate(leaf: &CertificateDer) -> TlsSeen {
    let fingerprint = KeyPin(Sha256::digest(leaf).into()).to_string();
    let Ok((_, read)) = parse_x509_certificate(leaf) else {
        return TlsSeen { fingerprint, ..TlsSeen::default() };
    };
    TlsSeen {
        not_after: Some(Timestamp::from_seconds(read.validity().not_after.timestamp())),
        issuer: clean(read.issuer().to_string().as_bytes(), ISSUER_MAX),
        fingerprint,
        ..TlsSeen::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use domain::{
        account::{Address, Trust},
        check::{ErrorKind, StageRecord},
    };
    use rcgen::generate_simple_self_signed;
    use rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        version::{TLS12, TLS13},
    };
    use service::ports::{MailError, StageLog};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::{
        stages::Stages,
        tls::{Expected, Tls},
        wire::Wire,
    };

    #[derive(Default)]
    struct Notes(Mutex<Vec<TlsSeen>>);

    impl StageLog for Notes {
        fn ended(&self, _: StageRecord) {}

        fn saw_tls(&self, seen: TlsSeen) {
            self.0.lock().unwrap().push(seen);
        }
    }

    /// One handshake with a server of that version that nobody vouches for.
    async fn shake(version: &'static SupportedProtocolVersion, trust: Trust) -> (Result<(), MailError>, Vec<TlsSeen>) {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(async move { TlsAcceptor::from(Arc::new(config)).accept(theirs).await.is_ok() });
        let notes = Arc::new(Notes::default());
        let patience = Duration::from_secs(5);
        let stages = Stages::new(Arc::<Notes>::clone(&notes), patience);
        let address = Address::parse("localhost").unwrap();
        let expected = Expected { address: &address, trust, authority: None };
        let wire = Wire::new(Box::new(ours), patience, 1 << 20);
        let secured = Tls::new().unwrap().secure(wire, &expected, &stages).await.map(drop);
        server.await.unwrap();
        let seen = notes.0.lock().unwrap().clone();
        (secured, seen)
    }

    #[tokio::test]
    async fn version_suite_and_certificate_are_noted() {
        for (version, name, suite) in [(&TLS13, "TLSv1.3", "TLS13_"), (&TLS12, "TLSv1.2", "TLS_ECDHE_")] {
            let (secured, seen) = shake(version, Trust::SkipCertificate { until: None }).await;
            secured.unwrap();
            let [seen] = &seen[..] else { panic!("{seen:?}") };
            assert_eq!(seen.version, name);
            assert!(seen.suite.starts_with(suite) && !seen.is_weak(), "{seen:?}");
            assert_eq!(seen.issuer, "CN=rcgen self signed cert");
            assert!(seen.fingerprint.starts_with("SHA256:") && seen.not_after.is_some(), "{seen:?}");
        }
    }

    #[tokio::test]
    async fn a_refused_certificate_is_noted_too() {
        let (secured, seen) = shake(&TLS13, Trust::System).await;
        assert_eq!(secured.unwrap_err().kind, ErrorKind::Certificate);
        let [seen] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((seen.version.as_str(), seen.suite.as_str()), ("", ""));
        assert!(seen.not_after.is_some() && seen.fingerprint.starts_with("SHA256:"), "{seen:?}");
    }
}
