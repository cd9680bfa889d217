//! `/authorities`

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{actor::Actor, ids::AuthorityId};

use super::{
    accounts::{Pairs, Sent, page_of, sent, version_of},
    dto::{AuthorityIn, AuthorityItem, AuthorityOut, List},
    path::At,
    problem::Problem,
};
use crate::http::Web;

#[utoipa::path(get, path = "/authorities", tag = "authorities", params(("name" = Option<String>, Query, description = "anywhere in name or subject"), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<AuthorityItem>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<AuthorityItem>>, Problem> {
    let search = pairs.iter().find(|(key, _)| key == "name").map(|(_, value)| value.as_str()).unwrap_or_default();
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    Ok(Json(List::of(web.service.authorities().list(&actor, search, page).await?, AuthorityItem::from)))
}

#[utoipa::path(post, path = "/authorities", tag = "authorities", request_body = AuthorityIn, responses((status = 201, body = AuthorityOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Response, Problem> {
    let authorities = web.service.authorities();
    let id = authorities.save(&actor, None, &sent(body)?.authority()).await?;
    let saved = AuthorityOut::from(authorities.load(&actor, id).await?);
    Ok((StatusCode::CREATED, [("location", format!("/api/v1/authorities/{id}"))], Json(saved)).into_response())
}

#[utoipa::path(get, path = "/authorities/{id}", tag = "authorities", params(("id" = i64, Path)), responses((status = 200, body = AuthorityOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<AuthorityOut>, Problem> {
    Ok(Json(web.service.authorities().load(&actor, AuthorityId(id)).await?.into()))
}

#[utoipa::path(put, path = "/authorities/{id}", tag = "authorities", params(("id" = i64, Path)), request_body = AuthorityIn, responses((status = 200, body = AuthorityOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<AuthorityOut>, Problem> {
    let authorities = web.service.authorities();
    let id = authorities.save(&actor, Some(AuthorityId(id)), &sent(body)?.authority()).await?;
    Ok(Json(authorities.load(&actor, id).await?.into()))
}

#[utoipa::path(delete, path = "/authorities/{id}", tag = "authorities", params(("id" = i64, Path), ("version" = Option<i64>, Query, description = "the version that is to go; without it, the current one")), responses((status = 204, description = "Gone"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let authorities = web.service.authorities();
    let current = authorities.load(&actor, AuthorityId(id)).await?.row.version;
    authorities.remove(&actor, AuthorityId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}
