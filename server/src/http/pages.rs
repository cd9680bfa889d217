//! Pages and server functions: the app, rendered here.

use app::{context::CurrentActor, oauth::form::RedirectUri, refused::Refusal, shell::shell};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use leptos::{nonce::Nonce, prelude::provide_context};

use super::{Web, security::ScriptNonce};

/// What the app finds in its context.
fn provide(web: &Web, request: &Request) -> impl Fn() + Clone + Send + Sync + 'static + use<> {
    let service = web.service.clone();
    let redirect_uri = RedirectUri(super::oauth::redirect_uri(web));
    let actor = request.extensions().get::<CurrentActor>().cloned().unwrap_or_default();
    let nonce = request.extensions().get::<ScriptNonce>().map(|it| it.0.clone()).unwrap_or_default();
    move || {
        provide_context(service.clone());
        provide_context(actor.clone());
        provide_context(redirect_uri.clone());
        provide_context(Nonce::from_value(nonce.clone()));
    }
}

/// Whatever page the app has at the address.
pub(super) async fn page(State(web): State<Web>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    render(&web, request, || {}).await
}

async fn render(web: &Web, request: Request, also: impl Fn() + Clone + Send + Sync + 'static) -> Response {
    let bundle = web.bundle.names.clone();
    let provide = provide(web, &request);
    let context = move || {
        provide();
        also();
    };
    leptos_axum::render_app_async_with_context(context, move || shell(&bundle))(request).await.into_response()
}

/// The page at another address, for a form that comes back: same cookies, same actor, its own status.
pub(super) async fn render_at(
    web: &Web,
    request: &Parts,
    path: &str,
    status: StatusCode,
    also: impl Fn() + Clone + Send + Sync + 'static,
) -> Response {
    let mut page = Request::new(Body::empty());
    *page.method_mut() = Method::GET;
    *page.uri_mut() = path.parse().unwrap_or_default();
    *page.headers_mut() = request.headers.clone();
    *page.extensions_mut() = request.extensions.clone();
    let mut response = render(web, page, also).await;
    *response.status_mut() = status;
    response
}

/// A refusal in the place of what was asked for.
pub(super) async fn render_refusal(web: &Web, request: &Parts, status: StatusCode, refusal: Refusal) -> Response {
    let mut page = Request::new(Body::empty());
    *page.uri_mut() = request.uri.clone();
    *page.headers_mut() = request.headers.clone();
    *page.extensions_mut() = request.extensions.clone();
    let bundle = web.bundle.names.clone();
    let provide = provide(web, &page);
    let document = move || app::shell::refusal(&bundle, refusal.clone());
    let mut response = leptos_axum::render_app_async_with_context(provide, document)(page).await.into_response();
    *response.status_mut() = status;
    response
}

/// One server function.
pub(super) async fn server_function(State(web): State<Web>, request: Request) -> Response {
    let context = provide(&web, &request);
    leptos_axum::handle_server_fns_with_context(context, request).await.into_response()
}
