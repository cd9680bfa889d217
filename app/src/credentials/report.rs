//! The report of credentials as HTML.

use domain::{
    credential::Credential,
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
    let (own, lists, accounts) = (&all.credentials, &all.lists, &all.accounts);
    let list = List {
        path: PATH,
        title: own.title,
        heads: vec![accounts.id, accounts.name, own.username, own.secret, own.used_by, all.common.actions],
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
    let place = if credential.is_oauth { crate::oauth::PATH } else { PATH };
    view! {
        <td>{id.to_string()}</td>
        <th scope="row" id=name_id.clone()><bdi>{credential.name}</bdi></th>
        <td><bdi>{credential.username}</bdi></td>
        <td>{words.credentials.secret_set(day(credential.secret_set_at), credential.secret_set_by)}</td>
        <td>{uses}</td>
        <td class="row-actions">
            <a class="button compact" href=format!("{place}/{id}") aria-describedby=name_id>
                <Icon name="pencil"/>{words.lists.edit_credential}
            </a>
        </td>
    }
}
