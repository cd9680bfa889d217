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
        it.is_control()
            || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
    })
}

/// Whether anybody can see that the text is there: it holds more than white space and what is drawn as nothing
/// (`Default_Ignorable_Code_Point` of the Unicode Character Database, and the empty Braille pattern).
pub fn is_visible(text: &str) -> bool {
    let is_unseen = |it: char| {
        it.is_whitespace()
            || matches!(it, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}')
            || matches!(it, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(it, '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
            || matches!(it, '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}')
            || matches!(it, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
    };
    !text.chars().all(|it| it.is_control() || is_unseen(it))
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
    fn a_name_of_nothing_but_unseen_characters_is_none() {
        let check = |text: &str, is_seen: bool| assert_eq!(is_visible(text), is_seen, "{}", text.escape_unicode());
        for text in
            ["", " \u{a0}", "\u{200b}", "\u{2060}\u{feff}", "\u{3164} \u{115f}", "\u{202e}", "\u{2800}", "\u{e0041}"]
        {
            check(text, false);
        }
        for text in ["a", "\u{200b}a", "\u{5d0}", "\u{1f4ee}\u{fe0f}", "."] {
            check(text, true);
        }
        assert_eq!(crate::problem::line("\u{200b}", 9), Err(crate::problem::Rule::Missing));
    }

    #[test]
    fn percent_in_the_filter_is_literal() {
        assert_eq!(like_anywhere("50%_\\"), "%50\\%\\_\\\\%");
    }
}
