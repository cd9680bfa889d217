//! What the URL parameters of all reports share.

use crate::page::{PAGE_SIZE_MAX, PageRequest};

pub(crate) fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let understood = value.is_some();
    if understood {
        *slot = value;
    }
    understood
}

pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Takes a page number from 1 up.
pub fn page(request: &mut PageRequest, value: &str) -> bool {
    let number = value.parse().ok().filter(|it| *it >= 1);
    number.map(|it| request.page = it).is_some()
}

/// Takes a page size from 1 to [`PAGE_SIZE_MAX`].
pub fn page_size(request: &mut PageRequest, value: &str) -> bool {
    let number = value.parse().ok().filter(|it| (1..=PAGE_SIZE_MAX).contains(it));
    number.map(|it| request.page_size = it).is_some()
}

/// Adds page and page size where they differ from the report's default.
pub fn push_page(pairs: &mut Vec<(&'static str, String)>, page: PageRequest, default: PageRequest) {
    if page.page != default.page {
        pairs.push(("page", page.page.to_string()));
    }
    if page.page_size != default.page_size {
        pairs.push(("page_size", page.page_size.to_string()));
    }
}

/// Joins pairs into a query string, percent-encoding everything but RFC 3986's unreserved characters.
pub fn encode(pairs: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(key);
        text.push('=');
        text.push_str(&encode_value(value));
    }
    text
}

/// Percent-encodes one value.
pub fn encode_value(value: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.extend(['%', char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]);
        }
    }
    text
}

/// The pairs of a query string; what is not percent-encoded UTF-8 stays as it is.
pub fn decode(text: &str) -> Vec<(String, String)> {
    let pair = |it: &str| {
        let (key, value) = it.split_once('=').unwrap_or((it, ""));
        (decode_value(key), decode_value(value))
    };
    text.split('&').filter(|it| !it.is_empty()).map(pair).collect()
}

fn decode_value(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).ok()?, 16).ok();
        let coded = (*first == b'%').then(|| after.get(..2).and_then(hex)).flatten();
        bytes.push(match first {
            b'+' => b' ',
            other => coded.unwrap_or(*other),
        });
        rest = if coded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        let pairs = [("name", "a&b=c% ção".to_owned()), ("sort", "-port".to_owned())];
        let expected = pairs.clone().map(|(key, value)| (key.to_owned(), value));
        assert_eq!(decode(&encode(&pairs)), expected);
        assert_eq!(decode("a+b=%zz&&c"), [("a b".to_owned(), "%zz".to_owned()), ("c".to_owned(), String::new())]);
    }
}
