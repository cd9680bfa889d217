//! `/connectors/{id}/agents`

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
};
use domain::{
    actor::Actor,
    agent::{AgentCode, AgentRow},
    ids::{AgentId, ConnectorId},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    accounts::{Pairs, Sent, sent, version_of},
    path::At,
    problem::Problem,
};
use crate::http::Web;

/// The agents of a connector.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentList {
    items: Vec<AgentOut>,
}

/// A program in a closed network that carries connections there.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentOut {
    id: i64,
    version: i64,
    name: String,
    /// Of its public key; the agent says the same one.
    fingerprint: String,
    program_version: String,
    enrolled_at: String,
    /// Without it nothing goes by the agent.
    approved_at: Option<String>,
    last_seen_at: Option<String>,
    /// Since when it is connected to this instance.
    connected_since: Option<String>,
    /// How many connections to mail servers it carries for this instance.
    streams: u32,
}

impl From<AgentRow> for AgentOut {
    fn from(AgentRow { agent, tunnel }: AgentRow) -> Self {
        Self {
            id: agent.id.0,
            version: agent.version,
            name: agent.draft.name,
            fingerprint: agent.draft.fingerprint,
            program_version: agent.draft.program_version,
            enrolled_at: agent.enrolled_at.to_string(),
            approved_at: agent.approved_at.map(|it| it.to_string()),
            last_seen_at: agent.last_seen_at.map(|it| it.to_string()),
            connected_since: tunnel.as_ref().map(|it| it.since.to_string()),
            streams: tunnel.map_or(0, |it| it.n_streams),
        }
    }
}

/// A code that enrols one agent.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentCodeOut {
    /// Told this once.
    code: String,
    expires_at: String,
}

impl From<AgentCode> for AgentCodeOut {
    fn from(it: AgentCode) -> Self {
        Self { code: it.code, expires_at: it.expires_at.to_string() }
    }
}

/// Which version of the agent was looked at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(super) struct ApprovalIn {
    version: i64,
}

#[utoipa::path(get, path = "/connectors/{id}/agents", tag = "agents", params(("id" = i64, Path)), responses((status = 200, body = AgentList), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<AgentList>, Problem> {
    let rows = web.service.agents().list(&actor, ConnectorId(id)).await?;
    Ok(Json(AgentList { items: rows.into_iter().map(AgentOut::from).collect() }))
}

#[utoipa::path(post, path = "/connectors/{id}/agents/code", tag = "agents", params(("id" = i64, Path)), responses((status = 201, body = AgentCodeOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn make_code(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<(StatusCode, Json<AgentCodeOut>), Problem> {
    Ok((StatusCode::CREATED, Json(web.service.agents().make_code(&actor, ConnectorId(id)).await?.into())))
}

#[utoipa::path(post, path = "/connectors/{id}/agents/{agent}/approve", tag = "agents", params(("id" = i64, Path), ("agent" = i64, Path)), request_body = ApprovalIn, responses((status = 204, description = "Approved"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn approve(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At((id, agent)): At<(i64, i64)>,
    body: Sent,
) -> Result<StatusCode, Problem> {
    // No record has version 0: without one it is a conflict.
    let version = sent(body)?.text("version").parse().unwrap_or_default();
    web.service.agents().approve(&actor, ConnectorId(id), AgentId(agent), version).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(delete, path = "/connectors/{id}/agents/{agent}", tag = "agents", params(("id" = i64, Path), ("agent" = i64, Path), ("version" = Option<i64>, Query, description = "the version that is to go; without it, the current one")), responses((status = 204, description = "Gone"), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At((id, agent)): At<(i64, i64)>,
    Query(pairs): Pairs,
) -> Result<StatusCode, Problem> {
    let (agents, connector, id) = (web.service.agents(), ConnectorId(id), AgentId(agent));
    let rows = agents.list(&actor, connector).await?;
    let current = rows.iter().find(|it| it.agent.id == id).map_or(0, |it| it.agent.version);
    agents.remove(&actor, connector, id, version_of(&pairs, current)).await?;
    Ok(StatusCode::NO_CONTENT)
}
