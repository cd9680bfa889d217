//! The fingerprint of a public key, by which a server is known whatever its certificate says.

use std::fmt;

use crate::problem::Rule;

const PREFIX: &str = "SHA256:";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// SHA-256 of a certificate's `SubjectPublicKeyInfo` (as RFC 7469 section 2.4 pins it), written `SHA256:` and Base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPin(pub [u8; 32]);

impl KeyPin {
    /// Takes the padding of Base64 or leaves it; the prefix must be there, so that no other kind of text passes for one.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Rule::Missing);
        }
        let code = text.strip_prefix(PREFIX).ok_or(Rule::NotAPin)?;
        let code = code.strip_suffix('=').unwrap_or(code);
        decode(code).map(Self).ok_or(Rule::NotAPin)
    }
}

/// 43 letters of 6 bits each; the last two bits stand for nothing and must be zero.
fn decode(code: &str) -> Option<[u8; 32]> {
    if code.len() != 43 {
        return None;
    }
    let mut bytes = [0; 32];
    let (mut bits, mut n_bits, mut at) = (0_u32, 0, 0);
    for letter in code.bytes() {
        let value = ALPHABET.iter().position(|it| *it == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            *bytes.get_mut(at)? = u8::try_from(bits >> n_bits & 0xff).ok()?;
            at += 1;
        }
    }
    bits.trailing_zeros().ge(&2).then_some(bytes)
}

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        for chunk in self.0.chunks(3) {
            let bits = chunk.iter().fold(0_u32, |it, byte| it << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for n in 0..4 {
                let letter = ALPHABET[(bits >> (18 - 6 * n) & 0x3f) as usize];
                write!(f, "{}", if n <= chunk.len() { char::from(letter) } else { '=' })?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        // SHA-256 of the empty text.
        let text = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pin = KeyPin::parse(text).unwrap();
        assert_eq!(pin.0[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(pin.to_string(), text);
        assert_eq!(KeyPin::parse(text.trim_end_matches('=')), Ok(pin));
        let every_byte: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 8 + 3).unwrap());
        assert_eq!(KeyPin::parse(&KeyPin(every_byte).to_string()), Ok(KeyPin(every_byte)));
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        for text in [
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "SHA1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF",
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "SHA256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "SHA256:",
        ] {
            assert_eq!(KeyPin::parse(text), Err(Rule::NotAPin), "{text}");
        }
        assert_eq!(KeyPin::parse(" "), Err(Rule::Missing));
    }
}
