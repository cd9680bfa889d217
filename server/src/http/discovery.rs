//! Finding settings: the post that asks. Only a post does, so that a link makes nobody ask.

use app::discovery::{PATH, search::Answer};
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use domain::discovery::DiscoveryForm;

use super::{
    Web,
    forms::{come_back, posted},
    pages::render_at,
};

/// Asks for the settings of a mail address, and shows what was found.
pub(super) async fn discover(State(web): State<Web>, request: Request) -> Response {
    let (parts, actor, form) = match posted::<DiscoveryForm>(request).await {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    match web.service.autodiscovery().discover(&actor, &form.address).await {
        Ok(found) => {
            let answer = Answer(found);
            let context = move || leptos::prelude::provide_context(answer.clone());
            render_at(&web, &parts, PATH, StatusCode::OK, context).await
        }
        Err(error) => come_back(&web, &parts, PATH, form, error).await,
    }
}
