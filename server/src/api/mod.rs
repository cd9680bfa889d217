//! The REST interface under `/api/v1`: the same use cases as the screens, JSON, bearer tokens, RFC 9457 problems.

mod accounts;
mod agents;
pub(crate) mod auth;
mod authorities;
mod connection_tests;
mod connectors;
mod credentials;
mod discovery;
pub(crate) mod dto;
mod ledger;
mod messages;
pub(crate) mod oauth;
mod path;
mod posture;
mod problem;
mod schedules;
mod smtp;
mod watch;

use axum::{Router, middleware, routing::any};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::Web;

#[derive(OpenApi)]
#[openapi(
    info(title = "Posthorn", description = "Accounts, credentials, network connectors and their agents, certificate authorities, checks and how they go, messages, quarantine, deletions, security posture, notices, outgoing mail, scheduled reports."),
    modifiers(&Bearer)
)]
struct Description;

/// Every request carries a token.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        description.components.get_or_insert_default().add_security_scheme("token", scheme);
        description.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    }
}

/// All routes and their description: whoever adds one here adds it to both.
fn described() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(accounts::list, accounts::add))
        .routes(routes!(accounts::load, accounts::change, accounts::remove))
        .routes(routes!(accounts::check))
        .routes(routes!(accounts::checks))
        .routes(routes!(accounts::transcript))
        .routes(routes!(connection_tests::test))
        .routes(routes!(connection_tests::test_each))
        .routes(routes!(connection_tests::list))
        .routes(routes!(discovery::discover))
        .routes(routes!(ledger::quarantine))
        .routes(routes!(ledger::retry_all))
        .routes(routes!(ledger::retry))
        .routes(routes!(ledger::deletions))
        .routes(routes!(ledger::planned))
        .routes(routes!(ledger::delete_older, ledger::keep_older))
        .routes(routes!(watch::overview))
        .routes(routes!(posture::counts))
        .routes(routes!(posture::list))
        .routes(routes!(watch::notices, watch::change_notices))
        .routes(routes!(watch::test_notices))
        .routes(routes!(messages::list))
        .routes(routes!(messages::load))
        .routes(routes!(messages::raw))
        .routes(routes!(messages::attachment))
        .routes(routes!(credentials::list, credentials::add))
        .routes(routes!(credentials::load, credentials::change, credentials::remove))
        .routes(routes!(oauth::add))
        .routes(routes!(oauth::load, oauth::change))
        .routes(routes!(oauth::fetch))
        .routes(routes!(oauth::device, oauth::start_device, oauth::cancel_device))
        .routes(routes!(connectors::list, connectors::add))
        .routes(routes!(connectors::load, connectors::change, connectors::remove))
        .routes(routes!(connectors::test))
        .routes(routes!(connectors::approve))
        .routes(routes!(agents::list))
        .routes(routes!(agents::make_code))
        .routes(routes!(agents::approve))
        .routes(routes!(agents::remove))
        .routes(routes!(authorities::list, authorities::add))
        .routes(routes!(authorities::load, authorities::change, authorities::remove))
        .routes(routes!(smtp::list, smtp::add))
        .routes(routes!(smtp::load, smtp::change, smtp::remove))
        .routes(routes!(smtp::test))
        .routes(routes!(schedules::list, schedules::add))
        .routes(routes!(schedules::load, schedules::change, schedules::remove))
        .routes(routes!(schedules::run))
        .routes(routes!(schedules::runs))
        .routes(routes!(schedules::repeat))
}

/// The description as OpenAPI, with the paths as they are called.
pub(crate) fn description() -> openapi::OpenApi {
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", described()).into_openapi()
}

/// All routes, each behind a token.
pub(crate) fn router(web: &Web) -> Router<Web> {
    let (router, _) = described().split_for_parts();
    router
        .route("/{*other}", any(|| async { problem::Problem::of(&service::Error::NotFound) }))
        .method_not_allowed_fallback(|| async { problem::Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(web.clone(), auth::require))
}
