//! `/messages` and the messages of an account.

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use domain::{
    actor::Actor,
    ids::{AccountId, MessageId},
    message::MessageQuery,
};

use super::{
    accounts::Pairs,
    dto::{List, MessageItem, MessageOut},
    path::At,
    problem::Problem,
};
use crate::http::{Web, download, stream_of, with_length};

#[utoipa::path(get, path = "/accounts/{id}/messages", tag = "messages", params(("id" = i64, Path), ("q" = Option<String>, Query, description = "anywhere in sender and subject"), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "50 unless asked otherwise, 200 at most")), responses((status = 200, body = List<MessageItem>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    Query(pairs): Pairs,
) -> Result<Json<List<MessageItem>>, Problem> {
    let query = MessageQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let page = web.service.messages().list(&actor, AccountId(id), &query).await?;
    Ok(Json(List::of(page, MessageItem::from)))
}

#[utoipa::path(get, path = "/messages/{id}", tag = "messages", params(("id" = i64, Path)), responses((status = 200, body = MessageOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn load(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<MessageOut>, Problem> {
    Ok(Json(web.service.messages().open(&actor, None, MessageId(id)).await?.into()))
}

/// Byte for byte as the server gave it.
#[utoipa::path(get, path = "/messages/{id}/raw", tag = "messages", params(("id" = i64, Path)), responses((status = 200, description = "Byte for byte as the server gave it", content_type = "message/rfc822", body = Vec<u8>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn raw(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Response, Problem> {
    let raw = web.service.messages().raw(&actor, None, MessageId(id)).await?;
    let (size, bytes) = stream_of(raw).await?;
    Ok(with_length(size, ([(header::CONTENT_TYPE, "message/rfc822")], bytes).into_response()))
}

#[utoipa::path(get, path = "/messages/{id}/attachments/{nth}", tag = "messages", params(("id" = i64, Path), ("nth" = u32, Path, description = "counts from 0")), responses((status = 200, description = "Its bytes", content_type = "application/octet-stream", body = Vec<u8>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn attachment(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At((id, nth)): At<(i64, u32)>,
) -> Result<Response, Problem> {
    let (attachment, bytes) = web.service.messages().attachment(&actor, None, MessageId(id), nth).await?;
    Ok(download(&attachment.name, &attachment.content_type, bytes))
}
