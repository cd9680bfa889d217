//! `/schedules`

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    actor::Actor,
    ids::{DeliveryId, ReportRunId, ScheduleId},
};

use super::{
    accounts::{Pairs, Sent, page_of, sent, version_of},
    dto::{List, ReportRunOut, ScheduleOut},
    path::At,
    problem::Problem,
};
use crate::http::Web;

#[utoipa::path(get, path = "/schedules", tag = "schedules", params(("name" = Option<String>, Query, description = "anywhere in the name"), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<ScheduleOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<ScheduleOut>>, Problem> {
    let search = pairs.iter().find(|(key, _)| key == "name").map(|(_, value)| value.as_str()).unwrap_or_default();
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    Ok(Json(List::of(web.service.schedules().list(&actor, search, page).await?, |it| ScheduleOut::from(it.schedule))))
}

#[utoipa::path(post, path = "/schedules", tag = "schedules", request_body = ScheduleOut, responses((status = 201, body = ScheduleOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Response, Problem> {
    let schedules = web.service.schedules();
    let id = schedules.save(&actor, None, &sent(body)?.schedule()?).await?;
    let saved = ScheduleOut::from(schedules.load(&actor, id).await?);
    Ok((StatusCode::CREATED, [("location", format!("/api/v1/schedules/{id}"))], Json(saved)).into_response())
}

#[utoipa::path(get, path = "/schedules/{id}", tag = "schedules", params(("id" = i64, Path)), responses((status = 200, body = ScheduleOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<ScheduleOut>, Problem> {
    Ok(Json(web.service.schedules().load(&actor, ScheduleId(id)).await?.into()))
}

#[utoipa::path(put, path = "/schedules/{id}", tag = "schedules", params(("id" = i64, Path)), request_body = ScheduleOut, responses((status = 200, body = ScheduleOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<ScheduleOut>, Problem> {
    let schedules = web.service.schedules();
    let id = schedules.save(&actor, Some(ScheduleId(id)), &sent(body)?.schedule()?).await?;
    Ok(Json(schedules.load(&actor, id).await?.into()))
}

#[utoipa::path(delete, path = "/schedules/{id}", tag = "schedules", params(("id" = i64, Path), ("version" = Option<i64>, Query, description = "the version that is to go; without it, the current one")), responses((status = 204, description = "Gone"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let schedules = web.service.schedules();
    let current = schedules.load(&actor, ScheduleId(id)).await?.version;
    schedules.remove(&actor, ScheduleId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/schedules/{id}/run", tag = "schedules", params(("id" = i64, Path)), responses((status = 202, description = "The run that was begun; ask for it again until it is finished", body = ReportRunOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn run(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Response, Problem> {
    let run = web.service.schedules().run(&actor, ScheduleId(id)).await?;
    Ok((StatusCode::ACCEPTED, Json(ReportRunOut::from(run))).into_response())
}

#[utoipa::path(get, path = "/schedules/{id}/runs", tag = "schedules", params(("id" = i64, Path), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<ReportRunOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn runs(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<Json<List<ReportRunOut>>, Problem> {
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    Ok(Json(List::of(web.service.schedules().runs(&actor, ScheduleId(id), page).await?, ReportRunOut::from)))
}

#[utoipa::path(post, path = "/schedules/{id}/runs/{run}/deliveries/{delivery}/repeat", tag = "schedules", params(("id" = i64, Path), ("run" = i64, Path), ("delivery" = i64, Path)), responses((status = 202, description = "It is sent again"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn repeat(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At((_, run, delivery)): At<(i64, i64, i64)>,
) -> Result<StatusCode, Problem> {
    web.service.schedules().repeat(&actor, ReportRunId(run), DeliveryId(delivery)).await?;
    Ok(StatusCode::ACCEPTED)
}
