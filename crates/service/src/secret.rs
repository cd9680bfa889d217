//! A secret in memory: it never prints, never serialises, and is wiped when it is dropped.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A password, a key or an access token as text.
///
/// **Invariant:** there is no `Serialize` and no `Display`; [`Secret::expose`] is the only way to the text.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret {
    text: String,
    #[zeroize(skip)]
    is_token: bool,
}

impl Secret {
    pub fn new(text: String) -> Self {
        Self { text, is_token: false }
    }

    /// An OAuth 2.0 access token, which is shown to servers by mechanisms of its own and never in the place of a password.
    pub fn token(text: String) -> Self {
        Self { text, is_token: true }
    }

    pub fn is_token(&self) -> bool {
        self.is_token
    }

    /// The text itself, for the one place that has to send or seal it.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
