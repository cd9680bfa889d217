//! The routes of OAuth 2.0 credentials: their form, the way to the provider, and the way back.

use app::oauth::{PATH, form::Outcome};
use axum::{
    extract::{Path, Query, Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use domain::{ids::CredentialId, oauth::OAuthForm};
use service::{Callback, Error, ports::MailError};

use super::{
    Web,
    forms::{come_back, posted},
    pages::render_at,
    refused::refusal,
    session::actor,
};

/// Where a provider sends people back to.
pub(super) const CALLBACK: &str = "/settings/credentials/oauth/callback";

/// As it has to be registered with the provider.
pub(super) fn redirect_uri(web: &Web) -> Option<String> {
    web.config.public_url.as_ref().map(|it| format!("{}{CALLBACK}", it.trim_end_matches('/')))
}

/// The credential's page, at the address that was posted to, with what came of something.
async fn show(web: &Web, parts: &Parts, path: &str, status: StatusCode, outcome: Outcome) -> Response {
    let provide = move || leptos::prelude::provide_context(outcome.clone());
    render_at(web, parts, path, status, provide).await
}

pub(super) async fn save(State(web): State<Web>, Path(id): Path<String>, request: Request) -> Response {
    let target = match id.as_str() {
        "new" => None,
        number => match number.parse() {
            Ok(number) => Some(CredentialId(number)),
            Err(_) => return StatusCode::NOT_FOUND.into_response(),
        },
    };
    let (parts, actor, form) = match posted::<OAuthForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.oauth().save(&actor, target, &form).await {
        Ok(id) => Redirect::to(&format!("{PATH}/{id}?flash=credential-saved")).into_response(),
        Err(error) => come_back(&web, &parts, &format!("{PATH}/{id}"), form.without_secrets(), error).await,
    }
}

/// Shows the address at the provider as a link: a form may lead nowhere but here.
pub(super) async fn start(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    let uri = redirect_uri(&web).unwrap_or_default();
    match web.service.oauth().start(&actor, CredentialId(id), &uri).await {
        Ok(url) => {
            let outcome = Outcome { go: Some(url), error: None };
            show(&web, &parts, &format!("{PATH}/{id}/start"), StatusCode::OK, outcome).await
        }
        Err(error) => refusal(&error),
    }
}

pub(super) async fn fetch(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.oauth().fetch(&actor, CredentialId(id)).await {
        Ok(obtained) => ended(&web, &parts, &format!("{PATH}/{id}/fetch"), CredentialId(id), obtained).await,
        Err(error) => refusal(&error),
    }
}

pub(super) async fn callback(State(web): State<Web>, Query(callback): Query<Callback>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.oauth().finish(&actor, &callback).await {
        Ok((id, obtained)) => ended(&web, &parts, &format!("{PATH}/{id}"), id, obtained).await,
        Err(error) => refusal(&error),
    }
}

/// Asks for a device code. What came of it is on a page that can be looked at again.
pub(super) async fn start_device(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    let path = format!("{PATH}/{id}/device");
    match web.service.oauth().start_device(&actor, CredentialId(id)).await {
        // Somebody else was faster: there is a code.
        Ok(Ok(())) | Err(Error::Conflict) => Redirect::to(&format!("{path}?follow=1")).into_response(),
        Ok(Err(error)) => {
            let outcome = Outcome { go: None, error: Some(error.message) };
            show(&web, &parts, &path, StatusCode::BAD_GATEWAY, outcome).await
        }
        Err(error) => refusal(&error),
    }
}

pub(super) async fn cancel_device(State(web): State<Web>, Path(id): Path<i64>, request: Request) -> Response {
    let parts = request.into_parts().0;
    let Some(actor) = actor(&parts) else { return StatusCode::UNAUTHORIZED.into_response() };
    match web.service.oauth().cancel_device(&actor, CredentialId(id)).await {
        // What is over already is shown as it ended.
        Ok(()) | Err(Error::NotFound) => Redirect::to(&format!("{PATH}/{id}/device")).into_response(),
        Err(error) => refusal(&error),
    }
}

async fn ended(web: &Web, parts: &Parts, path: &str, id: CredentialId, obtained: Result<(), MailError>) -> Response {
    match obtained {
        Ok(()) => Redirect::to(&format!("{PATH}/{id}?flash=oauth-connected")).into_response(),
        Err(error) => {
            let outcome = Outcome { go: None, error: Some(error.message) };
            show(web, parts, path, StatusCode::BAD_GATEWAY, outcome).await
        }
    }
}
