//! Forms that post natively: they save and lead on, or come back with all that was typed (but secrets) and what was wrong.

use app::{
    connectors::api::TestAnswer as ConnectorAnswer, context::preferences_of, notices::api::Tested, posted::Posted,
    smtp::api::TestAnswer,
};
use axum::{
    extract::{FromRequest as _, Multipart, Path, Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    account::AccountForm,
    actor::Actor,
    authority::AuthorityForm,
    connector::{ConnectorForm, TestForm},
    credential::CredentialForm,
    ids::{AccountId, AuthorityId, ConnectorId, CredentialId, DeliveryId, RemoteId, ReportRunId, ScheduleId, SmtpId},
    notices::NoticesForm,
    schedule::ScheduleForm,
    smtp::SmtpForm,
};
use serde::{Deserialize, de::DeserializeOwned};
use service::Error;

use super::{
    ACCOUNTS, Web, connection_tests,
    pages::render_at,
    refused::{refusal, status_of},
    session::{actor, local, take_form},
};

const CREDENTIALS: &str = "/settings/credentials";
const CONNECTORS: &str = "/settings/connectors";
const AUTHORITIES: &str = app::authorities::PATH;
const SMTP: &str = app::smtp::PATH;
const SCHEDULES: &str = app::schedules::PATH;
const NOTICES: &str = app::notices::PATH;

/// A record's id in a path, or `new`.
enum Target<T> {
    New,
    Existing(T),
}

fn target<T>(text: &str, id: impl Fn(i64) -> T) -> Result<Target<T>, Response> {
    if text == "new" {
        return Ok(Target::New);
    }
    let number = text.parse().map_err(|_| StatusCode::NOT_FOUND.into_response())?;
    Ok(Target::Existing(id(number)))
}

impl<T: Copy> Target<T> {
    fn id(&self) -> Option<T> {
        match self {
            Self::New => None,
            Self::Existing(id) => Some(*id),
        }
    }
}

pub(super) async fn posted<T: DeserializeOwned>(request: Request) -> Result<(Parts, Actor, T), Response> {
    let (parts, form) = take_form(request).await?;
    let actor = actor(&parts).ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())?;
    Ok((parts, actor, form))
}

