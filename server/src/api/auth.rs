//! Bearer tokens (RFC 6750).

use axum::{
    extract::{Request, State},
    http::{header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use domain::actor::Actor;

use super::problem::Problem;
use crate::http::{Web, origin};

/// The actor of a request with a good token.
pub(crate) async fn bearer(web: &Web, request: &Parts) -> Result<Actor, Problem> {
    let value = request.headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|it| it.1.trim());
    let origin = origin(web, request);
    let Some(token) = token else { return Err(Problem::unauthenticated()) };
    match web.service.sign_in().bearer(token, &origin.0).await {
        Ok(Some(actor)) => Ok(actor),
        Ok(None) => Err(Problem::unauthenticated()),
        Err(error) => Err(Problem::of(&error)),
    }
}

pub(super) async fn require(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match bearer(&web, &parts).await {
        Ok(actor) => {
            parts.extensions.insert(actor);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}
