//! Files that hold a master key.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// A master key; wiped when it is dropped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// More than any form of a key has.
const BYTES_MAX: u64 = 1024;
/// The permission of everybody to read.
const BY_EVERYBODY: u32 = 0o004;

/// Makes a file with a new key that only its owner may read. What is there already stays.
pub(crate) fn make(path: &Path) -> Result<Key> {
    let key = Key::new(rand::random());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.with_context(|| path.display().to_string())?;
    let written = write(written, &key).and_then(|()| {
        // The name too is to outlast a power cut: secrets will depend on it.
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    });
    if let Err(error) = written {
        // Half a key would only stand in the way of the next attempt.
        _ = fs::remove_file(path);
        return Err(error).with_context(|| path.display().to_string());
    }
    Ok(key)
}

fn write(mut file: File, key: &Key) -> std::io::Result<()> {
    let text = Zeroizing::new(STANDARD.encode(**key));
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// 32 bytes, raw or in Base64 or as hexadecimal digits.
pub(crate) fn read(path: &Path) -> Result<Key> {
    let named = || format!("the master key {}", path.display());
    let file = File::open(path).with_context(named)?;
    let metadata = file.metadata().with_context(named)?;
    ensure!(!metadata.is_dir(), "{} is a folder, no file with a master key", path.display());
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(BYTES_MAX).read_to_end(&mut bytes).with_context(named)?;
    parse(&bytes).with_context(|| format!("{} must hold 32 bytes, raw, in Base64 or hexadecimal", path.display()))
}

/// Secrets that are mounted into a container are often readable by everybody there: so this is no error.
pub(crate) fn warn_if_open(path: &Path) {
    if fs::metadata(path).is_ok_and(|it| it.permissions().mode() & BY_EVERYBODY != 0) {
        tracing::warn!(path = %path.display(), "everybody on this machine may read the master key");
    }
}

fn parse(bytes: &[u8]) -> Option<Key> {
    if let Ok(key) = <[u8; 32]>::try_from(bytes) {
        return Some(Key::new(key));
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let key = |it: Vec<u8>| <[u8; 32]>::try_from(&**Zeroizing::new(it)).ok().map(Key::new);
    STANDARD.decode(text).ok().and_then(key).or_else(|| hexadecimal(text).and_then(key))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    (0..32).map(|it| u8::from_str_radix(text.get(2 * it..2 * it + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_each_of_its_forms() {
        let key: [u8; 32] = std::array::from_fn(|it| u8::try_from(it).unwrap());
        let base64 = STANDARD.encode(key);
        let hexadecimal = key.iter().fold(String::new(), |text, it| format!("{text}{it:02X}"));
        for bytes in [&key[..], base64.as_bytes(), format!("{base64}\n").as_bytes(), hexadecimal.as_bytes()] {
            assert_eq!(parse(bytes).as_deref(), Some(&key));
        }
        let signs = "+1".repeat(32);
        for bytes in [&key[..31], b"", b"\n", &base64.as_bytes()[..40], &hexadecimal.as_bytes()[..62], signs.as_bytes()]
        {
            assert!(parse(bytes).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn a_key_is_made_for_its_owner_alone_and_never_in_the_place_of_another() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("key");
        let made = make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap(), made);
        assert!(make(&path).unwrap_err().to_string().contains("key"));
        assert_eq!(read(&path).unwrap(), made);
    }

    #[test]
    fn what_is_no_key_is_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let long = folder.path().join("long");
        fs::write(&long, [b'a'; 5000]).unwrap();
        for (path, rule) in [
            (folder.path(), "is a folder"),
            (&*folder.path().join("none"), "the master key"),
            (&*long, "must hold 32 bytes"),
        ] {
            let error = format!("{:#}", read(path).unwrap_err());
            assert!(error.contains(rule) && error.contains(&path.display().to_string()), "{error}");
        }
    }
}
