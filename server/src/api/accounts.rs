//! `/accounts`

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    account::AccountQuery,
    actor::Actor,
    ids::{AccountId, CheckRunId},
    page::PageRequest,
};
use service::Error;

use super::{
    dto::{AccountIn, AccountItem, AccountOut, Body, List, Run, strangers},
    path::At,
    problem::Problem,
};
use crate::http::Web;

pub(super) type Pairs = Query<Vec<(String, String)>>;
pub(super) type Sent = Result<Json<Body>, axum::extract::rejection::JsonRejection>;

/// The body, or a problem that says why it is none.
pub(super) fn sent(body: Sent) -> Result<Body, Problem> {
    body.map(|it| it.0).map_err(|it| Problem::malformed(it.body_text()))
}

/// `page` and `page_size` of any list.
pub(super) fn page_of(pairs: &[(String, String)], page_size: u32) -> PageRequest {
    let mut request = PageRequest::new(1, page_size);
    for (key, value) in pairs {
        match key.as_str() {
            "page" => _ = domain::query::page(&mut request, value),
            "page_size" => _ = domain::query::page_size(&mut request, value),
            _ => {}
        }
    }
    request
}

/// The version that a removal names, or the current one.
pub(super) fn version_of(pairs: &[(String, String)], current: i64) -> i64 {
    pairs.iter().find(|(key, _)| key == "version").and_then(|(_, value)| value.parse().ok()).unwrap_or(current)
}

#[utoipa::path(get, path = "/accounts", tag = "accounts", params(("name" = Option<String>, Query, description = "anywhere in the name, without regard to case and accents"), ("secure_connection" = Option<bool>, Query), ("automatic_check" = Option<bool>, Query), ("keep_copy" = Option<bool>, Query), ("skip_certificate" = Option<bool>, Query), ("status" = Option<String>, Query, description = "enabled or disabled"), ("health" = Option<String>, Query, description = "good, never_checked, late, failing or stopped; late selects every late account, failing or not"), ("sort" = Option<String>, Query, description = "a column, or a column after a minus: name, -name"), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<AccountItem>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<AccountItem>>, Problem> {
    let problems = strangers(&pairs);
    if !problems.is_empty() {
        return Err(Error::Invalid(problems).into());
    }
    let (query, _) = AccountQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    Ok(Json(List::of(web.service.accounts().list_whole(&actor, &query).await?, AccountItem::from)))
}

#[utoipa::path(post, path = "/accounts", tag = "accounts", request_body = AccountIn, responses((status = 201, body = AccountOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Response, Problem> {
    let accounts = web.service.accounts();
    let saved = accounts.save(&actor, None, &sent(body)?.account()).await?;
    let account = AccountOut::from(accounts.load(&actor, saved.id).await?);
    let location = format!("/api/v1/accounts/{}", saved.id);
    Ok((StatusCode::CREATED, [("location", location)], Json(account)).into_response())
}

#[utoipa::path(get, path = "/accounts/{id}", tag = "accounts", params(("id" = i64, Path)), responses((status = 200, body = AccountOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<AccountOut>, Problem> {
    Ok(Json(web.service.accounts().load(&actor, AccountId(id)).await?.into()))
}

#[utoipa::path(put, path = "/accounts/{id}", tag = "accounts", params(("id" = i64, Path)), request_body = AccountIn, responses((status = 200, body = AccountOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<AccountOut>, Problem> {
    let accounts = web.service.accounts();
    let saved = accounts.save(&actor, Some(AccountId(id)), &sent(body)?.account()).await?;
    Ok(Json(accounts.load(&actor, saved.id).await?.into()))
}

#[utoipa::path(delete, path = "/accounts/{id}", tag = "accounts", params(("id" = i64, Path), ("version" = Option<i64>, Query, description = "the version that is to go; without it, the current one")), responses((status = 204, description = "The account is hidden for 30 days"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let accounts = web.service.accounts();
    let current = accounts.load(&actor, AccountId(id)).await?.version;
    accounts.remove(&actor, AccountId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a check now, or joins the running one; answers when it has ended.
#[utoipa::path(post, path = "/accounts/{id}/check", tag = "checks", params(("id" = i64, Path), ("transcript" = Option<bool>, Query, description = "true: a check that begins now takes its dialogue with the server down")), responses((status = 200, description = "The finished check run", body = Run), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn check(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<Json<Run>, Problem> {
    let transcript = pairs.iter().any(|(key, value)| key == "transcript" && value == "true");
    let ticket = web.service.checks().ask(&actor, AccountId(id), transcript).await?;
    Ok(Json(ticket.finished().await.into()))
}

#[utoipa::path(get, path = "/accounts/{id}/checks", tag = "checks", params(("id" = i64, Path), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<Run>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn checks(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<Json<List<Run>>, Problem> {
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    let runs = web.service.checks().runs(&actor, AccountId(id), page).await.map_err(|it: Error| Problem::of(&it))?;
    Ok(Json(List::of(runs, Run::from)))
}

/// The dialogue of a check with the server, secrets and bodies masked.
#[utoipa::path(get, path = "/accounts/{id}/checks/{run}/transcript", tag = "checks", params(("id" = i64, Path), ("run" = i64, Path)), responses((status = 200, description = "The dialogue, if it was taken down", content_type = "text/plain", body = String), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn transcript(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At((id, run)): At<(i64, i64)>,
) -> Result<Response, Problem> {
    let text = web.service.checks().transcript(&actor, AccountId(id), CheckRunId(run)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
