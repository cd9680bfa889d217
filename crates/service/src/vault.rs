//! Sealing secrets: XChaCha20-Poly1305, a data key a secret, the row bound as associated data.
//!
//! A sealed secret is `2 | id of the master key (8) | nonce (24) | wrapped data key (32 + 16) | nonce (24) | ciphertext + tag`. The
//! data key is wrapped by that master key, which is never in the database. Form 1 has no id: it is as old as the first key.

use std::fmt::Write as _;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use crate::{
    ports::{SealedAt, SealedSecret},
    secret::Secret,
};

const WITHOUT_ID: u8 = 1;
const WITH_ID: u8 = 2;
const ID: usize = 8;
const NONCE: usize = 24;
const WRAPPED: usize = 32 + 16;

/// Names a master key without telling anything about it: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID]);

impl KeyId {
    pub fn of(key: &[u8; 32]) -> Self {
        let derived = blake3::derive_key("posthorn 2026 master key id", key);
        Self(derived.first_chunk().copied().unwrap_or_default())
    }

    /// Reads what [`std::fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 2 * ID || !text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(|it| Self(it.to_be_bytes()))
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Why a secret could not be sealed or opened. It never says what was inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("the secret could not be sealed")]
    Seal,
    #[error("the sealed secret is damaged, belongs to another row, or to another master key")]
    Open,
    /// The key is meant to be here: the instance was not given its file.
    #[error("the master key {0} is not held here: name its file and start again")]
    Unknown(KeyId),
}

/// A key, and its name.
struct MasterKey {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

/// Holds the master keys: the current one, and others while secrets are sealed anew.
pub struct Vault {
    first: MasterKey,
    others: Vec<MasterKey>,
}

/// The master key of a sealed secret; `None` for the form that does not say.
pub fn sealed_by(sealed: &[u8]) -> Option<KeyId> {
    let id = sealed.strip_prefix(&[WITH_ID])?.first_chunk()?;
    Some(KeyId(*id))
}

impl Vault {
    /// With a master key of 32 random bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { first: MasterKey::of(key), others: Vec::new() }
    }

    /// Holds this key too, if it does not already.
    #[must_use]
    pub fn holding(mut self, key: &[u8; 32]) -> Self {
        if self.find(KeyId::of(key)).is_none() {
            self.others.push(MasterKey::of(key));
        }
        self
    }

    /// Of the key that it was made with.
    pub fn key_id(&self) -> KeyId {
        self.first.id
    }

    /// Of every key that it holds.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys().map(|it| it.id)
    }

    /// The same as a text, for other instances to read: the ids with a space between them.
    pub fn key_list(&self) -> String {
        let mut text = String::new();
        for id in self.key_ids() {
            // Writing to a text cannot fail.
            _ = write!(text, "{}{id}", if text.is_empty() { "" } else { " " });
        }
        text
    }

    pub fn holds(&self, id: KeyId) -> bool {
        self.find(id).is_some()
    }

    /// Seals a secret for this row under one of its keys.
    pub fn seal(&self, key: KeyId, at: SealedAt, secret: &Secret) -> Result<SealedSecret, VaultError> {
        self.find(key).ok_or(VaultError::Unknown(key))?.seal(at, secret).map(SealedSecret)
    }

    /// Opens what was sealed for the same row.
    pub fn open(&self, at: SealedAt, SealedSecret(sealed): &SealedSecret) -> Result<Secret, VaultError> {
        if let Some(id) = sealed_by(sealed) {
            let key = self.find(id).ok_or(VaultError::Unknown(id))?;
            return key.open(at, sealed.get(1 + ID..).unwrap_or_default());
        }
        let rest = sealed.strip_prefix(&[WITHOUT_ID]).ok_or(VaultError::Open)?;
        self.keys().find_map(|it| it.open(at, rest).ok()).ok_or(VaultError::Open)
    }

    fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn find(&self, id: KeyId) -> Option<&MasterKey> {
        self.keys().find(|it| it.id == id)
    }
}

impl MasterKey {
    fn of(key: &[u8; 32]) -> Self {
        Self { id: KeyId::of(key), cipher: XChaCha20Poly1305::new(key.into()) }
    }

