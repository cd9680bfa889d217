//! The HTTP side: pages, forms, downloads, the REST interface, and the guards around all of them.

mod agents;
#[cfg(test)]
mod agents_dial_in;
#[cfg(test)]
mod answers;
mod bundle;
mod checks;
mod connection_tests;
mod discovery;
mod downloads;
mod forms;
mod health;
mod impatient;
pub(crate) mod listen;
mod oauth;
mod origin;
mod pages;
mod posture;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod reading;
mod refused;
#[cfg(test)]
mod routes;
mod security;
mod session;
#[cfg(test)]
mod tests_elsewhere;
mod tunnel;

use std::sync::Arc;

use axum::{
    Json, Router, middleware,
    response::Redirect,
    routing::{get, post},
};
use mail::tunnel::Hub;
use service::Service;
use tokio::sync::Semaphore;
use tower_http::csrf::CsrfLayer;

use self::bundle::Bundle;
pub(crate) use self::{
    downloads::{download, stream_of, with_length},
    origin::origin,
};
use crate::{api, config::Config};

/// What every handler may need.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) service: Service,
    pub(crate) config: Arc<Config>,
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) hub: Hub,
    /// How many agents may say who they are at once.
    greetings: Arc<Semaphore>,
}

const ACCOUNTS: &str = "/settings/email/imap-pop3";

/// Everything that is served.
pub(crate) fn router(service: Service, config: Config, hub: Hub) -> Router {
    // Rendering spawns on this runtime. A second call, in a test of the same process, changes nothing.
    _ = any_spawner::Executor::init_tokio();
    let serves = config.collect.role.serves();
    let greetings = Arc::new(Semaphore::new(tunnel::GREETINGS_MAX));
    let web = Web { service, config: Arc::new(config), bundle: Arc::new(Bundle::discover()), hub, greetings };
    let health = Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        // Whoever checks accounts needs the agents.
        .route(mail::tunnel::PATH, get(tunnel::tunnel));
    if !serves {
        return health.layer(middleware::from_fn_with_state(web.clone(), security::headers)).with_state(web);
    }
    let account = |path: &str| format!("{ACCOUNTS}/{path}");
    let part = |path: &str| format!("{ACCOUNTS}/{{id}}/inbox/messages/{{message}}/{path}");
    Router::new()
        .route("/api/{*function}", post(pages::server_function))
        .route("/api/session", get(session::whoami))
        .route("/sign-in", get(pages::page).post(session::sign_in))
        .route("/set-up", get(pages::page).post(session::set_up))
        .route("/sign-out", post(session::sign_out))
        .route("/preferences", post(session::preferences))
        .route(&account("save/{id}"), get(pages::page).post(forms::save_account))
        .route(&account("discover"), get(pages::page).post(discovery::discover))
        .route(&account("delete/{id}"), post(forms::delete_account))
        .route(&account("restore/{id}"), post(forms::restore_account))
        .route(&account("delete-older/{id}"), post(forms::delete_older))
        .route(&account("delete-older/{id}/cancel"), post(forms::keep_older))
        .route("/settings/credentials/save/{id}", get(pages::page).post(forms::save_credential))
        .route("/settings/credentials/delete/{id}", post(forms::delete_credential))
        .route("/settings/credentials/rotate/{id}", get(pages::page).post(forms::rotate_credential))
        .route(oauth::CALLBACK, get(oauth::callback))
        .route("/settings/credentials/oauth/{id}", get(pages::page).post(oauth::save))
        .route("/settings/credentials/oauth/{id}/start", get(pages::page).post(oauth::start))
        .route("/settings/credentials/oauth/{id}/fetch", get(pages::page).post(oauth::fetch))
        .route("/settings/credentials/oauth/{id}/device", get(pages::page).post(oauth::start_device))
        .route("/settings/credentials/oauth/{id}/device/cancel", post(oauth::cancel_device))
        .route("/settings/connectors/save/{id}", get(pages::page).post(forms::save_connector))
        .route("/settings/connectors/delete/{id}", post(forms::delete_connector))
        .route("/settings/connectors/host-key/{id}", post(forms::approve_host_key))
        .route("/settings/connectors/{id}/test", get(pages::page).post(forms::test_connector))
        .route("/settings/connectors/{id}/agents/code", get(pages::page).post(agents::make_code))
        .route("/settings/connectors/{id}/agents/{agent}/approve", post(agents::approve))
        .route("/settings/connectors/{id}/agents/{agent}/remove", post(agents::remove))
        .route("/settings/authorities/{id}", get(pages::page).post(forms::save_authority))
        .route("/settings/authorities/delete/{id}", post(forms::delete_authority))
        .route("/settings/posture/export.csv", get(posture::csv))
        .route("/settings/email/smtp/save/{id}", get(pages::page).post(forms::save_smtp))
        .route("/settings/email/smtp/delete/{id}", post(forms::delete_smtp))
        .route("/settings/email/smtp/{id}/test", get(pages::page).post(forms::test_smtp))
        .route("/settings/email/schedules/save/{id}", get(pages::page).post(forms::save_schedule))
        .route("/settings/email/schedules/preview/{id}", post(forms::preview_schedule))
        .route("/settings/email/schedules/delete/{id}", post(forms::delete_schedule))
        .route("/settings/email/schedules/pause/{id}", post(forms::pause_schedule))
        .route("/settings/email/schedules/resume/{id}", post(forms::resume_schedule))
        .route("/settings/email/schedules/run/{id}", post(forms::run_schedule))
        .route("/settings/email/schedules/runs/{run}/{format}", get(downloads::report_file))
        .route("/settings/email/schedules/runs/{run}/deliveries/{delivery}/repeat", post(forms::repeat_delivery))
        .route("/settings/email/notices", get(pages::page).post(forms::save_notices))
        .route("/settings/email/notices/test", get(pages::page).post(forms::test_notices))
        .route(&account("{id}/quarantine/retry"), post(forms::retry_all))
        .route(&account("{id}/quarantine/{remote}/retry"), post(forms::retry_one))
        .route(&account("export.csv"), get(downloads::csv))
        .route(&account("print"), get(downloads::print))
        .route(&account("{id}/check"), post(checks::check))
        .route(&account("{id}/check/events"), get(checks::events))
        .route(&account("{id}/test"), get(pages::page).post(connection_tests::start))
        .route(&account("{id}/test/each"), post(connection_tests::start_each))
        .route(&account("test/{run}/cancel"), post(connection_tests::cancel))
        .route(&part("html"), get(downloads::html))
        .route(&part("raw"), get(downloads::raw))
        .route(&part("attachments/{nth}"), get(downloads::attachment))
        // What the person may see first: everybody who is signed in may see the accounts.
        .route("/settings", get(|| async { Redirect::to(ACCOUNTS) }))
        .route("/settings/email", get(|| async { Redirect::to(ACCOUNTS) }))
        .fallback(pages::page)
        .layer(middleware::from_fn_with_state(web.clone(), session::require))
        .nest("/api/v1", api::router(&web))
        .route("/api/openapi.json", get(|| async { Json(api::description()) }))
        .merge(health)
        .route("/pkg/{name}", get(bundle::file))
        .layer(CsrfLayer::new())
        .layer(middleware::from_fn_with_state(web.clone(), security::headers))
        .with_state(web)
}
