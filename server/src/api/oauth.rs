//! `/credentials/oauth` and `/credentials/{id}/oauth`: settings of OAuth 2.0, how tokens stand, and device codes.
//!
//! Whoever consents by a browser is sent there by the credential's page: that needs a browser that comes back.

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    account::UsedBy,
    actor::Actor,
    credential::{Credential, SecretInput},
    device::DeviceFlow,
    ids::CredentialId,
    notices::Webhook,
    oauth::{OAuthForm, OAuthStatus},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    accounts::{Sent, sent},
    dto::Body,
    path::At,
    problem::Problem,
};
use crate::http::Web;

/// What is sent to add or change a credential for OAuth 2.0.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct OAuthIn {
    version: Option<i64>,
    name: String,
    /// The mail address that the token is for.
    username: String,
    #[schema(examples("microsoft", "google", "other"))]
    provider: String,
    /// Google gives no device codes for mail.
    #[schema(examples("authorization_code", "device_code", "client_credentials"))]
    grant: String,
    /// Of Microsoft: the directory's id or domain.
    tenant: Option<String>,
    client_id: String,
    /// The client's, only ever written; left out on a change, the stored one stays.
    secret: Option<String>,
    /// The day on which the client's secret ends at the provider: `2027-01-31`.
    secret_ends_on: Option<String>,
    /// Separated by spaces; left out, those that the provider wants for mail.
    scopes: Option<String>,
    /// Of another provider, with the grant `authorization_code`.
    authorize_url: Option<String>,
    /// Of another provider, with the grant `device_code`.
    device_url: Option<String>,
    /// Of another provider.
    token_url: Option<String>,
}

impl OAuthIn {
    pub(crate) fn form(body: &Body) -> OAuthForm {
        OAuthForm {
            name: body.text("name"),
            username: body.text("username"),
            provider: body.text("provider"),
            grant: body.text("grant"),
            tenant: body.text("tenant"),
            client_id: body.text("client_id"),
            secret: SecretInput(body.text("secret")),
            scopes: body.text("scopes"),
            authorize_url: body.text("authorize_url"),
            device_url: body.text("device_url"),
            token_url: body.text("token_url"),
            secret_ends_on: body.text("secret_ends_on"),
            version: body.text("version"),
        }
    }
}

/// Settings of OAuth 2.0 and how the tokens stand; neither the client's secret nor a token is ever part of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OAuthOut {
    id: i64,
    version: i64,
    name: String,
    username: String,
    provider: &'static str,
    grant: &'static str,
    tenant: String,
    client_id: String,
    scopes: String,
    authorize_url: Option<String>,
    device_url: Option<String>,
    token_url: String,
    secret_set_at: String,
    secret_ends_on: Option<String>,
    #[schema(examples("never", "ok", "needs_person"))]
    state: &'static str,
    /// The error code by which the provider refuses.
    error: Option<String>,
    obtained_at: Option<String>,
    /// Of the access token, which is renewed before.
    expires_at: Option<String>,
    /// Of the refresh token, if the provider says when it ends.
    consent_ends_at: Option<String>,
    last_accepted_at: Option<String>,
    used_by: u64,
}

impl From<(Credential, OAuthStatus, UsedBy)> for OAuthOut {
    fn from((credential, status, _): (Credential, OAuthStatus, UsedBy)) -> Self {
        let settings = status.settings;
        let url = |it: Option<Webhook>| it.map(|it| it.to_string());
        let time = |it: Option<domain::time::Timestamp>| it.map(|it| it.to_string());
        Self {
            id: credential.id.0,
            version: credential.version,
            name: credential.name,
            username: credential.username,
            provider: settings.provider.as_str(),
            grant: settings.grant.as_str(),
            tenant: settings.tenant,
            client_id: settings.client_id,
            scopes: settings.scopes,
            authorize_url: url(settings.authorize_url),
            device_url: url(settings.device_url),
            token_url: settings.token_url.to_string(),
            secret_set_at: credential.secret_set_at.to_string(),
            secret_ends_on: credential.secret_ends_on.map(|it| it.to_string()),
            state: status.state.as_str(),
            error: status.message,
            obtained_at: time(status.obtained_at),
            expires_at: time(status.expires_at),
            consent_ends_at: time(status.consent_ends_at),
            last_accepted_at: time(credential.last_accepted_at),
            used_by: credential.n_uses,
        }
    }
}

