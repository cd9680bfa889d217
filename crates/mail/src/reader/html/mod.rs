//! A message's HTML as a document that cannot do anything: no script, nothing remote, no way out of its frame.
//!
//! An allow-list, without SVG, `MathML`, style sheets and forms, is what years of other webmails' holes teach. Size and cost are
//! capped before washing, see [`meter`]; nothing is edited after it.

mod meter;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use ammonia::{Builder, UrlRelative};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail_parser::{Message, MimeHeaders as _, PartType};
use service::ports::ReadError;

/// The longest HTML that is washed, bytes.
const SIZE_MAX: usize = 2 * 1024 * 1024;
/// The most bytes of embedded images in one document.
const IMAGES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes of their `data:` URLs in the washed document: Base64 takes four for three. Each place that shows one holds it.
const SHOWN_MAX: usize = IMAGES_MAX / 3 * 4;
/// Style properties that neither load, nor cover, nor leave the flow.
const PROPERTIES: [&str; 26] = [
    "background-color",
    "border",
    "border-bottom",
    "border-collapse",
    "border-color",
    "border-left",
    "border-right",
    "border-style",
    "border-top",
    "border-width",
    "color",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "height",
    "line-height",
    "margin",
    "max-width",
    "padding",
    "text-align",
    "text-decoration",
    "vertical-align",
    "white-space",
    "width",
    "word-break",
];

/// The washed document of the message's HTML body.
pub(super) fn document(message: &Message<'_>) -> Result<String, ReadError> {
    let body = message.html_bodies().find_map(|it| match &it.body {
        PartType::Html(html) => Some(html),
        _ => None,
    });
    let body = body.ok_or(ReadError::NoSuchPart)?;
    if body.len() > SIZE_MAX {
        return Err(ReadError::TooComplex);
    }
    meter::measure(body)?;
    let washed = wash(body, images(message));
    Ok(format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light\"><title></title>\
         </head><body>{washed}</body></html>"
    ))
}

