//! The report of certificate authorities as HTML.

use domain::{
    actor::Permission,
    authority::AuthorityRow,
    page::{PAGE_SIZE, PageRequest},
    time::Timestamp,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    context::{self, actor, service},
    credentials::used::day,
    error::UserError,
    inbox::text::plain,
    served::list::List,
    ui::icon::Icon,
};

/// One page of those that have this in their name or subject.
pub async fn load(search: String, page: u32) -> Result<AnyView, UserError> {
    let (service, now) = (service()?, service()?.now());
    let found = service.authorities().list(&actor()?, &search, PageRequest::new(page, PAGE_SIZE)).await?;
    let all = context::words();
    let (own, accounts) = (&all.authorities, &all.accounts);
    let may_write = context::user().is_some_and(|it| it.role.may(Permission::Write));
    let list = List {
        path: PATH,
        title: all.shell.authorities,
        heads: vec![accounts.id, accounts.name, own.subject, own.expires, own.used_by, all.common.actions],
        search,
        empty: (own.empty, own.empty_hint, may_write.then(|| (format!("{PATH}/new"), all.common.new))),
    };
    Ok(list.show(found, move |row| view! { <Row row now/> }))
}

#[component]
fn Row(row: AuthorityRow, now: Timestamp) -> impl IntoView {
    let words = &context::words().authorities;
    let AuthorityRow { id, name, facts, n_uses, .. } = row;
    let name_id = format!("authority-{id}");
    let expired = (facts.expires_at < now).then(|| view! { " "<span class="state warn">{words.expired}</span> });
    view! {
        <td class="number">{id.to_string()}</td>
        <th scope="row" id=name_id.clone()><a href=format!("{PATH}/{id}")><bdi>{name}</bdi></a></th>
        <td><bdi>{plain(&facts.subject)}</bdi></td>
        <td><time datetime=facts.expires_at.to_string()>{day(facts.expires_at)}</time>{expired}</td>
        <td class="number">{n_uses.to_string()}</td>
        <td class="row-actions">
            <a class="button compact" href=format!("{PATH}/{id}") aria-describedby=name_id>
                <Icon name="pencil"/>{words.edit}
            </a>
        </td>
    }
}
