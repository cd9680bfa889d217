//! `/overview` and `/notices`: how the checks are going, and who is told when they are not.

use axum::{Extension, Json, extract::State};
use domain::{
    actor::Actor,
    check::ErrorKind,
    incident::{Cause, Incident, Instance, Overview, Role, Running, Subject},
    notices::Notices,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    accounts::{Sent, sent},
    problem::Problem,
};
use crate::http::Web;

/// What accounts of one cause have in common.
#[derive(Serialize, ToSchema)]
pub(super) struct SubjectOut {
    #[schema(examples("host", "connector", "credential", "posthorn"))]
    kind: &'static str,
    /// Of the connector or the credential.
    id: Option<i64>,
    name: String,
}

impl From<Subject> for SubjectOut {
    fn from(it: Subject) -> Self {
        let name = it.name().to_owned();
        let (kind, id) = match it {
            Subject::Host(_) => ("host", None),
            Subject::Connector(id, _) => ("connector", Some(id.0)),
            Subject::Credential(id, _) => ("credential", Some(id.0)),
            Subject::Posthorn => ("posthorn", None),
        };
        Self { kind, id, name }
    }
}

/// One cause, and how many accounts it holds up.
#[derive(Serialize, ToSchema)]
pub(super) struct CauseOut {
    /// Null: nothing failed, and yet the checks do not come.
    #[schema(value_type = Option<String>, examples("refused", "authentication"))]
    kind: Option<ErrorKind>,
    subject: SubjectOut,
    accounts: u64,
    late: u64,
    stopped: u64,
    since: String,
    example_account_id: i64,
    example_account_name: String,
    message: String,
}

impl From<Cause> for CauseOut {
    fn from(it: Cause) -> Self {
        Self {
            kind: it.kind,
            subject: it.subject.into(),
            accounts: it.n_accounts,
            late: it.n_late,
            stopped: it.n_stopped,
            since: it.since.to_string(),
            example_account_id: it.example.0,
            example_account_name: it.example_name,
            message: it.message,
        }
    }
}

/// A cause that was raised, until it is over.
#[derive(Serialize, ToSchema)]
pub(super) struct IncidentOut {
    id: i64,
    cause: CauseOut,
    opened_at: String,
    noticed_at: Option<String>,
    over_at: Option<String>,
    detail: String,
}

impl From<Incident> for IncidentOut {
    fn from(it: Incident) -> Self {
        Self {
            id: it.id.0,
            cause: it.cause.into(),
            opened_at: it.opened_at.to_string(),
            noticed_at: it.noticed_at.map(|it| it.to_string()),
            over_at: it.over_at.map(|it| it.to_string()),
            detail: it.detail,
        }
    }
}

/// An instance of Posthorn on this database.
#[derive(Serialize, ToSchema)]
pub(super) struct InstanceOut {
    id: String,
    #[schema(value_type = String, examples("web", "worker", "all"))]
    role: Role,
    host: String,
    started_at: String,
    seen_at: String,
}

impl From<Instance> for InstanceOut {
    fn from(it: Instance) -> Self {
        let (started_at, seen_at) = (it.started_at.to_string(), it.seen_at.to_string());
        Self { id: it.id, role: it.role, host: it.host, started_at, seen_at }
    }
}

/// A check that is under way.
#[derive(Serialize, ToSchema)]
pub(super) struct RunningOut {
    account_id: i64,
    account_name: String,
    started_at: String,
}

impl From<Running> for RunningOut {
    fn from(it: Running) -> Self {
        Self { account_id: it.account_id.0, account_name: it.account_name, started_at: it.started_at.to_string() }
    }
}

/// How the checks are going, at one moment.
#[derive(Serialize, ToSchema)]
pub(super) struct OverviewOut {
    /// Accounts that are checked by themselves.
    automatic: u64,
    running: u64,
    /// Due and not yet begun.
    due: u64,
    late: u64,
    failing: u64,
    stopped: u64,
    /// Messages.
    quarantined: u64,
    running_checks: Vec<RunningOut>,
    causes: Vec<CauseOut>,
    instances: Vec<InstanceOut>,
    incidents: Vec<IncidentOut>,
}

impl From<Overview> for OverviewOut {
    fn from(it: Overview) -> Self {
        Self {
            automatic: it.n_automatic,
            running: it.n_running,
            due: it.n_due,
            late: it.n_late,
            failing: it.n_failing,
            stopped: it.n_stopped,
            quarantined: it.n_quarantined,
            running_checks: it.running.into_iter().map(RunningOut::from).collect(),
            causes: it.causes.into_iter().map(CauseOut::from).collect(),
            instances: it.instances.into_iter().map(InstanceOut::from).collect(),
            incidents: it.incidents.into_iter().map(IncidentOut::from).collect(),
        }
    }
}

/// Who is told; sent and received alike.
#[derive(Serialize, ToSchema)]
pub(super) struct NoticesOut {
    #[schema(default = false)]
    enabled: bool,
    recipients: Vec<String>,
    #[schema(examples("https://hooks.example.org/posthorn"))]
    webhook: Option<String>,
    /// A cause that passes sooner is not told of.
    #[schema(default = 5, minimum = 0, maximum = 1440)]
    after_minutes: u32,
    #[schema(default = "en", examples("en", "pt-BR", "es"))]
    language: String,
}

impl From<Notices> for NoticesOut {
    fn from(it: Notices) -> Self {
        Self {
            enabled: it.enabled,
            recipients: it.recipients.iter().map(ToString::to_string).collect(),
            webhook: it.webhook.map(|it| it.to_string()),
            after_minutes: it.after_minutes,
            language: it.language,
        }
    }
}

/// What came of a test.
#[derive(Serialize, ToSchema)]
pub(super) struct TestedOut {
    outcome: String,
}

/// How the checks are going now: numbers, causes, what runs, instances, incidents.
#[utoipa::path(get, path = "/overview", tag = "checks", responses((status = 200, body = OverviewOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn overview(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<OverviewOut>, Problem> {
    Ok(Json(web.service.watch().overview(&actor).await?.into()))
}

#[utoipa::path(get, path = "/notices", tag = "notices", responses((status = 200, body = NoticesOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn notices(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<NoticesOut>, Problem> {
    Ok(Json(web.service.watch().notices(&actor).await?.into()))
}

#[utoipa::path(put, path = "/notices", tag = "notices", request_body = NoticesOut, responses((status = 200, body = NoticesOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change_notices(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Json<NoticesOut>, Problem> {
    let watch = web.service.watch();
    watch.change_notices(&actor, &sent(body)?.notices()).await?;
    Ok(Json(watch.notices(&actor).await?.into()))
}

/// Sends a notice that says that it is a test, by every way that is set.
#[utoipa::path(post, path = "/notices/test", tag = "notices", responses((status = 200, body = TestedOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn test_notices(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<TestedOut>, Problem> {
    Ok(Json(TestedOut { outcome: web.service.watch().test_notices(&actor).await? }))
}
