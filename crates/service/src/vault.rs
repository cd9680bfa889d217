//! Sealing secrets: XChaCha20-Poly1305, a data key a secret, the row bound as associated data.
//!
//! A sealed secret is `1 | nonce (24) | wrapped data key (32 + 16) | nonce (24) | ciphertext + tag`. The data key is wrapped by
//! the master key, which is never in the database.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use crate::secret::Secret;

const VERSION: u8 = 1;
const NONCE: usize = 24;
const WRAPPED: usize = 32 + 16;

/// Why a secret could not be sealed or opened. It never says what was inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("the secret could not be sealed")]
    Seal,
    #[error("the sealed secret is damaged, belongs to another row, or to another master key")]
    Open,
}

/// Holds the master key.
pub struct Vault {
    master: XChaCha20Poly1305,
    key_id: String,
}

impl Vault {
    /// From a master key of 32 random bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        let key_id = blake3::derive_key("posthorn 2026 master key id", key);
        let key_id = key_id.iter().take(8).fold(String::new(), |text, it| format!("{text}{it:02x}"));
        Self { master: XChaCha20Poly1305::new(key.into()), key_id }
    }

    /// Names the key without telling anything about it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Seals a secret for the row that `bound_to` names.
    pub fn seal(&self, bound_to: &str, secret: &Secret) -> Result<Vec<u8>, VaultError> {
        let data_key = Zeroizing::new(rand::random::<[u8; 32]>());
        let (key_nonce, nonce): ([u8; NONCE], [u8; NONCE]) = (rand::random(), rand::random());
        let aad = bound_to.as_bytes();
        let wrapped = self
            .master
            .encrypt(XNonce::from_slice(&key_nonce), Payload { msg: data_key.as_slice(), aad })
            .map_err(|_| VaultError::Seal)?;
        let sealed = XChaCha20Poly1305::new((&*data_key).into())
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: secret.expose().as_bytes(), aad })
            .map_err(|_| VaultError::Seal)?;
        Ok([&[VERSION], key_nonce.as_slice(), &wrapped, &nonce, &sealed].concat())
    }

    /// Opens what was sealed for the same row.
    pub fn open(&self, bound_to: &str, sealed: &[u8]) -> Result<Secret, VaultError> {
        let aad = bound_to.as_bytes();
        let (version, rest) = sealed.split_first().ok_or(VaultError::Open)?;
        let (key_nonce, rest) = rest.split_at_checked(NONCE).ok_or(VaultError::Open)?;
        let (wrapped, rest) = rest.split_at_checked(WRAPPED).ok_or(VaultError::Open)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(VaultError::Open)?;
        if *version != VERSION {
            return Err(VaultError::Open);
        }
        let data_key = self.master.decrypt(XNonce::from_slice(key_nonce), Payload { msg: wrapped, aad });
        let data_key = Zeroizing::new(data_key.map_err(|_| VaultError::Open)?);
        let opened = XChaCha20Poly1305::new_from_slice(&data_key)
            .map_err(|_| VaultError::Open)?
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad })
            .map_err(|_| VaultError::Open)?;
        String::from_utf8(opened).map(Secret::new).map_err(|_| VaultError::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(vault: &Vault) -> Vec<u8> {
        vault.seal("credentials/secret/7", &Secret::new("hunter2".to_owned())).unwrap()
    }

    #[test]
    fn a_secret_comes_back_only_for_its_own_row() {
        let vault = Vault::new(&[1; 32]);
        let sealed = sealed(&vault);
        assert_eq!(vault.open("credentials/secret/7", &sealed).unwrap().expose(), "hunter2");
        assert_eq!(vault.open("credentials/secret/8", &sealed).unwrap_err(), VaultError::Open);
        assert!(!sealed.windows(7).any(|it| it == b"hunter2"));
    }

    #[test]
    fn another_key_or_a_changed_byte_opens_nothing() {
        let vault = Vault::new(&[1; 32]);
        let mut sealed = sealed(&vault);
        assert_eq!(Vault::new(&[2; 32]).open("credentials/secret/7", &sealed).unwrap_err(), VaultError::Open);
        for nth in 0..sealed.len() {
            sealed[nth] ^= 1;
            assert!(vault.open("credentials/secret/7", &sealed).is_err(), "byte {nth}");
            sealed[nth] ^= 1;
        }
        assert!(vault.open("credentials/secret/7", &sealed[..20]).is_err());
    }
}