/// A device code that was asked for last (RFC 8628).
#[derive(Serialize, ToSchema)]
pub(super) struct DeviceOut {
    #[schema(examples("pending", "granted", "denied", "expired", "failed", "cancelled"))]
    state: &'static str,
    /// The provider's error code.
    error: Option<String>,
    started_by: String,
    started_at: String,
    /// The code is good until then.
    expires_at: String,
    /// Seconds between two questions to the provider.
    interval: u32,
    /// While it is pending, for those who may act; so are the next two.
    user_code: Option<String>,
    verification_uri: Option<String>,
    /// With the code in it.
    verification_uri_complete: Option<String>,
}

impl From<DeviceFlow> for DeviceOut {
    fn from(it: DeviceFlow) -> Self {
        let code = it.code;
        Self {
            state: it.state.as_str(),
            error: it.message,
            started_by: it.started_by,
            started_at: it.started_at.to_string(),
            expires_at: it.until.to_string(),
            interval: it.interval_s,
            user_code: code.as_ref().map(|it| it.user_code.clone()),
            verification_uri: code.as_ref().map(|it| it.verification_uri.clone()),
            verification_uri_complete: code.and_then(|it| it.verification_uri_complete),
        }
    }
}

/// Adds a credential for OAuth 2.0.
#[utoipa::path(post, path = "/credentials/oauth", tag = "credentials", request_body = OAuthIn, responses((status = 201, body = OAuthOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Response, Problem> {
    let id = web.service.oauth().save(&actor, None, &OAuthIn::form(&sent(body)?)).await?;
    let saved = OAuthOut::from(web.service.oauth().load(&actor, id).await?);
    Ok((StatusCode::CREATED, [("location", format!("/api/v1/credentials/{id}/oauth"))], Json(saved)).into_response())
}

#[utoipa::path(get, path = "/credentials/{id}/oauth", tag = "credentials", params(("id" = i64, Path)), responses((status = 200, body = OAuthOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<OAuthOut>, Problem> {
    Ok(Json(web.service.oauth().load(&actor, CredentialId(id)).await?.into()))
}

/// Changes the settings; other settings than a name make the tokens void.
#[utoipa::path(put, path = "/credentials/{id}/oauth", tag = "credentials", params(("id" = i64, Path)), request_body = OAuthIn, responses((status = 200, body = OAuthOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<OAuthOut>, Problem> {
    let id = web.service.oauth().save(&actor, Some(CredentialId(id)), &OAuthIn::form(&sent(body)?)).await?;
    Ok(Json(web.service.oauth().load(&actor, id).await?.into()))
}

/// Gets a token for the application itself (`client_credentials`).
#[utoipa::path(post, path = "/credentials/{id}/oauth/token", tag = "credentials", params(("id" = i64, Path)), responses((status = 200, body = OAuthOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn fetch(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<OAuthOut>, Problem> {
    let id = CredentialId(id);
    web.service.oauth().fetch(&actor, id).await?.map_err(|it| Problem::upstream(it.message))?;
    Ok(Json(web.service.oauth().load(&actor, id).await?.into()))
}

/// The device code that was asked for last, and what came of it.
#[utoipa::path(get, path = "/credentials/{id}/oauth/device", tag = "credentials", params(("id" = i64, Path)), responses((status = 200, body = DeviceOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn device(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<DeviceOut>, Problem> {
    let flow = web.service.oauth().device(&actor, CredentialId(id)).await?;
    Ok(Json(flow.ok_or_else(|| Problem::of(&service::Error::NotFound))?.into()))
}

/// Asks the provider for a device code (`device_code`). 409 while one is waited for.
#[utoipa::path(post, path = "/credentials/{id}/oauth/device", tag = "credentials", params(("id" = i64, Path)), responses((status = 201, body = DeviceOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn start_device(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<(StatusCode, Json<DeviceOut>), Problem> {
    let started = web.service.oauth().start_device(&actor, CredentialId(id)).await?;
    started.map_err(|it| Problem::upstream(it.message))?;
    Ok((StatusCode::CREATED, device(State(web), Extension(actor), At(id)).await?))
}

/// Waits for the device code no longer.
#[utoipa::path(delete, path = "/credentials/{id}/oauth/device", tag = "credentials", params(("id" = i64, Path)), responses((status = 204, description = "Not waited for any more"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn cancel_device(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<StatusCode, Problem> {
    web.service.oauth().cancel_device(&actor, CredentialId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
