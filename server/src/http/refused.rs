//! A refusal as a person sees it: a page with the frame around it, in their language, and nothing lost of what they typed.

use app::{
    error::UserError,
    refused::{KeptForm, Refusal},
};
use axum::{
    body::Bytes,
    http::{StatusCode, header, request::Parts},
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
    response.extensions_mut().insert(Refused(error.clone().into()));
    response
}

/// Makes a page of a refusal, unless it belongs into a mail's frame.
pub(super) async fn dress(web: &Web, request: &Parts, response: Response) -> Response {
    if response.extensions().get::<OwnPolicy>().is_some() {
        return response;
    }
    let Some(Refused(error)) = response.extensions().get::<Refused>().cloned() else { return response };
    let status = response.status();
    pages::render_refusal(web, request, status, Refusal { error, kept: None }).await
}

/// Answers a form that was posted after the session had ended: what it held can be sent again.
pub(super) async fn signed_out(web: &Web, request: &Parts, body: &Bytes) -> Response {
    let is_form = request.headers.get(header::CONTENT_TYPE).is_some_and(|it| it == "application/x-www-form-urlencoded");
    let is_secret = |name: &str| matches!(name, "secret" | "private_key" | "password" | "code");
    let fields = if is_form { String::from_utf8_lossy(body).into_owned() } else { String::new() };
    let fields = super::downloads::pairs(&fields).into_iter().filter(|(name, _)| !is_secret(name)).collect();
    let action = request.uri.path().to_owned();
    let refusal = Refusal { error: UserError::SignedOut, kept: Some(KeptForm { action, fields }) };
    pages::render_refusal(web, request, StatusCode::UNAUTHORIZED, refusal).await
}
