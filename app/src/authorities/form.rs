//! The form of a certificate authority as HTML. It posts natively, with a file or with what was pasted.

use domain::{
    actor::Permission,
    authority::{Authority, AuthorityForm},
    ids::AuthorityId,
    problem::Rule,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    context::{self, actor, service},
    credentials::used::{UsedByList, day},
    error::UserError,
    inbox::text::plain,
    posted::Posted,
    ui::{
        field::{Face, TextArea, TextField},
        form::{ErrorSummary, live_error},
        notice::Failure,
    },
};

/// The form of a stored authority, or an empty one.
pub async fn load(id: Option<AuthorityId>) -> Result<AnyView, UserError> {
    let (service, actor) = (service()?, actor()?);
    let posted = use_context::<Posted<AuthorityForm>>();
    let stored = match id {
        Some(id) => {
            Some((service.authorities().load(&actor, id).await?, service.authorities().used_by(&actor, id).await?))
        }
        None => None,
    };
    let fresh =
        || Posted { form: stored.as_ref().map(|it| AuthorityForm::of(&it.0)).unwrap_or_default(), ..Posted::default() };
    let posted = posted.unwrap_or_else(fresh);
    let used_by = stored.as_ref().map(|it| it.1.clone()).unwrap_or_default();
    let stored = stored.map(|it| it.0);
    let form = view! { <Fields posted stored=stored.clone()/> };
    Ok(view! { {form}{stored.map(|it| view! { <Facts authority=it used_by/> })} }.into_any())
}

fn label(field: &str) -> &'static str {
    let words = context::words();
    match field {
        "pem" => words.authorities.pem,
        _ => words.accounts.name,
    }
}

#[component]
fn Fields(posted: Posted<AuthorityForm>, stored: Option<Authority>) -> impl IntoView {
    let all = context::words();
    let words = &all.authorities;
    let Posted { form, problems, is_conflict, error } = posted;
    let wants_grant = problems.iter().any(|it| it.rule == Rule::GrantNeeded);
    let problems = RwSignal::new(problems);
    let face = move |name: &'static str, hint: &str| Face {
        name,
        label: label(name),
        hint: hint.to_owned(),
        error: live_error(problems, name, label(name)),
        required: true,
    };
    let conflict = stored.as_ref().filter(|_| is_conflict).map(|it| {
        let text = words.conflict(&it.row.name, plain(&it.row.facts.subject));
        view! {
            <div class="summary" role="alert"><h2>{all.common.conflict_title}</h2><p><bdi>{text}</bdi></p></div>
        }
    });
    // After a conflict the next save is meant to replace what is stored now.
    let stored_version = stored.as_ref().map(|it| it.row.version.to_string()).unwrap_or_default();
    let version = if is_conflict { stored_version } else { form.version.clone() };
    let n_uses = stored.as_ref().map_or(0, |it| it.row.n_uses);
    let grant = (n_uses > 0).then(|| {
        view! {
            <div class="field grant" class:wanted=wants_grant>
                <span class="radio">
                    <input type="checkbox" id="grant_credential" name="grant_credential" value="yes" aria-describedby="grant-hint"/>
                    <label for="grant_credential">{words.grant}</label>
                </span>
                <p class="hint" id="grant-hint">{words.grant_hint(n_uses)}</p>
            </div>
        }
    });
    let target = stored.map_or_else(|| "new".to_owned(), |it| it.row.id.to_string());
    let may_write = context::user().is_some_and(|it| it.role.may(Permission::Write));
    view! {
        {error.map(|error| view! { <Failure error/> })}
        <ErrorSummary problems label/>
        {conflict}
        <form class="card form" method="post" enctype="multipart/form-data" action=format!("{PATH}/{target}") novalidate=true>
            <input type="hidden" name="version" value=version/>
            <TextField face=face("name", "") value=form.name/>
            <TextArea face=face("pem", words.pem_hint) value=form.pem/>
            <div class="field">
                <label for="file">{words.file}</label>
                <p class="hint" id="file-hint">{words.file_hint}</p>
                <input type="file" id="file" name="file" accept=".pem,.crt,.cer" aria-describedby="file-hint"/>
            </div>
            {grant}
            <div class="buttons">
                {may_write.then(|| view! { <button class="button primary" type="submit">{words.save}</button> })}
                <a class="button" href=PATH>{all.common.cancel}</a>
            </div>
        </form>
    }
}

/// What its certificates say, where it is used, and its deletion while nothing uses it.
#[component]
fn Facts(authority: Authority, used_by: domain::account::UsedBy) -> impl IntoView {
    let words = &context::words().authorities;
    let row = authority.row;
    let may_delete = context::user().is_some_and(|it| it.role.may(Permission::Delete));
    let uses = if used_by.is_empty() {
        view! { <p>{words.not_used}</p> }.into_any()
    } else {
        view! { <UsedByList used_by/><p class="hint">{words.delete_in_use}</p> }.into_any()
    };
    let delete = (row.n_uses == 0 && may_delete).then(|| {
        view! {
            <details class="removal">
                <summary>{words.delete}</summary>
                <form method="post" action=format!("{PATH}/delete/{}", row.id)>
                    <input type="hidden" name="version" value=row.version.to_string()/>
                    <p>{words.delete_hint}</p>
                    <button class="button danger" type="submit">{words.delete}</button>
                </form>
            </details>
        }
    });
    view! {
        <section class="card">
            <dl>
                <dt>{words.subject}</dt><dd><bdi>{plain(&row.facts.subject)}</bdi></dd>
                <dt>{words.expires}</dt><dd>{day(row.facts.expires_at)}</dd>
                <dt>{words.certificates}</dt><dd>{row.facts.n_certificates.to_string()}</dd>
                <dt>{words.fingerprint}</dt><dd class="mono">{row.facts.fingerprint}</dd>
            </dl>
        </section>
        <section class="card used-by"><h2>{words.where_used}</h2>{uses}{delete}</section>
    }
}
