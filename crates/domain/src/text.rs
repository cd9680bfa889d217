//! How names compare: without regard to case or accents, the same on every database.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The form of a text that is stored beside it for uniqueness, search and sort.
///
/// Compatibility decomposition (Unicode Standard Annex 15, NFKD) without combining marks, in lower case; runs of white space
/// become one space.
pub fn fold(text: &str) -> String {
    let bare: String = text.nfkd().filter(|it| !is_combining_mark(*it)).flat_map(char::to_lowercase).collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A pattern for `LIKE … ESCAPE '\'` that finds the folded text anywhere, with the user's `%` and `_` taken literally.
pub fn like_anywhere(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in fold(text).chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// Whether a text holds characters that would change how a line is shown or sent: controls and directional overrides.
pub fn has_control(text: &str) -> bool {
    text.chars().any(|it| {
        it.is_control() || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_do_not_count() {
        assert_eq!(fold("  São   PAULO "), "sao paulo");
        assert_eq!(fold("ＦＵＬＬ"), "full");
    }

    #[test]
    fn percent_in_the_filter_is_literal() {
        assert_eq!(like_anywhere("50%_\\"), "%50\\%\\_\\\\%");
    }
}
