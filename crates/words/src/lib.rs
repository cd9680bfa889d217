//! The typed words of Posthorn, generated from `locales/`, for screens and for what leaves the house.
//!
//! The language of a page is settled when it is requested and does not change while it is open, so words are plain texts
//! and functions, not signals.

use std::{fmt, sync::OnceLock};

use serde::{Deserialize, Serialize};

/// The words of the page, in the browser.
#[cfg(target_arch = "wasm32")]
static LOADED: OnceLock<Words> = OnceLock::new();

/// Takes the texts of the page's language, before anything is shown.
#[cfg(target_arch = "wasm32")]
pub fn load(spoken: Locale, texts: String) {
    _ = LOADED.set(generated::read(spoken, [texts.leak()]));
}

mod generated {
    use super::{Locale, fill};
    include!(concat!(env!("OUT_DIR"), "/words.rs"));

    /// The words of these lists of texts, one after the other.
    pub(crate) fn read<const N: usize>(spoken: Locale, lists: [&'static str; N]) -> Words {
        let mut texts = lists.into_iter().flat_map(|it| it.split('\u{1e}'));
        Words::of(spoken, || texts.next().unwrap_or_default())
    }
}

pub use generated::*;

/// The template with its `{placeholders}` filled. What is filled in is not looked at again.
fn fill(template: &str, values: &[(&str, &dyn fmt::Display)]) -> String {
    let mut text = String::new();
    for (nth, part) in template.split(['{', '}']).enumerate() {
        match values.iter().find(|(name, _)| nth % 2 == 1 && *name == part) {
            Some((_, value)) => text += &value.to_string(),
            None => text += part,
        }
    }
    text
}

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

    /// The words of this language. In the browser, of the one that was loaded.
    pub fn words(self) -> &'static Words {
        #[cfg(target_arch = "wasm32")]
        {
            LOADED.get_or_init(|| generated::read(self, [""]))
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            static WORDS: [OnceLock<Words>; 3] = [const { OnceLock::new() }; 3];
            WORDS[self as usize].get_or_init(|| generated::read(self, [self.texts(), self.server_texts()]))
        }
    }

    /// All texts of this language, as the browser loads them.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn texts(self) -> &'static str {
        match self {
            Self::En => generated::EN,
            Self::PtBr => generated::PT_BR,
            Self::Es => generated::ES,
        }
    }

    /// The texts that the browser does not load.
    #[cfg(not(target_arch = "wasm32"))]
    fn server_texts(self) -> &'static str {
        match self {
            Self::En => generated::EN_SERVER,
            Self::PtBr => generated::PT_BR_SERVER,
            Self::Es => generated::ES_SERVER,
        }
    }

    /// CLDR: Portuguese counts zero as singular, English and Spanish do not.
    fn is_one(self, n: u64) -> bool {
        n == 1 || (n == 0 && self == Self::PtBr)
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
    fn templates_are_filled_once() {
        assert_eq!(fill("{a} of {b}!", &[("a", &"{b}"), ("b", &7)]), "{b} of 7!");
        assert_eq!(Locale::PtBr.words().common.days_ago(0), Locale::PtBr.words().common.days_ago(1).replace('1', "0"));
    }

    #[test]
    fn numbers_are_grouped_by_language() {
        assert_eq!(Locale::En.number(12_345), "12,345");
        assert_eq!(Locale::Es.number(1_234_567), "1.234.567");
        assert_eq!(Locale::En.number(999), "999");
    }
}
