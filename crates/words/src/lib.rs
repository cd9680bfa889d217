//! The typed words of Posthorn, generated from `locales/`, for screens and for what leaves the house.
//!
//! The language of a page is settled when it is requested and does not change while it is open, so words are plain texts
//! and functions, not signals.

use serde::{Deserialize, Serialize};

mod generated {
    #![expect(clippy::match_same_arms, reason = "generated: two languages may say the same")]
    use super::Locale;
    include!(concat!(env!("OUT_DIR"), "/words.rs"));
}

pub use generated::*;

/// The languages that Posthorn speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Locale {
    #[default]
    #[serde(rename = "en")]
    En,
    #[serde(rename = "pt-BR")]
    PtBr,
    #[serde(rename = "es")]
    Es,
}

impl Locale {
    pub const ALL: [Self; 3] = [Self::En, Self::PtBr, Self::Es];

    /// The BCP 47 tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::PtBr => "pt-BR",
            Self::Es => "es",
        }
    }

    /// The language's own name.
    pub fn own_name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::PtBr => "Português (Brasil)",
            Self::Es => "Español",
        }
    }

    pub fn words(self) -> &'static Words {
        match self {
            Self::En => &generated::EN,
            Self::PtBr => &generated::PT_BR,
            Self::Es => &generated::ES,
        }
    }

    /// From a tag as a cookie carries it.
    pub fn parse(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.tag() == tag)
    }

    /// The first language of an `Accept-Language` field that Posthorn speaks (RFC 9110 section 12.5.4, weights in order of
    /// appearance, which is how browsers send them).
    pub fn accepted(header: &str) -> Option<Self> {
        header.split(',').find_map(|it| {
            let tag = it.split(';').next()?.trim().to_ascii_lowercase();
            match tag.split('-').next()? {
                "en" => Some(Self::En),
                "pt" => Some(Self::PtBr),
                "es" => Some(Self::Es),
                _ => None,
            }
        })
    }

    /// A whole number with the language's grouping.
    pub fn number(self, n: u64) -> String {
        let separator = if self == Self::En { ',' } else { '.' };
        let digits = n.to_string();
        let mut text = String::new();
        for (nth, digit) in digits.chars().enumerate() {
            if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
                text.push(separator);
            }
            text.push(digit);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_is_spoken_wins() {
        assert_eq!(Locale::accepted("de-DE,pt;q=0.9,en;q=0.8"), Some(Locale::PtBr));
        assert_eq!(Locale::accepted("de"), None);
    }

    #[test]
    fn numbers_are_grouped_by_language() {
        assert_eq!(Locale::En.number(12_345), "12,345");
        assert_eq!(Locale::Es.number(1_234_567), "1.234.567");
        assert_eq!(Locale::En.number(999), "999");
    }
}
