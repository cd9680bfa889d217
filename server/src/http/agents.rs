//! Forms of a connector's agents: a code for a new one, approval, removal.

use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use domain::ids::{AgentId, ConnectorId};
use serde::Deserialize;

use super::{
    Web,
    pages::render_at,
    refused::refusal,
    session::{actor, take_form},
};

/// The version that was looked at.
#[derive(Deserialize)]
struct Version {
    version: i64,
}

fn report(connector: i64) -> String {
    format!("{}/{connector}/agents", app::connectors::PATH)
}

/// Makes a code and shows it, this once.
pub(super) async fn make_code(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    let code = match web.service.agents().make_code(&actor, ConnectorId(id)).await {
        Ok(code) => code,
        Err(error) => return refusal(&error),
    };
    let path = format!("{}/code", report(id));
    render_at(&web, &parts, &path, StatusCode::OK, move || leptos::prelude::provide_context(code.clone())).await
}

pub(super) async fn approve(State(web): State<Web>, Path((id, agent)): Path<(i64, i64)>, request: Request) -> Response {
    let (parts, Version { version }) = match take_form(request).await {
        Ok(taken) => taken,
        Err(response) => return response,
    };
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.agents().approve(&actor, ConnectorId(id), AgentId(agent), version).await {
        Ok(()) => Redirect::to(&format!("{}?flash=agent-approved", report(id))).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn remove(State(web): State<Web>, Path((id, agent)): Path<(i64, i64)>, request: Request) -> Response {
    let (parts, Version { version }) = match take_form(request).await {
        Ok(taken) => taken,
        Err(response) => return response,
    };
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.agents().remove(&actor, ConnectorId(id), AgentId(agent), version).await {
        Ok(()) => Redirect::to(&format!("{}?flash=agent-removed", report(id))).into_response(),
        Err(error) => refusal(&error),
    }
}
