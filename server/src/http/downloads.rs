//! What a browser downloads, prints, or frames: the report as CSV and on paper, mails and their parts.

use std::sync::Arc;

use app::context::{CurrentActor, preferences_of};
use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    account::{AccountQuery, AccountRow},
    actor::Actor,
    ids::{AccountId, MessageId, ReportRunId},
    schedule::Format,
};
use futures::{StreamExt as _, stream};
use report::print::Printed;
use service::{Error, Html, RawMessage};
use words::Locale;

use super::{
    Web,
    refused::refusal,
    security::{OwnPolicy, ScriptNonce},
};

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 2_000;

/// A mail's HTML may show what is in it, and nothing else.
const MAIL_POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; \
     frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

fn query_of(raw: Option<&str>) -> AccountQuery {
    let pairs = pairs(raw.unwrap_or_default());
    AccountQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))).0
}

/// The pairs of a query or of a form.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let uri = format!("/?{text}").parse().unwrap_or_default();
    axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).map(|it| it.0).unwrap_or_default()
}

fn actor_of(extension: CurrentActor) -> Result<Actor, Response> {
    extension.0.ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())
}

/// The rows of these accounts, part by part; the next part is read while one is written.
fn parts(web: Web, actor: Actor, ids: Vec<AccountId>) -> impl stream::Stream<Item = Result<Vec<AccountRow>, Error>> {
    let source = Arc::new((web, actor, ids));
    let begins = (0..source.2.len()).step_by(ROWS_AT_ONCE);
    stream::iter(begins)
        .map(move |begin| {
            let source = Arc::clone(&source);
            async move {
                let (web, actor, ids) = &*source;
                let end = ids.len().min(begin + ROWS_AT_ONCE);
                web.service.accounts().rows(actor, &ids[begin..end]).await
            }
        })
        .buffered(2)
}

/// All matching rows as CSV.
pub(super) async fn csv(
    State(web): State<Web>,
    RawQuery(raw): RawQuery,
    Extension(actor): Extension<CurrentActor>,
    headers: HeaderMap,
) -> Response {
    let actor = match actor_of(actor) {
        Ok(actor) => actor,
        Err(response) => return response,
    };
    let query = query_of(raw.as_deref());
    let ids = match web.service.accounts().export(&actor, &query, "CSV").await {
        Ok(ids) => ids,
        Err(error) => return refusal(&error),
    };
    let (locale, _) = preferences_of(&headers);
    let name = format!("imap-pop3-accounts_{}.csv", web.service.now().to_file_stamp());
    let head = stream::once(async move { Ok(report::csv::head(locale)) });
    let rows = parts(web, actor, ids).map(move |it| it.map(|rows| report::csv::rows(locale, &rows)));
    let fixed = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (fixed, Body::from_stream(head.chain(rows))).into_response()
}

