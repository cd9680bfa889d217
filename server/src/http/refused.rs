//! A refusal as a person sees it: a page with the frame around it, in their language, and nothing lost of what they typed.

use app::{
    error::UserError,
    refused::{KeptForm, Reason, Refusal},
};
use axum::{
    body::Bytes,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use service::Error;

use super::{Web, pages, security::OwnPolicy};

/// Marks a response that is to become a page.
#[derive(Clone)]
struct Refused(UserError);

pub(super) fn status_of(error: &Error) -> StatusCode {
    app::error::status(error)
}

/// A refusal of something that has no form to come back to. [`dress`] makes a page of it.
pub(super) fn refusal(error: &Error) -> Response {
    let mut response = (status_of(error), error.to_string()).into_response();
    if let Error::TooManyAttempts { retry_after_s } = error {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
    }
    response.extensions_mut().insert(Refused(error.clone().into()));
    response
}

/// Makes a page of a refusal, unless it belongs into a mail's frame or to a script.
pub(super) async fn dress(web: &Web, request: &Parts, response: Response) -> Response {
    if response.extensions().get::<OwnPolicy>().is_some() || request.uri.path().starts_with("/api/") {
        return response;
    }
    let refused = response.extensions().get::<Refused>().cloned();
    let Some(reason) = refused.map(|it| Reason::Error(it.0)).or_else(|| bare(&response)) else { return response };
    let kept = [header::ALLOW, header::RETRY_AFTER].map(|name| (response.headers().get(&name).cloned(), name));
    let mut page = pages::render_refusal(web, request, response.status(), Refusal { reason, kept: None }).await;
    for (value, name) in kept {
        page.headers_mut().extend(value.map(|it| (name, it)));
    }
    page
}

/// Why a request was refused before anything of ours saw it: by the router, or by what reads paths and forms.
fn bare(response: &Response) -> Option<Reason> {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !kind.is_empty() && !kind.starts_with(b"text/plain") {
        return None;
    }
    match response.status() {
        StatusCode::NOT_FOUND => Some(Reason::Error(UserError::NotFound)),
        StatusCode::METHOD_NOT_ALLOWED => Some(Reason::Method),
        StatusCode::PAYLOAD_TOO_LARGE => Some(Reason::TooLarge),
        StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY => {
            Some(Reason::Malformed)
        }
        _ => None,
    }
}

/// Answers a form that was posted after the session had ended: what it held can be sent again.
pub(super) async fn signed_out(web: &Web, request: &Parts, body: &Bytes) -> Response {
    let is_form = request.headers.get(header::CONTENT_TYPE).is_some_and(|it| it == "application/x-www-form-urlencoded");
    let is_secret = |name: &str| matches!(name, "secret" | "private_key" | "password" | "code");
    let fields = if is_form { String::from_utf8_lossy(body).into_owned() } else { String::new() };
    let fields = super::downloads::pairs(&fields).into_iter().filter(|(name, _)| !is_secret(name)).collect();
    let action = request.uri.path().to_owned();
    let refusal = Refusal { reason: Reason::Error(UserError::SignedOut), kept: Some(KeptForm { action, fields }) };
    pages::render_refusal(web, request, StatusCode::UNAUTHORIZED, refusal).await
}
