//! Hostile text made fit to be shown, and sizes as people read them.

use domain::time::Timestamp;
use leptos::prelude::*;
use words::Words;

/// The text without controls and without what would reorder the line that it stands in.
pub fn plain(text: &str) -> String {
    let reorders = |it: char| matches!(it, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let shows = |it: &char| !reorders(*it) && (!it.is_control() || matches!(it, '\n' | '\t'));
    text.chars().filter(shows).collect()
}

/// The beginning of bytes that may be anything, as text.
#[cfg(feature = "ssr")]
pub fn shown(bytes: &[u8], max: usize) -> String {
    plain(&String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes)))
}

/// The text, or another one if nothing of it can be seen.
pub fn plain_or(text: &str, instead: &str) -> String {
    let text = plain(text);
    if text.trim().is_empty() { instead.to_owned() } else { text }
}

/// `812 bytes`, `1.4 kB`, `23 MB`: powers of 1,000, one decimal below ten.
pub fn size(bytes: u64, words: &Words) -> String {
    let words = &words.inbox;
    let scaled = |unit: u64| {
        let tenths = bytes.saturating_mul(10).saturating_add(unit / 2) / unit;
        if tenths < 100 {
            format!("{}{}{}", tenths / 10, words.decimal_mark, tenths % 10)
        } else {
            (tenths / 10).to_string()
        }
    };
    match bytes {
        0..1_000 => words.bytes(bytes),
        1_000..1_000_000 => words.kilobytes(scaled(1_000)),
        _ => words.megabytes(scaled(1_000_000)),
    }
}

/// A point in time, to the minute, in UTC.
#[component]
pub fn When(at: Timestamp) -> impl IntoView {
    view! { <time datetime=at.to_string()>{at.to_minute()}</time> }
}

#[cfg(test)]
mod tests {
    use words::Locale;

    use super::*;

    #[test]
    fn a_line_cannot_be_reordered_by_what_it_holds() {
        assert_eq!(plain("invoice\u{202e}fdp.exe\u{0}\u{2066}"), "invoicefdp.exe");
        assert_eq!(plain_or(" \u{200f}\r\n", "none"), "none");
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn bytes_that_are_no_text_are_shown_up_to_where_they_are_cut() {
        assert_eq!(shown(b"a\xff\x00b", 3), "a\u{fffd}");
        assert_eq!(shown(b"ab", 3), "ab");
    }

    #[test]
    fn sizes_follow_the_language() {
        assert_eq!(size(1, Locale::En.words()), "1 byte");
        assert_eq!(size(1_449, Locale::En.words()), "1.4 kB");
        assert_eq!(size(23_400_000, Locale::Es.words()), "23 MB");
        assert_eq!(size(2_500, Locale::PtBr.words()), "2,5 kB");
    }
}
