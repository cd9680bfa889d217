//! `/credentials`

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{actor::Actor, ids::CredentialId};

use super::{
    accounts::{Pairs, Sent, page_of, sent, version_of},
    dto::{CredentialIn, CredentialOut, List},
    path::At,
    problem::Problem,
};
use crate::http::Web;

#[utoipa::path(get, path = "/credentials", tag = "credentials", params(("name" = Option<String>, Query, description = "anywhere in the name"), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<CredentialOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<CredentialOut>>, Problem> {
    let search = pairs.iter().find(|(key, _)| key == "name").map(|(_, value)| value.as_str()).unwrap_or_default();
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    Ok(Json(List::of(web.service.credentials().list(&actor, search, page).await?, CredentialOut::from)))
}

#[utoipa::path(post, path = "/credentials", tag = "credentials", request_body = CredentialIn, responses((status = 201, body = CredentialOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Response, Problem> {
    let credentials = web.service.credentials();
    let id = credentials.save(&actor, None, &sent(body)?.credential()).await?;
    let saved = CredentialOut::from(credentials.load(&actor, id).await?);
    Ok((StatusCode::CREATED, [("location", format!("/api/v1/credentials/{id}"))], Json(saved)).into_response())
}

#[utoipa::path(get, path = "/credentials/{id}", tag = "credentials", params(("id" = i64, Path)), responses((status = 200, body = CredentialOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<CredentialOut>, Problem> {
    Ok(Json(web.service.credentials().load(&actor, CredentialId(id)).await?.into()))
}

#[utoipa::path(put, path = "/credentials/{id}", tag = "credentials", params(("id" = i64, Path)), request_body = CredentialIn, responses((status = 200, body = CredentialOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<CredentialOut>, Problem> {
    let credentials = web.service.credentials();
    let id = credentials.save(&actor, Some(CredentialId(id)), &sent(body)?.credential()).await?;
    Ok(Json(credentials.load(&actor, id).await?.into()))
}

#[utoipa::path(delete, path = "/credentials/{id}", tag = "credentials", params(("id" = i64, Path), ("version" = Option<i64>, Query, description = "the version that is to go; without it, the current one")), responses((status = 204, description = "Gone"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let credentials = web.service.credentials();
    let current = credentials.load(&actor, CredentialId(id)).await?.version;
    credentials.remove(&actor, CredentialId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}
