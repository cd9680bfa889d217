//! Signing in, and making the first administrator. Both post to plain routes, which render them again with what was wrong.

use domain::problem::Problem;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde::{Deserialize, Serialize};

use crate::{
    context,
    error::UserError,
    ui::{
        field::{Face, TextField},
        form::{ErrorSummary, live_error},
        page::BarePage,
    },
};

/// What came back from an attempt; never the password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub name: String,
    pub is_refused: bool,
    pub is_blocked: bool,
    pub problems: Vec<Problem>,
}

/// The attempt that is being answered, or an empty one.
#[server(endpoint = "sign-in/attempt", output = crate::codec::Json)]
pub async fn last_attempt() -> Result<Attempt, UserError> {
    // Nothing to wait for: the route has put it into the context.
    std::future::ready(Ok(use_context::<Attempt>().unwrap_or_default())).await
}

fn label(field: &str) -> &'static str {
    let words = &context::words().sign_in;
    match field {
        "name" => words.user_name,
        "password" => words.password,
        _ => words.code,
    }
}

fn refusal(attempt: &Attempt) -> impl IntoView + use<> {
    let words = &context::words().sign_in;
    let text = match (attempt.is_blocked, attempt.is_refused) {
        (true, _) => Some(words.too_many),
        (_, true) => Some(words.refused),
        _ => None,
    };
    text.map(|it| view! { <p class="alert" role="alert">{it}</p> })
}

/// `/sign-in`
#[component]
pub fn SignInPage() -> impl IntoView {
    let words = &context::words().sign_in;
    let query = use_query_map();
    let back = move || query.read().get("return").unwrap_or_default();
    let attempt = Resource::new_blocking(|| (), |()| last_attempt());
    view! {
        <BarePage title=words.title>
            <Suspense>
                {move || Suspend::new(async move {
                    let attempt = attempt.await.unwrap_or_default();
                    view! {
                        {refusal(&attempt)}
                        <form method="post" action="/sign-in">
                            <input type="hidden" name="return" value=back/>
                            <TextField face=Face { name: "name", label: words.user_name, required: true, ..Face::default() } value=attempt.name autocomplete="username"/>
                            <TextField face=Face { name: "password", label: words.password, required: true, ..Face::default() } value="" kind="password" autocomplete="current-password"/>
                            <button class="button primary">{words.submit}</button>
                        </form>
                    }
                })}
            </Suspense>
        </BarePage>
    }
}

/// `/set-up`
#[component]
pub fn SetUpPage() -> impl IntoView {
    let words = &context::words().sign_in;
    let attempt = Resource::new_blocking(|| (), |()| last_attempt());
    view! {
        <BarePage title=words.set_up_title>
            <p>{words.set_up_hint}</p>
            <Suspense>
                {move || Suspend::new(async move {
                    let attempt = attempt.await.unwrap_or_default();
                    let problems = RwSignal::new(attempt.problems.clone());
                    let error = |field| live_error(problems, field, label(field));
                    view! {
                        {refusal(&attempt)}
                        <ErrorSummary problems label/>
                        <form method="post" action="/set-up">
                            <TextField face=Face { name: "code", label: words.code, error: error("code"), required: true, ..Face::default() } value=""/>
                            <TextField face=Face { name: "name", label: words.user_name, error: error("name"), required: true, ..Face::default() } value=attempt.name autocomplete="username"/>
                            <TextField face=Face { name: "password", label: words.password, hint: words.password_hint.to_owned(), error: error("password"), required: true }
                                value="" kind="password" autocomplete="new-password"/>
                            <button class="button primary">{words.set_up_submit}</button>
                        </form>
                    }
                })}
            </Suspense>
        </BarePage>
    }
}
