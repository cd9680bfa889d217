//! Forms that post natively: they save and lead on, or come back with all that was typed (but secrets) and what was wrong.

use app::posted::Posted;
use axum::{
    extract::{Path, Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    account::AccountForm,
    actor::Actor,
    connector::ConnectorForm,
    credential::{CredentialForm, SecretInput},
    ids::{AccountId, ConnectorId, CredentialId},
};
use serde::{Deserialize, de::DeserializeOwned};
use service::Error;

use super::{
    ACCOUNTS, Web,
    pages::render_at,
    refused::{refusal, status_of},
    session::{actor, local, take_form},
};

const CREDENTIALS: &str = "/settings/credentials";
const CONNECTORS: &str = "/settings/connectors";

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

async fn posted<T: DeserializeOwned>(request: Request) -> Result<(Parts, Actor, T), Response> {
    let (parts, form) = take_form(request).await?;
    let actor = actor(&parts).ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())?;
    Ok((parts, actor, form))
}

/// The form's page again, with what was wrong.
async fn come_back<T: Clone + Send + Sync + 'static>(
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

pub(super) async fn save_account(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let target = match target(&id, AccountId) {
        Ok(target) => target,
        Err(response) => return response,
    };
    let (parts, actor, form) = match posted::<AccountForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.accounts().save(&actor, target.id(), &form).await {
        Ok(_) => Redirect::to(&format!("{ACCOUNTS}?flash=account-saved")).into_response(),
        Err(error) => come_back(&web, &parts, &format!("{ACCOUNTS}/save/{id}"), form, error).await,
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
            let form = CredentialForm { secret: SecretInput::default(), ..posted.form };
            come_back(&web, &parts, &path, form, error).await
        }
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

fn after_removal(removed: Result<(), Error>, base: &str, flash: &str, id: i64) -> Response {
    match removed {
        Ok(()) => Redirect::to(&format!("{base}?flash={flash}")).into_response(),
        Err(Error::InUse(_)) => Redirect::to(&format!("{base}/{id}?flash=in-use")).into_response(),
        Err(error) => refusal(&error),
    }
}
