//! The report of credentials as HTML.

use domain::{
    credential::Credential,
    oauth::TokenState,
    page::{PAGE_SIZE, PageRequest},
};
use leptos::prelude::*;

use super::{PATH, used::day};
use crate::{
    context::{self, actor, service},
    error::UserError,
    served::list::List,
    ui::icon::Icon,
};

/// One page of those that have this in their name.
pub async fn load(search: String, page: u32) -> Result<AnyView, UserError> {
    let found = service()?.credentials().list(&actor()?, &search, PageRequest::new(page, PAGE_SIZE)).await?;
    let all = context::words();
    let (own, lists, accounts, tokens) = (&all.credentials, &all.lists, &all.accounts, &all.tokens);
    let list = List {
        path: PATH,
        title: own.title,
        heads: vec![
            accounts.id,
            accounts.name,
            own.username,
            own.secret,
            tokens.accepted,
            tokens.ends,
            own.used_by,
            all.common.actions,
        ],
        search,
        empty: (lists.no_credentials, lists.no_credentials_hint, Some((format!("{PATH}/new"), own.new_title))),
    };
    Ok(list.show(found, |credential| view! { <Row credential/> }))
}

#[component]
fn Row(credential: Credential) -> impl IntoView {
    let words = context::words();
    let id = credential.id;
    let name_id = format!("credential-{id}");
    let uses = match credential.n_uses {
        0 => words.lists.unused.to_owned(),
        n_uses => words.lists.uses_records(n_uses),
    };
    let accepted = match credential.last_accepted_at {
        Some(at) => view! { <time datetime=at.to_string()>{format!("{} UTC", at.to_minute())}</time> }.into_any(),
        None => words.tokens.accepted_never.into_any(),
    };
    let ends = ends(&credential);
    let place = if credential.is_oauth { crate::oauth::PATH } else { PATH };
    view! {
        <td>{id.to_string()}</td>
        <th scope="row" id=name_id.clone()><bdi>{credential.name}</bdi></th>
        <td><bdi>{credential.username}</bdi></td>
        <td>{words.credentials.secret_set(day(credential.secret_set_at), credential.secret_set_by)}</td>
        <td>{accepted}</td>
        <td>{ends}</td>
        <td>{uses}</td>
        <td class="row-actions">
            <a class="button compact" href=format!("{place}/{id}") aria-describedby=name_id>
                <Icon name="pencil"/>{words.lists.edit_credential}
            </a>
        </td>
    }
}

/// What is known of the end of its tokens, consent and secret; first of all that there is nothing left to end.
fn ends(credential: &Credential) -> AnyView {
    let words = &context::words().tokens;
    let state = credential.tokens.map(|it| it.state);
    if state == Some(TokenState::NeedsPerson) {
        return view! { <span class="state warn">{words.needs_person}</span> }.into_any();
    }
    let consent = credential.tokens.and_then(|it| it.consent_ends_at).map(|it| words.consent_until(day(it)));
    let secret = credential.secret_ends_on.map(|it| words.secret_until(day(it.start())));
    let token = credential.tokens.and_then(|it| it.expires_at).map(|it| {
        let minute = format!("{} UTC", it.to_minute());
        words.token_until(minute)
    });
    let lines: Vec<String> = [consent, secret, token].into_iter().flatten().collect();
    match (lines.is_empty(), state) {
        (false, _) => lines.into_iter().map(|it| view! { <div>{it}</div> }).collect_view().into_any(),
        (true, Some(TokenState::Never)) => words.no_token.into_any(),
        (true, _) => words.no_end.into_any(),
    }
}
