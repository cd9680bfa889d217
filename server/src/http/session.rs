//! Who is signed in: the cookie, the guard of everything behind it, signing in and out, preferences.

use app::{context::CurrentActor, sign_in::Attempt};
use axum::{
    Extension, Form, Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use domain::actor::Actor;
use serde::Deserialize;
use service::{Error, secret::Secret};

use super::{ACCOUNTS, Web, origin, pages, refused};

const COOKIE: &str = "posthorn_session";

fn token(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = cookies.flat_map(|it| it.split(';'));
    pairs.find_map(|it| it.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::to_owned))
}

/// Finds the actor. Without one, pages lead to the sign-in and everything else is refused.
pub(super) async fn require(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let origin = origin(&web, &parts);
    let actor = match token(&parts.headers) {
        Some(token) => web.service.sign_in().session(&token, &origin.0).await,
        None => Ok(None),
    };
    let actor = match actor {
        Ok(actor) => actor,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    };
    let path = parts.uri.path();
    let is_open = matches!(path, "/sign-in" | "/set-up" | "/preferences" | "/api/sign-in/attempt");
    if actor.is_none() && !is_open {
        return refuse(&web, &parts, body).await;
    }
    parts.extensions.insert(origin);
    parts.extensions.insert(CurrentActor(actor));
    let response = next.run(Request::from_parts(parts.clone(), body)).await;
    refused::dress(&web, &parts, response).await
}

/// The most that a form may hold.
const FORM_MAX: usize = 256 * 1024;

async fn refuse(web: &Web, request: &Parts, body: Body) -> Response {
    if request.uri.path().starts_with("/api/") {
        let signed_out = serde_json::to_string(&app::error::UserError::SignedOut).unwrap_or_default();
        return (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], signed_out).into_response();
    }
    if request.method != Method::GET {
        let body = axum::body::to_bytes(body, FORM_MAX).await.unwrap_or_default();
        return refused::signed_out(web, request, &body).await;
    }
    if web.service.sign_in().needs_set_up().await.unwrap_or(false) {
        return Redirect::to("/set-up").into_response();
    }
    let wanted = request.uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
    Redirect::to(&format!("/sign-in?return={}", domain::query::encode_value(wanted))).into_response()
}

/// A path of our own and nothing else: no other host, no scheme, nothing that a browser would read as one.
pub(super) fn local(path: &str) -> Option<&str> {
    let is_local = path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '\t']);
    is_local.then_some(path)
}

#[derive(Deserialize)]
pub(super) struct SignInForm {
    name: String,
    password: String,
    #[serde(default)]
    r#return: String,
}

pub(super) async fn sign_in(State(web): State<Web>, request: Request) -> Response {
    let (request, form) = match take_form::<SignInForm>(request).await {
        Ok(taken) => taken,
        Err(response) => return response,
    };
    let origin = origin(&web, &request);
    let entered = web.service.sign_in().sign_in(&form.name, Secret::new(form.password), &origin.0).await;
    match entered {
        Ok(token) => enter(&web, &token, local(&form.r#return).unwrap_or(ACCOUNTS)),
        Err(error) => again(&web, &request, "/sign-in", form.name, error).await,
    }
}

#[derive(Deserialize)]
pub(super) struct SetUpForm {
    code: String,
    name: String,
    password: String,
}

pub(super) async fn set_up(State(web): State<Web>, request: Request) -> Response {
    let (request, form) = match take_form::<SetUpForm>(request).await {
        Ok(taken) => taken,
        Err(response) => return response,
    };
    let origin = origin(&web, &request);
    let entered = web.service.sign_in().set_up(&form.code, &form.name, Secret::new(form.password), &origin.0).await;
    match entered {
        Ok(token) => enter(&web, &token, ACCOUNTS),
        Err(Error::Conflict) => Redirect::to("/sign-in").into_response(),
        Err(error) => again(&web, &request, "/set-up", form.name, error).await,
    }
}

/// Shows the page again with what was wrong.
async fn again(web: &Web, request: &Parts, path: &'static str, name: String, error: Error) -> Response {
    let mut attempt = Attempt { name, ..Attempt::default() };
    let mut retry_after = None;
    let status = match error {
        Error::Invalid(problems) => {
            attempt.problems = problems;
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Error::TooManyAttempts { retry_after_s } => {
            attempt.is_blocked = true;
            retry_after = Some((header::RETRY_AFTER, HeaderValue::from(retry_after_s)));
            StatusCode::TOO_MANY_REQUESTS
        }
        _ => {
            attempt.is_refused = true;
            StatusCode::UNPROCESSABLE_ENTITY
        }
    };
    let provide = move || leptos::prelude::provide_context(attempt.clone());
    let mut response = pages::render_at(web, request, path, status, provide).await;
    response.headers_mut().extend(retry_after);
    response
}

fn enter(web: &Web, token: &str, target: &str) -> Response {
    let secure = if web.config.is_secure() { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax{secure}");
    with_cookies(Redirect::to(target).into_response(), [cookie])
}

fn with_cookies<const N: usize>(mut response: Response, cookies: [String; N]) -> Response {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

pub(super) async fn sign_out(State(web): State<Web>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    if let (Some(token), Some(actor)) = (token(&request.headers), actor(&request))
        && let Err(error) = web.service.sign_in().sign_out(&actor, &token).await
    {
        return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    }
    with_cookies(
        Redirect::to("/sign-in").into_response(),
        [format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")],
    )
}

#[derive(Deserialize)]
pub(super) struct Preferences {
    locale: String,
    theme: String,
    #[serde(default)]
    r#return: String,
}

pub(super) async fn preferences(Form(form): Form<Preferences>) -> Response {
    let locale = words::Locale::parse(&form.locale).unwrap_or_default().tag();
    let theme = app::context::theme(Some(&form.theme)).0;
    let cookie = |name: &str, value: &str| format!("{name}={value}; Path=/; SameSite=Lax; Max-Age=31536000");
    let target = local(&form.r#return).unwrap_or("/");
    with_cookies(Redirect::to(target).into_response(), [cookie("locale", locale), cookie("theme", theme)])
}

/// Who is signed in, for an app that was not rendered here.
pub(super) async fn whoami(Extension(CurrentActor(actor)): Extension<CurrentActor>) -> Response {
    let whoami = actor.map(|it| domain::actor::Whoami { name: it.name, role: it.role });
    whoami.map_or_else(|| StatusCode::UNAUTHORIZED.into_response(), |it| Json(it).into_response())
}

/// The actor that [`require`] found.
pub(super) fn actor(request: &Parts) -> Option<Actor> {
    request.extensions.get::<CurrentActor>().and_then(|it| it.0.clone())
}

/// Takes the form out of a request and leaves the rest for rendering.
pub(super) async fn take_form<T: serde::de::DeserializeOwned>(request: Request) -> Result<(Parts, T), Response> {
    use axum::extract::FromRequest as _;

    let (parts, body) = request.into_parts();
    let posted = Request::from_parts(parts.clone(), body);
    let form = Form::<T>::from_request(posted, &()).await;
    form.map(|it| (parts, it.0)).map_err(IntoResponse::into_response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_our_own_are_returned_to() {
        assert_eq!(local("/settings?x=1"), Some("/settings?x=1"));
        for path in ["", "https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x"] {
            assert_eq!(local(path), None, "{path}");
        }
    }
}
