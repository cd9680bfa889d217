//! The lists of the security posture as CSV.

use app::context::{CurrentActor, preferences_of};
use axum::{
    Extension,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use domain::posture::PostureQuery;

use super::{
    Web,
    downloads::{download, pairs},
    refused::refusal,
};

/// The list that the query names.
pub(super) async fn csv(
    State(web): State<Web>,
    RawQuery(raw): RawQuery,
    Extension(actor): Extension<CurrentActor>,
    headers: HeaderMap,
) -> Response {
    let Some(actor) = actor.0 else { return StatusCode::UNAUTHORIZED.into_response() };
    let pairs = pairs(raw.as_deref().unwrap_or_default());
    let query = PostureQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let Some(list) = query.list else { return refusal(&service::Error::NotFound) };
    let rows = match web.service.posture().export(&actor, list, &query).await {
        Ok(rows) => rows,
        Err(error) => return refusal(&error),
    };
    let name = format!("posture-{}_{}.csv", list.as_str(), web.service.now().to_file_stamp());
    download(&name, "text/csv; charset=utf-8", report::posture::document(preferences_of(&headers).0, &rows))
}
