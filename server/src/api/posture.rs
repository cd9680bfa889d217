//! `/posture`: what wants a look before it goes wrong.

use axum::{
    Extension, Json,
    extract::{Query, State},
};
use domain::{
    actor::Actor,
    posture::{PostureList, PostureQuery, PostureRow},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{accounts::Pairs, dto::List, path::At, problem::Problem};
use crate::http::Web;

/// How many records a list has.
#[derive(Serialize, ToSchema)]
pub(super) struct PostureCountOut {
    #[schema(examples(
        "plain",
        "skipped",
        "pinned",
        "certificates",
        "authorities",
        "weak_tls",
        "shared",
        "silent",
        "secrets"
    ))]
    list: &'static str,
    records: u64,
}

/// One record of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct PostureItem {
    #[schema(examples("account", "smtp", "credential", "oauth", "authority"))]
    kind: &'static str,
    id: i64,
    name: String,
    /// Address and port, a reason, a pin, an issuer, a subject, version and suite, or a user name. Of `secrets`, what ends:
    /// `consent`, `secret`, or `refused` and the code by which the provider refuses.
    detail: String,
    /// When it ends, succeeded last, or began to fail.
    at: Option<String>,
    /// Of a shared credential.
    accounts: Option<u64>,
}

impl From<PostureRow> for PostureItem {
    fn from(it: PostureRow) -> Self {
        Self {
            kind: it.subject.kind(),
            id: it.subject.id(),
            name: it.name,
            detail: it.detail,
            at: it.at.map(|it| it.to_string()),
            accounts: it.n_uses,
        }
    }
}

fn query_of(pairs: &[(String, String)]) -> PostureQuery {
    PostureQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// How many records each list has.
#[utoipa::path(get, path = "/posture", tag = "posture", params(("within" = Option<u32>, Query, description = "what ends within so many days, 30 unless asked otherwise"), ("silent" = Option<u32>, Query, description = "days without a success, 7 unless asked otherwise"), ("shared" = Option<u32>, Query, description = "accounts that use one credential at least, 5 unless asked otherwise")), responses((status = 200, body = Vec<PostureCountOut>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn counts(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    Query(pairs): Pairs,
) -> Result<Json<Vec<PostureCountOut>>, Problem> {
    let counts = web.service.posture().counts(&actor, &query_of(&pairs)).await?;
    Ok(Json(counts.into_iter().map(|it| PostureCountOut { list: it.list.as_str(), records: it.n }).collect()))
}

/// The records of a list.
#[utoipa::path(get, path = "/posture/{list}", tag = "posture", params(("list" = String, Path, description = "as `/posture` names it"), ("within" = Option<u32>, Query), ("silent" = Option<u32>, Query), ("shared" = Option<u32>, Query), ("page" = Option<u32>, Query, description = "counts from 1"), ("page_size" = Option<u32>, Query, description = "30 unless asked otherwise, 200 at most")), responses((status = 200, body = List<PostureItem>), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(list): At<String>,
    Query(pairs): Pairs,
) -> Result<Json<List<PostureItem>>, Problem> {
    let list = PostureList::parse(&list).ok_or_else(|| Problem::of(&service::Error::NotFound))?;
    Ok(Json(List::of(web.service.posture().list(&actor, list, &query_of(&pairs)).await?, PostureItem::from)))
}