/// The form's page again, with what was wrong.
pub(super) async fn come_back<T: Clone + Send + Sync + 'static>(
    web: &Web,
    request: &Parts,
    path: &str,
    form: T,
    error: Error,
) -> Response {
    let mut posted = Posted { form, problems: Vec::new(), is_conflict: false, error: None };
    let status = match error {
        Error::Invalid(problems) => {
            posted.problems = problems;
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Error::Conflict => {
            posted.is_conflict = true;
            StatusCode::CONFLICT
        }
        other => {
            let status = status_of(&other);
            posted.error = Some(other.into());
            status
        }
    };
    render_at(web, request, path, status, move || leptos::prelude::provide_context(posted.clone())).await
}

/// A form together with the button that was pressed.
#[derive(Deserialize)]
struct Pressed<T> {
    #[serde(flatten)]
    form: T,
    /// `test`: the values are tested and not saved. `resume`: they come back from the test into the form. Else they are saved.
    #[serde(default)]
    intent: String,
}

pub(super) async fn save_account(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let target = match target(&id, AccountId) {
        Ok(target) => target,
        Err(response) => return response,
    };
    let (parts, actor, Pressed { form, intent }) = match posted::<Pressed<AccountForm>>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let path = format!("{ACCOUNTS}/save/{id}");
    let done = match intent.as_str() {
        "resume" => {
            let posted = Posted { form, ..Posted::default() };
            let context = move || leptos::prelude::provide_context(posted.clone());
            return render_at(&web, &parts, &path, StatusCode::OK, context).await;
        }
        "test" => match web.service.connection_tests().start_draft(&actor, target.id(), &form).await {
            Ok(run) => Ok(connection_tests::follow(&web, &actor, run).await),
            Err(error) => Err(error),
        },
        _ => {
            let saved = web.service.accounts().save(&actor, target.id(), &form).await;
            saved.map(|_| Redirect::to(&format!("{ACCOUNTS}?flash=account-saved")).into_response())
        }
    };
    match done {
        Ok(response) => response,
        Err(error) => come_back(&web, &parts, &path, form, error).await,
    }
}

#[derive(Deserialize)]
struct Version {
    version: i64,
}

pub(super) async fn delete_account(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    match posted::<Version>(request).await {
        Ok((_, actor, form)) => match web.service.accounts().remove(&actor, AccountId(id), form.version).await {
            Ok(_) => Redirect::to(&format!("{ACCOUNTS}?flash=account-deleted")).into_response(),
            Err(error) => refusal(&error),
        },
        Err(response) => response,
    }
}

pub(super) async fn restore_account(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let Some(actor) = actor(&request.into_parts().0) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.accounts().restore(&actor, AccountId(id)).await {
        Ok(()) => Redirect::to(&format!("{ACCOUNTS}?flash=account-restored")).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn delete_older(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let Some(actor) = actor(&request.into_parts().0) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.accounts().delete_older(&actor, AccountId(id)).await {
        Ok(_) => Redirect::to(&format!("{ACCOUNTS}/{id}?flash=older-deleted")).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn keep_older(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let Some(actor) = actor(&request.into_parts().0) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.accounts().keep_older(&actor, AccountId(id)).await {
        Ok(_) => Redirect::to(&format!("{ACCOUNTS}/{id}?flash=older-kept")).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn retry_all(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    retry(&web, id, None, request).await
}

pub(super) async fn retry_one(
    State(web): State<Web>,
    Path((id, remote)): Path<(i64, i64)>,
    request: Request,
) -> Response {
    retry(&web, id, Some(RemoteId(remote)), request).await
}

/// Has what could not be fetched fetched again, and leads back to the list of it.
async fn retry(web: &Web, id: i64, remote: Option<RemoteId>, request: Request) -> Response {
    let Some(actor) = actor(&request.into_parts().0) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.ledger().retry(&actor, AccountId(id), remote).await {
        Ok(_) => Redirect::to(&format!("{ACCOUNTS}/{id}/quarantine?flash=retried")).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn save_notices(State(web): State<Web>, request: Request) -> Response {
    let (parts, actor, form) = match posted::<NoticesForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.watch().change_notices(&actor, &form).await {
        Ok(()) => Redirect::to(&format!("{NOTICES}?flash=notices-saved")).into_response(),
        Err(error) => come_back(&web, &parts, NOTICES, form, error).await,
    }
}

/// Sends a test by every way that is saved, and shows what came of it.
pub(super) async fn test_notices(State(web): State<Web>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    let tested = match web.service.watch().test_notices(&actor).await {
        Ok(outcome) => Tested(outcome),
        Err(error) => return refusal(&error),
    };
    let path = format!("{NOTICES}/test");
    render_at(&web, &parts, &path, StatusCode::OK, move || leptos::prelude::provide_context(tested.clone())).await
}

/// A form together with where to go afterwards.
#[derive(Deserialize)]
struct Returning<T> {
    #[serde(flatten)]
    form: T,
    #[serde(default)]
    r#return: String,
}

impl<T> Returning<T> {
    fn next(&self, otherwise: String) -> Response {
        let target = local(&self.r#return).map_or(otherwise, str::to_owned);
        Redirect::to(&target).into_response()
    }

    /// Where the form is shown again, with its way back.
    fn path(&self, base: &str, id: &str) -> String {
        match local(&self.r#return) {
            Some(back) => format!("{base}/save/{id}?return={}", domain::query::encode_value(back)),
            None => format!("{base}/save/{id}"),
        }
    }
}

pub(super) async fn save_credential(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let target = match target(&id, CredentialId) {
        Ok(target) => target,
        Err(response) => return response,
    };
    let (parts, actor, posted) = match posted::<Returning<CredentialForm>>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.credentials().save(&actor, target.id(), &posted.form).await {
        Ok(_) => posted.next(format!("{CREDENTIALS}?flash=credential-saved")),
        Err(error) => {
            let path = posted.path(CREDENTIALS, &id);
            come_back(&web, &parts, &path, posted.form.without_secrets(), error).await
        }
    }
}

/// Replaces the secret alone; the page shows how the accounts do with it.
pub(super) async fn rotate_credential(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let (parts, actor, form) = match posted::<CredentialForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let path = format!("{CREDENTIALS}/rotate/{id}");
    match web.service.credentials().rotate(&actor, CredentialId(id), &form).await {
        Ok(()) => Redirect::to(&format!("{path}?flash=credential-saved")).into_response(),
        Err(error @ (Error::Invalid(_) | Error::Conflict)) => {
            come_back(&web, &parts, &path, form.without_secrets(), error).await
        }
        Err(error) => refusal(&error),
    }
}

pub(super) async fn save_connector(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let target = match target(&id, ConnectorId) {
        Ok(target) => target,
        Err(response) => return response,
    };
    let (parts, actor, posted) = match posted::<Returning<ConnectorForm>>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.connectors().save(&actor, target.id(), &posted.form).await {
        Ok(_) => posted.next(format!("{CONNECTORS}?flash=connector-saved")),
        Err(error) => {
            let path = posted.path(CONNECTORS, &id);
            come_back(&web, &parts, &path, posted.form, error).await
        }
    }
}

/// Goes by the connector once, and shows how that went.
pub(super) async fn test_connector(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let (parts, actor, form) = match posted::<TestForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let (mut answer, mut status) =
        (ConnectorAnswer { form: form.clone(), ..ConnectorAnswer::default() }, StatusCode::OK);
    match web.service.connectors().test(&actor, ConnectorId(id), &form).await {
        Ok(result) => answer.result = Some(result),
        Err(Error::Invalid(problems)) => {
            answer.problems = problems;
            status = StatusCode::UNPROCESSABLE_ENTITY;
        }
        Err(error) => return refusal(&error),
    }
    let path = format!("{CONNECTORS}/{id}/test");
    render_at(&web, &parts, &path, status, move || leptos::prelude::provide_context(answer.clone())).await
}

#[derive(Deserialize)]
struct Approval {
    version: i64,
    host_key: String,
}

pub(super) async fn approve_host_key(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let (_, actor, form) = match posted::<Approval>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.connectors().approve_host_key(&actor, ConnectorId(id), form.version, &form.host_key).await {
        Ok(()) => Redirect::to(&format!("{CONNECTORS}/{id}/test?flash=host-key-approved")).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn save_smtp(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let target = match target(&id, SmtpId) {
        Ok(target) => target,
        Err(response) => return response,
    };
    let (parts, actor, form) = match posted::<SmtpForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.smtp().save(&actor, target.id(), &form).await {
        Ok(_) => Redirect::to(&format!("{SMTP}?flash=smtp-saved")).into_response(),
        Err(error) => come_back(&web, &parts, &format!("{SMTP}/save/{id}"), form, error).await,
    }
}

pub(super) async fn delete_smtp(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    match posted::<Version>(request).await {
        Ok((_, actor, form)) => {
            let removed = web.service.smtp().remove(&actor, SmtpId(id), form.version).await;
            after_removal(removed, SMTP, "smtp-deleted", id)
        }
        Err(response) => response,
    }
}

#[derive(Deserialize)]
struct Recipient {
    recipient: String,
}

/// Sends a test message and shows how that went.
pub(super) async fn test_smtp(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let (parts, actor, Recipient { recipient }) = match posted::<Recipient>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let (locale, _) = preferences_of(&parts.headers);
    let (mut answer, mut status) =
        (TestAnswer { recipient: recipient.clone(), ..TestAnswer::default() }, StatusCode::OK);
    match web.service.smtp().test(&actor, SmtpId(id), &recipient, locale.tag()).await {
        Ok(result) => answer.result = Some(result),
        Err(Error::Invalid(problems)) => {
            answer.problems = problems;
            status = StatusCode::UNPROCESSABLE_ENTITY;
        }
        Err(error) => return refusal(&error),
    }
    let path = format!("{SMTP}/{id}/test");
    render_at(&web, &parts, &path, status, move || leptos::prelude::provide_context(answer.clone())).await
}

pub(super) async fn save_schedule(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let target = match target(&id, ScheduleId) {
        Ok(target) => target,
        Err(response) => return response,
    };
    let (parts, actor, form) = match posted::<ScheduleForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.schedules().save(&actor, target.id(), &form).await {
        Ok(id) => Redirect::to(&format!("{SCHEDULES}/{id}/runs?flash=schedule-saved")).into_response(),
        Err(error) => come_back(&web, &parts, &format!("{SCHEDULES}/save/{id}"), form, error).await,
    }
}

/// The form again, with its next runs: what a script shows as one types, for those without.
pub(super) async fn preview_schedule(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let (parts, _, form) = match posted::<ScheduleForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let posted = Posted { form, ..Posted::default() };
    let path = format!("{SCHEDULES}/save/{id}");
    render_at(&web, &parts, &path, StatusCode::OK, move || leptos::prelude::provide_context(posted.clone())).await
}

pub(super) async fn delete_schedule(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    match posted::<Version>(request).await {
        Ok((_, actor, form)) => {
            let removed = web.service.schedules().remove(&actor, ScheduleId(id), form.version).await;
            after_removal(removed, SCHEDULES, "schedule-deleted", id)
        }
        Err(response) => response,
    }
}

pub(super) async fn pause_schedule(state: State<Web>, id: Path<i64>, request: Request) -> Response {
    set_enabled(state, id, request, false).await
}

pub(super) async fn resume_schedule(state: State<Web>, id: Path<i64>, request: Request) -> Response {
    set_enabled(state, id, request, true).await
}

async fn set_enabled(State(web): State<Web>, Path(id): Path<i64>, request: Request, enabled: bool) -> Response {
    let (_, actor, form) = match posted::<Version>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let flash = if enabled { "schedule-resumed" } else { "schedule-paused" };
    match web.service.schedules().set_enabled(&actor, ScheduleId(id), form.version, enabled).await {
        Ok(()) => Redirect::to(&format!("{SCHEDULES}/{id}/runs?flash={flash}")).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn run_schedule(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let Some(actor) = actor(&request.into_parts().0) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.schedules().run(&actor, ScheduleId(id)).await {
        Ok(_) => Redirect::to(&format!("{SCHEDULES}/{id}/runs?flash=schedule-started")).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn repeat_delivery(
    State(web): State<Web>,
    Path((run, delivery)): Path<(i64, i64)>,
    request: Request,
) -> Response {
    let Some(actor) = actor(&request.into_parts().0) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.schedules().repeat(&actor, ReportRunId(run), DeliveryId(delivery)).await {
        Ok(id) => Redirect::to(&format!("{SCHEDULES}/{id}/runs?flash=delivery-repeated")).into_response(),
        Err(error) => refusal(&error),
    }
}

pub(super) async fn delete_credential(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    match posted::<Version>(request).await {
        Ok((_, actor, form)) => {
            let removed = web.service.credentials().remove(&actor, CredentialId(id), form.version).await;
            after_removal(removed, CREDENTIALS, "credential-deleted", id)
        }
        Err(response) => response,
    }
}

pub(super) async fn delete_connector(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    match posted::<Version>(request).await {
        Ok((_, actor, form)) => {
            let removed = web.service.connectors().remove(&actor, ConnectorId(id), form.version).await;
            after_removal(removed, CONNECTORS, "connector-deleted", id)
        }
        Err(response) => response,
    }
}

pub(super) async fn save_authority(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let target = match target(&id, AuthorityId) {
        Ok(target) => target,
        Err(response) => return response,
    };
    let (parts, actor, form) = match uploaded(request).await {
        Ok(uploaded) => uploaded,
        Err(response) => return response,
    };
    match web.service.authorities().save(&actor, target.id(), &form).await {
        Ok(_) => Redirect::to(&format!("{AUTHORITIES}?flash=authority-saved")).into_response(),
        Err(error) => come_back(&web, &parts, &format!("{AUTHORITIES}/{id}"), form, error).await,
    }
}

/// An authority's form with or without a file, which takes the place of what was pasted.
async fn uploaded(request: Request) -> Result<(Parts, Actor, AuthorityForm), Response> {
    let is_multipart = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if !is_multipart.is_some_and(|it| it.starts_with("multipart/form-data")) {
        return posted(request).await;
    }
    let (parts, body) = request.into_parts();
    let actor = actor(&parts).ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())?;
    let request = Request::from_parts(parts.clone(), body);
    let mut multipart = Multipart::from_request(request, &()).await.map_err(IntoResponse::into_response)?;
    let mut form = AuthorityForm::default();
    while let Some(field) = multipart.next_field().await.map_err(IntoResponse::into_response)? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(IntoResponse::into_response)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match name.as_str() {
            "name" => form.name = text,
            "version" => form.version = text,
            "grant_credential" => form.grant_credential = text,
            "pem" => form.pem = text,
            "file" if !text.trim().is_empty() => form.pem = text,
            _ => {}
        }
    }
    Ok((parts, actor, form))
}

pub(super) async fn delete_authority(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    match posted::<Version>(request).await {
        Ok((_, actor, form)) => {
            let removed = web.service.authorities().remove(&actor, AuthorityId(id), form.version).await;
            after_removal(removed, AUTHORITIES, "authority-deleted", id)
        }
        Err(response) => response,
    }
}

fn after_removal(removed: Result<(), Error>, base: &str, flash: &str, id: i64) -> Response {
    match removed {
        Ok(()) => Redirect::to(&format!("{base}?flash={flash}")).into_response(),
        Err(Error::InUse(_)) => Redirect::to(&format!("{base}/{id}?flash=in-use")).into_response(),
        Err(error) => refusal(&error),
    }
}
