//! The agent's key, in a file that nobody else may read.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use aws_lc_rs::{
    encoding::AsDer as _,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

use super::AgentError;
use crate::tunnel::greeting::fingerprint;

/// Characters of a line of PEM.
const LINE: usize = 64;

/// An Ed25519 key (RFC 8032), kept as PKCS #8 in PEM.
pub(super) struct Key(pub(super) Ed25519KeyPair);

impl Key {
    pub(super) fn read(path: &Path) -> Result<Option<Self>, AgentError> {
        let failed = |why: &dyn std::fmt::Display| AgentError(format!("the token file {}: {why}", path.display()));
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let mode = fs::metadata(path).map_err(|it| failed(&it))?.mode();
        if mode & 0o077 != 0 {
            return Err(failed(&"others may read it; it must have mode 0600"));
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| failed(&"it holds no private key"))?;
        let key = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der());
        key.map(|it| Some(Self(it))).map_err(|_| failed(&"it holds no Ed25519 key"))
    }

    /// Makes a key and the file, which must not be there yet.
    pub(super) fn make(path: &Path) -> Result<Self, AgentError> {
        let failed = |why: &dyn std::fmt::Display| AgentError(format!("the token file {}: {why}", path.display()));
        let unusable = |_| failed(&"no key could be made");
        let key = Ed25519KeyPair::generate().map_err(unusable)?;
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().map_err(unusable)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = file.map_err(|it| failed(&it))?;
        let written = file.write_all(pem(der.as_ref()).as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|it| failed(&it))?;
        Ok(Self(key))
    }

    pub(super) fn fingerprint(&self) -> String {
        fingerprint(self.0.public_key().as_ref())
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(Key::read(&path).unwrap().is_none());
        let made = Key::make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Key::read(&path).unwrap().unwrap().fingerprint(), made.fingerprint());
        assert!(Key::make(&path).is_err_and(|it| it.to_string().contains("exists")));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Key::read(&path).is_err_and(|it| it.to_string().contains("0600")));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "nothing").unwrap();
        assert!(Key::read(&path).is_err_and(|it| it.to_string().contains("no private key")));
    }
}
