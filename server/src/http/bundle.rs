//! The browser bundle: inside the binary in release builds, under names with hashes, compressed beforehand.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::Embed;

use super::Web;

#[derive(Embed)]
#[folder = "../dist/pkg"]
struct Files;

/// The names of the files that a page links.
pub(crate) struct Bundle {
    pub(crate) names: app::shell::Bundle,
}

impl Bundle {
    /// Finds the names; without a bundle pages work, but as without script and style.
    pub(crate) fn discover() -> Self {
        let find = |start: &str, end: &str| {
            let name = Files::iter().find(|it| it.starts_with(start) && it.ends_with(end));
            name.map(std::borrow::Cow::into_owned).unwrap_or_default()
        };
        let names = app::shell::Bundle {
            js: find("frontend-", ".js"),
            wasm: find("frontend-", ".wasm"),
            css: find("main-", ".css"),
            words: words::Locale::ALL.map(|it| find(&format!("words-{}-", it.tag()), ".txt")),
        };
        if names.js.is_empty() || names.css.is_empty() {
            tracing::warn!("there is no browser bundle: build with `cargo xtask build`");
        }
        Self { names }
    }
}

/// One file, for ever: its name changes with its content.
pub(super) async fn file(State(_): State<Web>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let content_type = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("css") => "text/css; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let compressed = [("br", ".br"), ("gzip", ".gz")].into_iter().find_map(|(coding, ending)| {
        let is_accepted = accepted.split(',').any(|it| it.split(';').next().is_some_and(|it| it.trim() == coding));
        Some((coding, Files::get(&format!("{name}{ending}")).filter(|_| is_accepted)?))
    });
    let fixed = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "accept-encoding"),
    ];
    match (compressed, Files::get(&name)) {
        (Some((coding, file)), _) => (fixed, [(header::CONTENT_ENCODING, coding)], file.data).into_response(),
        (None, Some(file)) => (fixed, file.data).into_response(),
        (None, None) => StatusCode::NOT_FOUND.into_response(),
    }
}
