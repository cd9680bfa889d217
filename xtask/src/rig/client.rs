//! A bare IMAP client over TLS that keeps nothing: what the server and the protocol cost before anybody does anything with it.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};

/// How long the server may be silent.
const SILENCE: Duration = Duration::from_mins(1);
const BUFFER: usize = 64 * 1024;

/// Opens sessions that share what TLS remembers, so that they resume.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    port: u16,
}

/// What was fetched and thrown away.
pub(crate) struct Drained {
    pub(crate) took: Duration,
    pub(crate) n_messages: u64,
}

impl Client {
    /// Trusts this one certificate.
    pub(crate) fn new(certificate: &Path, port: u16) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificate = CertificateDer::from_pem_file(certificate)?;
        let exactly = Exactly { certificate, algorithms: provider.signature_verification_algorithms };
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(exactly)).with_no_client_auth();
        Ok(Self { config: Arc::new(config), port })
    }

    /// Fetches every message of the inbox by one command, from the connection to the end.
    pub(crate) fn drain(&self, user: &str) -> Result<Drained> {
        let began = Instant::now();
        let mut session = self.open(user)?;
        session.command("SELECT INBOX")?;
        let n_messages = session.command("FETCH 1:* (UID BODY.PEEK[])")?;
        session.command("LOGOUT")?;
        Ok(Drained { took: began.elapsed(), n_messages })
    }

    /// Looks whether there is anything new, in as few steps as can be.
    pub(crate) fn poll(&self, user: &str) -> Result<()> {
        let mut session = self.open(user)?;
        session.command("STATUS INBOX (UIDVALIDITY UIDNEXT MESSAGES)")?;
        session.command("LOGOUT")?;
        Ok(())
    }

    fn open(&self, user: &str) -> Result<Session> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), ServerName::try_from("localhost")?)?;
        let wire = BufReader::with_capacity(BUFFER, StreamOwned::new(connection, stream));
        let mut session = Session { wire, n_commands: 0 };
        let greeting = session.line()?;
        ensure!(greeting.starts_with(b"* OK"), "greeting: {}", String::from_utf8_lossy(&greeting));
        session.command(&format!("LOGIN {user} pass"))?;
        Ok(session)
    }
}

struct Session {
    wire: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    n_commands: u32,
}

impl Session {
    /// Sends a command and reads to its end; answers with the number of literals on the way.
    fn command(&mut self, command: &str) -> Result<u64> {
        self.n_commands += 1;
        let tag = format!("a{} ", self.n_commands);
        self.wire.get_mut().write_all(format!("{tag}{command}\r\n").as_bytes())?;
        let mut n_literals = 0;
        loop {
            let line = self.line()?;
            if let Some(length) = literal(&line) {
                let skipped = io::copy(&mut self.wire.by_ref().take(length), &mut io::sink())?;
                ensure!(skipped == length, "the server hung up within a message");
                n_literals += 1;
            } else if let Some(end) = line.strip_prefix(tag.as_bytes()) {
                ensure!(end.starts_with(b"OK"), "{command}: {}", String::from_utf8_lossy(end));
                return Ok(n_literals);
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        self.wire.read_until(b'\n', &mut line)?;
        ensure!(line.ends_with(b"\n"), "the server hung up");
        Ok(line)
    }
}

/// The length of the literal that a line announces (RFC 3501 section 4.3).
fn literal(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"}\r\n")?;
    let digits = line.rsplit(|it| *it == b'{').next().filter(|it| it.len() < line.len())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Takes one certificate and no other.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("this is another server".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn only_a_line_that_ends_in_a_length_announces_a_literal() {
        assert_eq!(literal(b"* 1 FETCH (UID 4 BODY[] {1234}\r\n"), Some(1234));
        for line in ["* OK {x}\r\n", "12}\r\n", ")\r\n", "* {12} more\r\n"] {
            assert_eq!(literal(line.as_bytes()), None, "{line}");
        }
    }
}