/// All matching rows as a page to print.
pub(super) async fn print(
    State(web): State<Web>,
    RawQuery(raw): RawQuery,
    Extension(actor): Extension<CurrentActor>,
    Extension(ScriptNonce(nonce)): Extension<ScriptNonce>,
    headers: HeaderMap,
) -> Response {
    let actor = match actor_of(actor) {
        Ok(actor) => actor,
        Err(response) => return response,
    };
    let query = query_of(raw.as_deref());
    let ids = match web.service.accounts().export(&actor, &query, "print").await {
        Ok(ids) => ids,
        Err(error) => return refusal(&error),
    };
    let (locale, _): (Locale, _) = preferences_of(&headers);
    let (who, at) = (actor.name.clone(), web.service.now());
    let css = format!("/pkg/{}", web.bundle.names.css);
    let page = Printed { locale, query: &query, who: &who, at, css: &css, nonce: &nonce };
    let (head, tail) = (page.head(), page.tail());
    let head = stream::once(async move { Ok(head) });
    let rows = parts(web, actor, ids).map(move |it| it.map(|rows| report::print::rows(locale, &rows)));
    let tail = stream::once(async move { Ok(tail) });
    let html = Body::from_stream(head.chain(rows).chain(tail));
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

/// A mail's HTML as a document of its own, for the sandboxed frame.
pub(super) async fn html(
    State(web): State<Web>,
    Path((account, message)): Path<(i64, i64)>,
    Extension(actor): Extension<CurrentActor>,
    headers: HeaderMap,
) -> Response {
    let actor = match actor_of(actor) {
        Ok(actor) => actor,
        Err(response) => return response,
    };
    match web.service.messages().html(&actor, Some(AccountId(account)), MessageId(message)).await {
        Ok(html) => {
            let (status, html) = match html {
                Html::Washed(html) => (StatusCode::OK, html),
                Html::TooComplex => (StatusCode::UNPROCESSABLE_ENTITY, too_complex(&headers)),
            };
            let content_type = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            own_policy(MAIL_POLICY, (status, content_type, html).into_response())
        }
        Err(error) => own_policy(MAIL_POLICY, refusal(&error)),
    }
}

/// Stands in the frame instead.
fn too_complex(headers: &HeaderMap) -> String {
    let (locale, _): (Locale, _) = preferences_of(headers);
    format!("<!doctype html><meta charset=\"utf-8\"><title></title><p>{}</p>", locale.words().inbox.too_complex)
}

/// A mail byte for byte.
pub(super) async fn raw(
    State(web): State<Web>,
    Path((account, message)): Path<(i64, i64)>,
    Extension(actor): Extension<CurrentActor>,
) -> Response {
    let actor = match actor_of(actor) {
        Ok(actor) => actor,
        Err(response) => return response,
    };
    let raw = web.service.messages().raw(&actor, Some(AccountId(account)), MessageId(message)).await;
    let bytes = match raw {
        Ok(raw) => stream_of(raw).await,
        Err(error) => Err(error),
    };
    match bytes {
        Ok((size, bytes)) => with_length(size, download(&format!("message-{message}.eml"), "message/rfc822", bytes)),
        Err(error) => refusal(&error),
    }
}

/// A message's size and its bytes, read as they are sent. The first part is read at once: what is not there can still be refused.
pub(crate) async fn stream_of(mut raw: RawMessage) -> Result<(u64, Body), Error> {
    let size = raw.size;
    let first = raw.part().await?.ok_or(Error::NotFound)?;
    let rest = stream::try_unfold(raw, async |mut raw| Ok(raw.part().await?.map(|part| (part, raw))));
    Ok((size, Body::from_stream(stream::once(async { Ok::<_, Error>(first) }).chain(rest))))
}

/// Says how long the body is, so that one that breaks off is not taken for whole.
pub(crate) fn with_length(size: u64, mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    response
}

/// An attachment, only ever as a download.
pub(super) async fn attachment(
    State(web): State<Web>,
    Path((account, message, nth)): Path<(i64, i64, u32)>,
    request: Request,
) -> Response {
    let Some(actor) = super::session::actor(&request.into_parts().0) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    match web.service.messages().attachment(&actor, Some(AccountId(account)), MessageId(message), nth).await {
        Ok((attachment, bytes)) => download(&attachment.name, &attachment.content_type, bytes),
        Err(error) => refusal(&error),
    }
}

/// A file that a scheduled report made.
pub(super) async fn report_file(
    State(web): State<Web>,
    Path((run, format)): Path<(i64, String)>,
    Extension(actor): Extension<CurrentActor>,
) -> Response {
    let actor = match actor_of(actor) {
        Ok(actor) => actor,
        Err(response) => return response,
    };
    let Some(format) = Format::parse(&format) else { return StatusCode::NOT_FOUND.into_response() };
    match web.service.schedules().file(&actor, ReportRunId(run), format).await {
        Ok((name, bytes)) => download(&name, format.content_type(), bytes),
        Err(error) => refusal(&error),
    }
}

/// Names go out both ways: RFC 6266 with the extended form of RFC 8187 for what is not ASCII.
pub(crate) fn download(name: &str, content_type: &str, bytes: impl Into<Body>) -> Response {
    let plain: String =
        name.chars().map(|it| if it.is_ascii_alphanumeric() || "._- ".contains(it) { it } else { '_' }).collect();
    let extended = domain::query::encode_value(name);
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}");
    let content_type =
        HeaderValue::from_str(content_type).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let mut response = ([(header::CONTENT_DISPOSITION, disposition)], bytes.into()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    own_policy("default-src 'none'; frame-ancestors 'none'; sandbox", response)
}

fn own_policy(policy: &'static str, mut response: Response) -> Response {
    response.extensions_mut().insert(OwnPolicy);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}