fn wash(html: &str, images: HashMap<String, String>) -> String {
    let left = AtomicUsize::new(SHOWN_MAX);
    let mut builder = Builder::default();
    builder
        .rm_tags([
            "svg", "math", "form", "input", "button", "iframe", "object", "embed", "link", "meta", "base", "map",
            "area",
        ])
        .add_tags(["font", "u", "big", "center"])
        .rm_tag_attributes("img", ["srcset", "longdesc"])
        .add_tag_attributes("font", ["color", "face", "size"])
        .add_tag_attributes("table", ["bgcolor", "border", "cellpadding", "cellspacing", "width"])
        .add_tag_attributes("td", ["bgcolor", "valign", "width", "height"])
        .add_generic_attributes(["style", "align", "dir"])
        .filter_style_properties(HashSet::from(PROPERTIES))
        .url_schemes(HashSet::from(["http", "https", "mailto", "data", "cid"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank")
        .attribute_filter(move |element, attribute, value| {
            // `data:` and `cid:` are for embedded images only; a link with them goes nowhere.
            let is_embedded = value.trim_start().to_ascii_lowercase();
            let is_embedded = is_embedded.starts_with("data:") || is_embedded.starts_with("cid:");
            match (element, attribute) {
                ("img", "src") => {
                    let id = value.trim().strip_prefix("cid:")?;
                    let url = images.get(id.trim_matches(['<', '>']))?;
                    let take = |it: usize| it.checked_sub(url.len());
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
                    Some(Cow::Owned(url.clone()))
                }
                (_, "href" | "src" | "cite" | "background") if is_embedded => None,
                // Functions (`url()`, `var()`, `expression()`) and escapes have no business in a property that is allowed.
                (_, "style") if value.contains(['(', '\\', '@', '<']) => None,
                _ => Some(Cow::Borrowed(value)),
            }
        });
    builder.clean(html).to_string()
}

/// Embedded images as `data:` URLs by their Content-ID; the type is what the bytes are, not what they claim.
fn images(message: &Message<'_>) -> HashMap<String, String> {
    let mut left = IMAGES_MAX;
    let mut images = HashMap::new();
    for part in &message.parts {
        let (Some(id), PartType::Binary(bytes) | PartType::InlineBinary(bytes)) = (part.content_id(), &part.body)
        else {
            continue;
        };
        let Some(kind) = sniff(bytes).filter(|_| bytes.len() <= left) else { continue };
        left -= bytes.len();
        let id = id.trim_matches(['<', '>']).to_owned();
        images.insert(id, format!("data:{kind};base64,{}", STANDARD.encode(bytes)));
    }
    images
}

fn sniff(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some("image/gif")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_runs_or_loads_survives() {
        for html in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<svg><animate onbegin=alert(1) attributeName=x></svg>",
            "<a href='java\nscript:alert(1)'>x</a>",
            "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
            "<div style='background:url(https://evil.example/x)'>x</div>",
            "<div style='background-color:var(--x)'>x</div>",
            "<div style='position:fixed;top:0'>x</div>",
            "<img src='https://evil.example/x.png'>",
            "<img srcset='https://evil.example/x.png 1x'>",
            "<table background='https://evil.example/x.png'><tr><td>x</td></tr></table>",
            "<link rel=stylesheet href='https://evil.example/x.css'>",
            "<style>@import 'https://evil.example/x.css'</style>",
            "<iframe src='https://evil.example'></iframe>",
            "<form action='https://evil.example'><input></form>",
            "<meta http-equiv=refresh content='0;url=https://evil.example'>",
            "<base href='https://evil.example/'>",
            "<math><mtext></mtext></math>",
            "<video poster='https://evil.example/x'></video>",
        ] {
            let washed = wash(html, HashMap::new());
            for word in ["alert", "evil", "onerror", "position", "var(", "javascript"] {
                assert!(!washed.contains(word), "{html} -> {washed}");
            }
        }
    }

    #[test]
    fn links_open_elsewhere_and_tell_nothing() {
        let washed = wash("<a href='https://example.org/'>x</a>", HashMap::new());
        assert!(washed.contains("rel=\"noopener noreferrer nofollow\""), "{washed}");
        assert!(washed.contains("target=\"_blank\""), "{washed}");
    }

    #[test]
    fn an_embedded_image_shows_and_an_unknown_one_does_not() {
        let images = HashMap::from([("a@b".to_owned(), "data:image/png;base64,AAAA".to_owned())]);
        assert!(wash("<img src='cid:a@b'>", images.clone()).contains("data:image/png"));
        assert!(!wash("<img src='cid:other'><img src='data:image/svg+xml,x'>", images).contains("data:"));
    }

    /// One image, shown five hundred times, made 267 MB of a mail of 555 kB.
    #[test]
    fn an_image_that_is_shown_often_is_shown_as_often_as_there_is_room() {
        let url = format!("data:image/png;base64,{}", "A".repeat(500_000));
        let images = HashMap::from([("a".to_owned(), url.clone())]);
        let washed = wash(&"<img src=cid:a>".repeat(500), images);
        assert_eq!(washed.matches("<img").count(), 500);
        assert_eq!(washed.matches("data:").count(), SHOWN_MAX / url.len());
        assert!(washed.len() < SHOWN_MAX + 500 * 20, "{}", washed.len());
    }

    /// Whatever is thrown together of what is hard on parsers: it is washed or refused, and nothing panics.
    #[test]
    fn no_medley_of_tags_is_a_danger() {
        const SHARDS: [&str; 40] = [
            "<div>",
            "</div>",
            "<p>",
            "</p>",
            "<b>",
            "</b>",
            "<i a=1>",
            "<a href=x>",
            "</a>",
            "<table>",
            "<tr>",
            "<td>",
            "</table>",
            "<select>",
            "<option>",
            "<selectedcontent>",
            "<svg>",
            "</svg>",
            "<math>",
            "<mtext>",
            "<template>",
            "</template>",
            "<style>",
            "</style>",
            "<textarea>",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "<body b>",
            "<html c>",
            "<form>",
            "<frameset>",
            "&amp",
            "&#x0;",
            "\0",
            "\u{a0}",
            "\r\n",
            "<img src=cid:a style='color:red'",
            "\u{feff}'\"",
        ];
        let mut seed = 7_u64;
        let mut next = |n: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % n
        };
        let mut n_washed = 0;
        for _ in 0..300 {
            let html: String = (0..next(400)).map(|_| SHARDS[next(SHARDS.len())]).collect();
            if meter::measure(&html).is_ok() {
                let washed = wash(&html, HashMap::new()).to_ascii_lowercase();
                assert!(!washed.contains("<svg") && !washed.contains("<style") && !washed.contains("<form"), "{html}");
                n_washed += 1;
            }
        }
        assert!(n_washed > 200, "{n_washed}");
    }
}
