//! TLS around a connection. One configuration a trust policy, so that no session of a skipping one resumes in a verifying one.

use std::sync::Arc;

use domain::{
    account::{Address, Trust},
    check::{ErrorKind, Stage},
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use service::ports::MailError;
use tokio_rustls::TlsConnector;

use crate::{
    stages::Stages,
    wire::{Ahead, Wire},
};

#[derive(Clone)]
pub(crate) struct Tls {
    verifying: TlsConnector,
    skipping: TlsConnector,
}

impl Tls {
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            || ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let verifying = builder()?.with_platform_verifier()?.with_no_client_auth();
        let any = Arc::new(AnyCertificate(Arc::clone(&provider)));
        let skipping = builder()?.dangerous().with_custom_certificate_verifier(any).with_no_client_auth();
        Ok(Self { verifying: Arc::new(verifying).into(), skipping: Arc::new(skipping).into() })
    }

    /// The same connection inside TLS. The certificate must be for the address that was entered (RFC 7817).
    pub(crate) async fn secure(
        &self,
        wire: Wire,
        address: &Address,
        trust: Trust,
        stages: &Stages,
    ) -> Result<Wire, MailError> {
        let connector = match trust {
            Trust::System => &self.verifying,
            Trust::SkipCertificate => &self.skipping,
        };
        let handshake = async {
            let name = ServerName::try_from(address.as_str().to_owned())
                .map_err(|_| MailError::new(ErrorKind::Tls, Stage::Tls, "the address is no name for a certificate"))?;
            let (stream, mold) = wire.into_stream()?;
            let stream = connector.connect(name, Ahead::new(stream)).await.map_err(|it| explain(&it))?;
            let (_, session) = stream.get_ref();
            let version = session.protocol_version().and_then(|it| it.as_str()).unwrap_or("TLS").replace('_', ".");
            let detail = match trust {
                Trust::System => version,
                Trust::SkipCertificate => format!("{version}, certificate not checked"),
            };
            Ok((mold.wire(Box::new(stream)), detail))
        };
        stages.run(Stage::Tls, handshake).await
    }
}

/// What went wrong in the handshake, in plain words.
fn explain(error: &std::io::Error) -> MailError {
    let inner = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(reason)) = inner else {
        let what = inner.map_or_else(|| error.to_string(), ToString::to_string);
        return MailError::new(ErrorKind::Tls, Stage::Tls, format!("no TLS connection: {what}"));
    };
    let why = match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than the address"
        }
        CertificateError::UnknownIssuer => "nobody that this system trusts has issued it",
        CertificateError::Revoked => "it was revoked",
        _ => "it does not hold",
    };
    let message = format!("the server's certificate is not accepted: {why} ({reason})");
    MailError::new(ErrorKind::Certificate, Stage::Tls, message)
}

/// Accepts any certificate, but still demands that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
