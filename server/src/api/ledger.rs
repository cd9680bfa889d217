//! What could not be fetched of an account, and what was and will be deleted on its server.

use axum::{
    Extension, Json,
    extract::{Query, State},
};
use domain::{
    actor::Actor,
    ids::{AccountId, RemoteId},
    ledger::{Deletion, DeletionProof, PlannedDeletion, Trouble, TroubleState},
    page::PAGE_SIZE,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    accounts::{Pairs, page_of},
    dto::List,
    path::At,
    problem::Problem,
};
use crate::http::Web;

/// A message that is on the server and could not be fetched.
#[derive(Serialize, ToSchema)]
pub(super) struct TroubleOut {
    id: i64,
    /// Its name on the server: UID and UIDVALIDITY, or the UIDL.
    name: String,
    size: u64,
    #[schema(value_type = String, examples("retried", "quarantined", "too_large"))]
    state: TroubleState,
    attempts: u32,
    /// May hold what a server said.
    reason: String,
    listed_at: String,
    failed_at: Option<String>,
    has_sample: bool,
}

impl From<Trouble> for TroubleOut {
    fn from(it: Trouble) -> Self {
        Self {
            id: it.id.0,
            name: it.name,
            size: it.size,
            state: it.state,
            attempts: it.n_attempts,
            reason: it.reason,
            listed_at: it.listed_at.to_string(),
            failed_at: it.failed_at.map(|it| it.to_string()),
            has_sample: it.has_sample,
        }
    }
}

/// How many messages are fetched again with the next check.
#[derive(Serialize, ToSchema)]
pub(super) struct RetriedOut {
    retried: u64,
}

/// The receipt of a deletion on the server.
#[derive(Serialize, ToSchema)]
pub(super) struct DeletionOut {
    id: i64,
    name: String,
    /// The copy that is kept here.
    message_id: Option<i64>,
    subject: String,
    size: u64,
    /// BLAKE3 of the bytes that are kept here, in hexadecimal.
    blake3: String,
    stored_at: Option<String>,
    asked_at: Option<String>,
    deleted_at: String,
    #[schema(value_type = String, examples("confirmed", "reconciled"))]
    proof: DeletionProof,
    check_run_id: Option<i64>,
}

impl From<Deletion> for DeletionOut {
    fn from(it: Deletion) -> Self {
        Self {
            id: it.id.0,
            name: it.name,
            message_id: it.message_id.map(|it| it.0),
            subject: it.subject,
            size: it.size,
            blake3: it.hash,
            stored_at: it.stored_at.map(|it| it.to_string()),
            asked_at: it.asked_at.map(|it| it.to_string()),
            deleted_at: it.deleted_at.to_string(),
            proof: it.proof,
            check_run_id: it.run.map(|it| it.0),
        }
    }
}

/// A message that one of the next checks deletes from the server.
#[derive(Serialize, ToSchema)]
pub(super) struct PlannedOut {
    id: i64,
    name: String,
    message_id: i64,
    subject: String,
    size: u64,
    stored_at: String,
    /// Not before.
    due_at: String,
}

impl From<PlannedDeletion> for PlannedOut {
    fn from(it: PlannedDeletion) -> Self {
        Self {
            id: it.id.0,
            name: it.name,
            message_id: it.message_id.0,
            subject: it.subject,
            size: it.size,
            stored_at: it.stored_at.to_string(),
            due_at: it.due_at.to_string(),
        }
    }
}

/// Messages that are on the server and could not be fetched.
#[utoipa::path(get, path = "/accounts/{id}/quarantine", tag = "quarantine", params(("id" = i64, Path), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<TroubleOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn quarantine(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<Json<List<TroubleOut>>, Problem> {
    let page = web.service.ledger().trouble(&actor, AccountId(id), page_of(&pairs, PAGE_SIZE)).await?;
    Ok(Json(List::of(page, TroubleOut::from)))
}

/// Has the next check fetch all of them again.
#[utoipa::path(post, path = "/accounts/{id}/quarantine/retry", tag = "quarantine", params(("id" = i64, Path)), responses((status = 200, body = RetriedOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn retry_all(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<RetriedOut>, Problem> {
    let retried = web.service.ledger().retry(&actor, AccountId(id), None).await?;
    Ok(Json(RetriedOut { retried }))
}

/// Has the next check fetch one of them again.
#[utoipa::path(post, path = "/accounts/{id}/quarantine/{remote}/retry", tag = "quarantine", params(("id" = i64, Path), ("remote" = i64, Path, description = "its id in the list")), responses((status = 200, body = RetriedOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn retry(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At((id, remote)): At<(i64, i64)>,
) -> Result<Json<RetriedOut>, Problem> {
    let retried = web.service.ledger().retry(&actor, AccountId(id), Some(RemoteId(remote))).await?;
    Ok(Json(RetriedOut { retried }))
}

/// The receipts of what was deleted on the server.
#[utoipa::path(get, path = "/accounts/{id}/deletions", tag = "deletions", params(("id" = i64, Path), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<DeletionOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn deletions(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<Json<List<DeletionOut>>, Problem> {
    let page = web.service.ledger().deletions(&actor, AccountId(id), page_of(&pairs, PAGE_SIZE)).await?;
    Ok(Json(List::of(page, DeletionOut::from)))
}

/// What the next checks will delete on the server: nothing is done.
#[utoipa::path(get, path = "/accounts/{id}/deletions/planned", tag = "deletions", params(("id" = i64, Path), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<PlannedOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn planned(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<Json<List<PlannedOut>>, Problem> {
    let page = web.service.ledger().planned_deletions(&actor, AccountId(id), page_of(&pairs, PAGE_SIZE)).await?;
    Ok(Json(List::of(page, PlannedOut::from)))
}

/// How many older messages are deleted on the server with the next checks, or stay there.
#[derive(Serialize, ToSchema)]
pub(super) struct OlderOut {
    messages: u64,
}

/// Asks for the deletion, on the server, of the messages that were collected while a copy was kept.
#[utoipa::path(post, path = "/accounts/{id}/deletions/older", tag = "deletions", params(("id" = i64, Path)), responses((status = 200, body = OlderOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete_older(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<OlderOut>, Problem> {
    Ok(Json(OlderOut { messages: web.service.accounts().delete_older(&actor, AccountId(id)).await? }))
}

/// Takes that back, as far as the server was not asked yet.
#[utoipa::path(delete, path = "/accounts/{id}/deletions/older", tag = "deletions", params(("id" = i64, Path)), responses((status = 200, body = OlderOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn keep_older(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<OlderOut>, Problem> {
    Ok(Json(OlderOut { messages: web.service.accounts().keep_older(&actor, AccountId(id)).await? }))
}
