//! `/credentials`

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{actor::Actor, ids::CredentialId};

use super::{
    accounts::{Pairs, Sent, page_of, sent, version_of},
    dto::{CredentialOut, List},
    problem::Problem,
};
use crate::http::Web;

pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<CredentialOut>>, Problem> {
    let search = pairs.iter().find(|(key, _)| key == "name").map(|(_, value)| value.as_str()).unwrap_or_default();
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    Ok(Json(List::of(web.service.credentials().list(&actor, search, page).await?, CredentialOut::from)))
}

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

pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
) -> Result<Json<CredentialOut>, Problem> {
    Ok(Json(web.service.credentials().load(&actor, CredentialId(id)).await?.into()))
}

pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
    body: Sent,
) -> Result<Json<CredentialOut>, Problem> {
    let credentials = web.service.credentials();
    let id = credentials.save(&actor, Some(CredentialId(id)), &sent(body)?.credential()).await?;
    Ok(Json(credentials.load(&actor, id).await?.into()))
}

pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let credentials = web.service.credentials();
    let current = credentials.load(&actor, CredentialId(id)).await?.version;
    credentials.remove(&actor, CredentialId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}
