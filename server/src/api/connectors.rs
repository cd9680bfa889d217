//! `/connectors`

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{actor::Actor, ids::ConnectorId};

use super::{
    accounts::{Pairs, Sent, page_of, sent, version_of},
    dto::{ConnectorIn, ConnectorOut, ConnectorTestIn, ConnectorTestOut, HostKeyIn, List},
    path::At,
    problem::Problem,
};
use crate::http::Web;

#[utoipa::path(get, path = "/connectors", tag = "connectors", params(("name" = Option<String>, Query, description = "anywhere in the name"), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<ConnectorOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<ConnectorOut>>, Problem> {
    let search = pairs.iter().find(|(key, _)| key == "name").map(|(_, value)| value.as_str()).unwrap_or_default();
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    Ok(Json(List::of(web.service.connectors().list(&actor, search, page).await?, ConnectorOut::from)))
}

#[utoipa::path(post, path = "/connectors", tag = "connectors", request_body = ConnectorIn, responses((status = 201, body = ConnectorOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Response, Problem> {
    let connectors = web.service.connectors();
    let id = connectors.save(&actor, None, &sent(body)?.connector()).await?;
    let saved = ConnectorOut::from(connectors.load(&actor, id).await?);
    Ok((StatusCode::CREATED, [("location", format!("/api/v1/connectors/{id}"))], Json(saved)).into_response())
}

#[utoipa::path(get, path = "/connectors/{id}", tag = "connectors", params(("id" = i64, Path)), responses((status = 200, body = ConnectorOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<ConnectorOut>, Problem> {
    Ok(Json(web.service.connectors().load(&actor, ConnectorId(id)).await?.into()))
}

#[utoipa::path(put, path = "/connectors/{id}", tag = "connectors", params(("id" = i64, Path)), request_body = ConnectorIn, responses((status = 200, body = ConnectorOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<ConnectorOut>, Problem> {
    let connectors = web.service.connectors();
    let id = connectors.save(&actor, Some(ConnectorId(id)), &sent(body)?.connector()).await?;
    Ok(Json(connectors.load(&actor, id).await?.into()))
}

#[utoipa::path(delete, path = "/connectors/{id}", tag = "connectors", params(("id" = i64, Path), ("version" = Option<i64>, Query, description = "the version that is to go; without it, the current one")), responses((status = 204, description = "Gone"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let connectors = web.service.connectors();
    let current = connectors.load(&actor, ConnectorId(id)).await?.version;
    connectors.remove(&actor, ConnectorId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/connectors/{id}/test", tag = "connectors", params(("id" = i64, Path)), request_body = ConnectorTestIn, responses((status = 200, body = ConnectorTestOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn test(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<ConnectorTestOut>, Problem> {
    let form = sent(body)?.connector_test();
    Ok(Json(web.service.connectors().test(&actor, ConnectorId(id), &form).await?.into()))
}

#[utoipa::path(post, path = "/connectors/{id}/host-key", tag = "connectors", params(("id" = i64, Path)), request_body = HostKeyIn, responses((status = 200, body = ConnectorOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn approve(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<ConnectorOut>, Problem> {
    let (connectors, body, id) = (web.service.connectors(), sent(body)?, ConnectorId(id));
    // No record has version 0: without one it is a conflict.
    let version = body.text("version").parse().unwrap_or_default();
    connectors.approve_host_key(&actor, id, version, &body.text("host_key")).await?;
    Ok(Json(connectors.load(&actor, id).await?.into()))
}
