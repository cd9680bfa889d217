//! The REST interface under `/api/v1`: the same use cases as the screens, JSON, bearer tokens, RFC 9457 problems.

mod accounts;
pub(crate) mod auth;
mod connectors;
mod credentials;
pub(crate) mod dto;
mod messages;
mod problem;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use crate::http::Web;

/// All routes, each behind a token.
pub(crate) fn router(web: &Web) -> Router<Web> {
    Router::new()
        .route("/accounts", get(accounts::list).post(accounts::add))
        .route("/accounts/{id}", get(accounts::load).put(accounts::change).delete(accounts::remove))
        .route("/accounts/{id}/check", post(accounts::check))
        .route("/accounts/{id}/checks", get(accounts::checks))
        .route("/accounts/{id}/messages", get(messages::list))
        .route("/messages/{id}", get(messages::load))
        .route("/messages/{id}/raw", get(messages::raw))
        .route("/messages/{id}/attachments/{nth}", get(messages::attachment))
        .route("/credentials", get(credentials::list).post(credentials::add))
        .route("/credentials/{id}", get(credentials::load).put(credentials::change).delete(credentials::remove))
        .route("/connectors", get(connectors::list).post(connectors::add))
        .route("/connectors/{id}", get(connectors::load).put(connectors::change).delete(connectors::remove))
        .fallback(|| async { problem::Problem::of(&service::Error::NotFound) })
        .layer(middleware::from_fn_with_state(web.clone(), auth::require))
}
