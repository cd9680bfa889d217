//! `/smtp`

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{actor::Actor, ids::SmtpId};

use super::{
    accounts::{Pairs, Sent, page_of, sent, version_of},
    dto::{List, SmtpIn, SmtpOut, TestIn, TestOut},
    path::At,
    problem::Problem,
};
use crate::http::Web;

#[utoipa::path(get, path = "/smtp", tag = "smtp", params(("name" = Option<String>, Query, description = "anywhere in name, sender or address"), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<SmtpOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<SmtpOut>>, Problem> {
    let search = pairs.iter().find(|(key, _)| key == "name").map(|(_, value)| value.as_str()).unwrap_or_default();
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    Ok(Json(List::of(web.service.smtp().list(&actor, search, page).await?, SmtpOut::from)))
}

#[utoipa::path(post, path = "/smtp", tag = "smtp", request_body = SmtpIn, responses((status = 201, body = SmtpOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Response, Problem> {
    let smtp = web.service.smtp();
    let id = smtp.save(&actor, None, &sent(body)?.smtp()).await?;
    let saved = SmtpOut::from(smtp.load(&actor, id).await?);
    Ok((StatusCode::CREATED, [("location", format!("/api/v1/smtp/{id}"))], Json(saved)).into_response())
}

#[utoipa::path(get, path = "/smtp/{id}", tag = "smtp", params(("id" = i64, Path)), responses((status = 200, body = SmtpOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<SmtpOut>, Problem> {
    Ok(Json(web.service.smtp().load(&actor, SmtpId(id)).await?.into()))
}

#[utoipa::path(put, path = "/smtp/{id}", tag = "smtp", params(("id" = i64, Path)), request_body = SmtpIn, responses((status = 200, body = SmtpOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<SmtpOut>, Problem> {
    let smtp = web.service.smtp();
    let id = smtp.save(&actor, Some(SmtpId(id)), &sent(body)?.smtp()).await?;
    Ok(Json(smtp.load(&actor, id).await?.into()))
}

#[utoipa::path(delete, path = "/smtp/{id}", tag = "smtp", params(("id" = i64, Path), ("version" = Option<i64>, Query, description = "the version that is to go; without it, the current one")), responses((status = 204, description = "Gone"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let smtp = web.service.smtp();
    let current = smtp.load(&actor, SmtpId(id)).await?.version;
    smtp.remove(&actor, SmtpId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/smtp/{id}/test", tag = "smtp", params(("id" = i64, Path)), request_body = TestIn, responses((status = 200, body = TestOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn test(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<TestOut>, Problem> {
    let recipient = sent(body)?.text("recipient");
    Ok(Json(web.service.smtp().test(&actor, SmtpId(id), &recipient, "en").await?.into()))
}
