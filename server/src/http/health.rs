//! Whether the process lives, whether it can work, and what it counts.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::account::{AccountFilter, AccountQuery};

use super::Web;
use crate::api::auth;

/// The process answers.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// The database answers.
pub(super) async fn ready(State(web): State<Web>) -> Response {
    match web.service.sign_in().needs_set_up().await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// Accounts by status, in Prometheus' text format; with a token.
pub(super) async fn metrics(State(web): State<Web>, request: Request) -> Response {
    let actor = match auth::bearer(&web, &request.into_parts().0).await {
        Ok(actor) => actor,
        Err(problem) => return problem.into_response(),
    };
    let mut text = String::from("# TYPE posthorn_accounts gauge\n");
    for (status, enabled) in [("enabled", true), ("disabled", false)] {
        let filter = AccountFilter { enabled: Some(enabled), ..AccountFilter::default() };
        let query = AccountQuery { filter, ..AccountQuery::default() };
        match web.service.accounts().list(&actor, &query).await {
            Ok(page) => text.extend(["posthorn_accounts{status=\"", status, "\"} ", &page.total.to_string(), "\n"]),
            Err(error) => return super::refused::refusal(&error),
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
