//! `/connectors`

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{actor::Actor, ids::ConnectorId};

use super::{
    accounts::{Pairs, Sent, page_of, sent, version_of},
    dto::{ConnectorOut, List},
    problem::Problem,
};
use crate::http::Web;

pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<ConnectorOut>>, Problem> {
    let search = pairs.iter().find(|(key, _)| key == "name").map(|(_, value)| value.as_str()).unwrap_or_default();
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    Ok(Json(List::of(web.service.connectors().list(&actor, search, page).await?, ConnectorOut::from)))
}

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

pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
) -> Result<Json<ConnectorOut>, Problem> {
    Ok(Json(web.service.connectors().load(&actor, ConnectorId(id)).await?.into()))
}

pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
    body: Sent,
) -> Result<Json<ConnectorOut>, Problem> {
    let connectors = web.service.connectors();
    let id = connectors.save(&actor, Some(ConnectorId(id)), &sent(body)?.connector()).await?;
    Ok(Json(connectors.load(&actor, id).await?.into()))
}

pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let connectors = web.service.connectors();
    let current = connectors.load(&actor, ConnectorId(id)).await?.version;
    connectors.remove(&actor, ConnectorId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}
