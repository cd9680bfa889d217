//! Tests of connections: the posts that begin and stop them. Each leads to the page that shows how it goes.

use std::time::Duration;

use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use domain::{actor::Actor, ids::AccountId};
use serde::Deserialize;
use service::{Error, RunId};

use super::{
    ACCOUNTS, Web,
    refused::refusal,
    session::{actor, take_form},
};

/// So long the answer waits for the result: most tests are over by then, and their page needs no second look.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tests the account as it is saved.
pub(super) async fn start(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let Some(actor) = actor(&request.into_parts().0) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.connection_tests().start(&actor, AccountId(id)).await {
        Ok(run) => {
            settle(&web, &actor, run).await;
            to_account(id)
        }
        Err(error) => refusal(&error),
    }
}

#[derive(Deserialize)]
struct Grant {
    #[serde(default)]
    grant_credential: String,
}

/// Tests every way to the account's server.
pub(super) async fn start_each(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let (parts, Grant { grant_credential }) = match take_form(request).await {
        Ok(taken) => taken,
        Err(response) => return response,
    };
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    let is_granted = grant_credential == "yes";
    match web.service.connection_tests().start_each_way(&actor, AccountId(id), is_granted).await {
        Ok(_) => to_account(id),
        Err(error) => refusal(&error),
    }
}

/// Leads to the page of a test of what was typed.
pub(super) async fn follow(web: &Web, actor: &Actor, run: RunId) -> Response {
    settle(web, actor, run).await;
    to_run(run)
}

/// Stops a test and leads back to where it is shown.
pub(super) async fn cancel(State(web): State<Web>, Path(run): Path<String>, request: Request) -> Response {
    let Some(actor) = actor(&request.into_parts().0) else { return StatusCode::UNAUTHORIZED.into_response() };
    let Ok(id) = run.parse() else { return refusal(&Error::NotFound) };
    match web.service.connection_tests().cancel(&actor, id).await {
        Ok(run) => {
            settle(&web, &actor, id).await;
            match run.account.filter(|_| run.form.is_none()) {
                Some(account) => to_account(account.0),
                None => to_run(id),
            }
        }
        Err(error) => refusal(&error),
    }
}

/// Waits a moment for the end; whether it came is seen on the page.
async fn settle(web: &Web, actor: &Actor, run: RunId) {
    _ = tokio::time::timeout(PATIENCE, web.service.connection_tests().finished(actor, run)).await;
}

fn to_account(id: i64) -> Response {
    Redirect::to(&format!("{ACCOUNTS}/{id}/test")).into_response()
}

fn to_run(run: RunId) -> Response {
    Redirect::to(&format!("{ACCOUNTS}/test/{run}")).into_response()
}