    fn seal(&self, at: SealedAt, secret: &Secret) -> Result<Vec<u8>, VaultError> {
        let data_key = Zeroizing::new(rand::random::<[u8; 32]>());
        let (key_nonce, nonce): ([u8; NONCE], [u8; NONCE]) = (rand::random(), rand::random());
        let bound_to = at.to_string();
        let aad = bound_to.as_bytes();
        let wrapped = self
            .cipher
            .encrypt(XNonce::from_slice(&key_nonce), Payload { msg: data_key.as_slice(), aad })
            .map_err(|_| VaultError::Seal)?;
        let sealed = XChaCha20Poly1305::new((&*data_key).into())
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: secret.expose().as_bytes(), aad })
            .map_err(|_| VaultError::Seal)?;
        Ok([&[WITH_ID], self.id.0.as_slice(), &key_nonce, &wrapped, &nonce, &sealed].concat())
    }

    /// What comes after the form and the id.
    fn open(&self, at: SealedAt, rest: &[u8]) -> Result<Secret, VaultError> {
        let bound_to = at.to_string();
        let aad = bound_to.as_bytes();
        let (key_nonce, rest) = rest.split_at_checked(NONCE).ok_or(VaultError::Open)?;
        let (wrapped, rest) = rest.split_at_checked(WRAPPED).ok_or(VaultError::Open)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(VaultError::Open)?;
        let data_key = self.cipher.decrypt(XNonce::from_slice(key_nonce), Payload { msg: wrapped, aad });
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
    use crate::ports::SealedPlace;

    const ROW: SealedAt = SealedAt { place: SealedPlace::Credential, id: 7 };

    fn sealed(vault: &Vault) -> SealedSecret {
        vault.seal(vault.key_id(), ROW, &Secret::new("hunter2".to_owned())).unwrap()
    }

    /// As the first release sealed: the same without the key's id.
    fn without_id(sealed: &SealedSecret) -> SealedSecret {
        SealedSecret([&[WITHOUT_ID], &sealed.0[1 + ID..]].concat())
    }

    /// Sealed by the first release for `ROW`, with a master key of 32 times 7.
    const FIRST_FORM: &str = "0164e237c6bfe768b3deeda50f5afe6401b879c214955323942dbf69f50b30dfeba85df4448aa521b141fd1cbc201d09105d081b2d94fd95\
        f7e172438dd9ec3ddffe85a27ee0a708a5e49e5bd8499ecd6f2a819d47db04d6d574d87b973afff7f49d0dd177e05440453c75d6efc95ef3a7ed42d03e7c3012";
    const FIRST_FORM_KEY: &str = "bf94ea999267a322";

    #[test]
    fn what_earlier_releases_sealed_is_opened() {
        let byte = |it: usize| u8::from_str_radix(&FIRST_FORM[2 * it..2 * it + 2], 16).unwrap();
        let old = SealedSecret((0..FIRST_FORM.len() / 2).map(byte).collect());
        let vault = Vault::new(&[7; 32]);
        assert_eq!(vault.open(ROW, &old).unwrap().expose(), "hunter2");
        let after = Vault::new(&[8; 32]).holding(&[7; 32]);
        assert_eq!(after.open(ROW, &old).unwrap().expose(), "hunter2");
        assert_eq!(vault.key_id().to_string(), FIRST_FORM_KEY);
    }

    #[test]
    fn a_secret_comes_back_only_for_its_own_row() {
        let vault = Vault::new(&[1; 32]);
        let sealed = sealed(&vault);
        let others = [SealedPlace::Credential.of(8), SealedPlace::OauthTokens.of(7), SealedPlace::OauthConsent.of(7)];
        for sealed in [without_id(&sealed), sealed] {
            assert_eq!(vault.open(ROW, &sealed).unwrap().expose(), "hunter2");
            for other in others {
                assert_eq!(vault.open(other, &sealed).unwrap_err(), VaultError::Open, "{other}");
            }
            assert!(!sealed.0.windows(7).any(|it| it == b"hunter2"));
        }
    }

    #[test]
    fn another_key_or_a_changed_byte_opens_nothing() {
        let vault = Vault::new(&[1; 32]);
        let whole = sealed(&vault);
        let other = Vault::new(&[2; 32]);
        assert_eq!(other.open(ROW, &whole).unwrap_err(), VaultError::Unknown(vault.key_id()));
        assert_eq!(other.open(ROW, &without_id(&whole)).unwrap_err(), VaultError::Open);
        for mut sealed in [without_id(&whole), whole] {
            for nth in 0..sealed.0.len() {
                sealed.0[nth] ^= 1;
                assert!(vault.open(ROW, &sealed).is_err(), "byte {nth}");
                sealed.0[nth] ^= 1;
            }
            for length in [0, 1, 5, 9, 20, 100] {
                assert!(vault.open(ROW, &SealedSecret(sealed.0[..length].to_vec())).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn the_id_of_another_key_that_is_held_opens_nothing() {
        let (one, other) = (Vault::new(&[1; 32]), Vault::new(&[2; 32]));
        let both = Vault::new(&[1; 32]).holding(&[2; 32]);
        let mut forged = sealed(&one);
        forged.0[1..=ID].copy_from_slice(&other.key_id().0);
        assert_eq!(both.open(ROW, &forged).unwrap_err(), VaultError::Open);
    }

    #[test]
    fn every_key_that_is_held_opens_what_it_sealed() {
        let (old, new) = (Vault::new(&[1; 32]), Vault::new(&[2; 32]));
        let both = Vault::new(&[2; 32]).holding(&[1; 32]).holding(&[2; 32]).holding(&[1; 32]);
        assert_eq!(both.key_ids().collect::<Vec<_>>(), [new.key_id(), old.key_id()]);
        assert_eq!(both.key_list(), format!("{} {}", new.key_id(), old.key_id()));
        for sealed in [sealed(&old), without_id(&sealed(&old)), sealed(&new)] {
            assert_eq!(both.open(ROW, &sealed).unwrap().expose(), "hunter2");
        }
        let again = both.seal(old.key_id(), ROW, &Secret::new("again".to_owned())).unwrap();
        assert_eq!((sealed_by(&again.0), sealed_by(&without_id(&again).0)), (Some(old.key_id()), None));
        assert_eq!(old.open(ROW, &again).unwrap().expose(), "again");
        let refused = old.seal(new.key_id(), ROW, &Secret::new(String::new()));
        assert_eq!(refused.unwrap_err(), VaultError::Unknown(new.key_id()));
    }

    #[test]
    fn the_name_of_a_key_is_read_as_it_is_written() {
        let id = KeyId::of(&[3; 32]);
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        for text in ["", "0123", "0123456789ABCDEF", "0123456789abcdeg", "+123456789abcdef"] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }
}
