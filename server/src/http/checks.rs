//! Checks that are asked for in the inbox: the post that starts one, and the events that tell how it goes.

use std::convert::Infallible;

use app::context::CurrentActor;
use axum::{
    Extension,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{
        IntoResponse, Redirect, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use domain::{check::CheckRun, ids::AccountId, query};
use futures::stream;
use serde::Deserialize;
use service::CheckTicket;

use super::{
    ACCOUNTS, Web,
    refused::refusal,
    session::{actor, take_form},
};

/// Which button was pressed.
#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    transcript: String,
}

/// Runs a check, or joins the running one, and leads back to the inbox, or to the transcript that was asked for, when it has
/// ended: for browsers without script.
pub(super) async fn check(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let (parts, Asked { transcript }) = match take_form(request).await {
        Ok(taken) => taken,
        Err(response) => return response,
    };
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    let wants_transcript = transcript == "true";
    match web.service.checks().ask(&actor, AccountId(id), wants_transcript).await {
        Ok(ticket) => {
            let run = ticket.finished().await;
            let has_transcript = wants_transcript && run.has_transcript;
            let next = if has_transcript { format!("checks/{}/transcript", run.id) } else { "inbox".to_owned() };
            Redirect::to(&format!("{ACCOUNTS}/{id}/{next}?{}", told(&run))).into_response()
        }
        Err(error) => refusal(&error),
    }
}

/// How a check ended, as the next page's address says it.
fn told(run: &CheckRun) -> String {
    let failure = run.error.as_ref().map(|it| it.kind.as_str()).unwrap_or_default();
    let kind = if run.finished_at.is_none() { "lost" } else { failure };
    query::encode(&[
        ("flash", "checked".to_owned()),
        ("new", run.new_messages.to_string()),
        ("failure", kind.to_owned()),
    ])
}

/// The running check as it goes, or the last one as it ended; the stream ends with it.
pub(super) async fn events(
    State(web): State<Web>,
    Path(id): Path<i64>,
    Extension(CurrentActor(actor)): Extension<CurrentActor>,
) -> Response {
    let Some(actor) = actor else { return StatusCode::UNAUTHORIZED.into_response() };
    let ticket = match web.service.checks().watch(&actor, AccountId(id)).await {
        Ok(Some(ticket)) => ticket,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(error) => return refusal(&error),
    };
    let runs = stream::unfold(Some((ticket, true)), |state| async move {
        let (mut ticket, is_first) = state?;
        if !is_first && ticket.updates.changed().await.is_err() {
            return None;
        }
        let run = ticket.updates.borrow_and_update().clone();
        let next = run.finished_at.is_none().then_some((CheckTicket { updates: ticket.updates }, false));
        Some((Ok::<_, Infallible>(event(&run)), next))
    });
    Sse::new(runs).keep_alive(KeepAlive::default()).into_response()
}

fn event(run: &CheckRun) -> Event {
    Event::default().data(serde_json::to_string(run).unwrap_or_default())
}
