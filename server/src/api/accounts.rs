//! `/accounts`

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{account::AccountQuery, actor::Actor, ids::AccountId, page::PageRequest};
use service::Error;

use super::{
    dto::{AccountItem, AccountOut, Body, List, Run},
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

pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<List<AccountItem>>, Problem> {
    let (query, _) = AccountQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    Ok(Json(List::of(web.service.accounts().list(&actor, &query).await?, AccountItem::from)))
}

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

pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
) -> Result<Json<AccountOut>, Problem> {
    Ok(Json(web.service.accounts().load(&actor, AccountId(id)).await?.into()))
}

pub(super) async fn change(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
    body: Sent,
) -> Result<Json<AccountOut>, Problem> {
    let accounts = web.service.accounts();
    let saved = accounts.save(&actor, Some(AccountId(id)), &sent(body)?.account()).await?;
    Ok(Json(accounts.load(&actor, saved.id).await?.into()))
}

pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let accounts = web.service.accounts();
    let current = accounts.load(&actor, AccountId(id)).await?.version;
    accounts.remove(&actor, AccountId(id), version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a check now, or joins the running one; answers when it has ended.
pub(super) async fn check(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
) -> Result<Json<Run>, Problem> {
    let ticket = web.service.checks().ask(&actor, AccountId(id)).await?;
    Ok(Json(ticket.finished().await.into()))
}

pub(super) async fn checks(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<i64>,
    Query(pairs): Pairs,
) -> Result<Json<List<Run>>, Problem> {
    let page = page_of(&pairs, domain::page::PAGE_SIZE);
    let runs = web.service.checks().runs(&actor, AccountId(id), page).await.map_err(|it: Error| Problem::of(&it))?;
    Ok(Json(List::of(runs, Run::from)))
}
