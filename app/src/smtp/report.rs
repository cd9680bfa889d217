//! The report of SMTP configurations as HTML.

use domain::{
    actor::Permission,
    page::{PAGE_SIZE, PageRequest},
    smtp::Smtp,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    context::{self, actor, service},
    error::UserError,
    served::list::List,
    ui::icon::Icon,
};

fn may(permission: Permission) -> bool {
    context::user().is_some_and(|it| it.role.may(permission))
}

/// One page of those that have this in their name.
pub async fn load(search: String, page: u32) -> Result<AnyView, UserError> {
    let found = service()?.smtp().list(&actor()?, &search, PageRequest::new(page, PAGE_SIZE)).await?;
    let all = context::words();
    let (own, accounts) = (&all.smtp, &all.accounts);
    let new = may(Permission::Write).then(|| (format!("{PATH}/new"), all.common.new));
    let list = List {
        path: PATH,
        title: own.title,
        heads: vec![
            accounts.id,
            accounts.name,
            own.sender,
            accounts.address,
            accounts.port,
            accounts.secure_connection,
            accounts.connection_type,
            own.default,
            accounts.status,
            all.common.actions,
        ],
        search,
        empty: (all.lists.no_smtp, all.lists.no_smtp_hint, new),
    };
    Ok(list.show(found, |smtp| view! { <Row smtp/> }))
}

#[component]
fn Row(smtp: Smtp) -> impl IntoView {
    let words = context::words();
    let Smtp { id, draft, .. } = smtp;
    let destination = draft.destination;
    let name_id = format!("smtp-{id}");
    let yes_no = |it: bool| if it { words.common.yes } else { words.common.no };
    let kind = destination.security.kind();
    let is_secure = kind.is_some();
    let kind = kind.map_or_else(|| "\u{2013}".to_owned(), str::to_uppercase);
    let skips = destination.security.skips_certificate().then(|| {
        let mark = words.accounts.skips_mark;
        view! { <span class="state warn mark" title=mark><Icon name="alert"/><span class="visually-hidden">{mark}</span></span> }
    });
    let status = if draft.enabled { words.accounts.enabled_status } else { words.accounts.disabled_status };
    let test = may(Permission::Action).then(|| {
        view! {
            <a class="button compact" href=format!("{PATH}/{id}/test") aria-describedby=name_id.clone()>
                <Icon name="check"/>{words.smtp.test}
            </a>
        }
    });
    view! {
        <td class="number">{id.to_string()}</td>
        <th scope="row" id=name_id.clone()><a href=format!("{PATH}/{id}")><bdi>{draft.name}</bdi></a></th>
        <td><bdi>{draft.sender.to_string()}</bdi></td>
        <td class="mono">{destination.address.to_string()}</td>
        <td class="number">{destination.port.to_string()}</td>
        <td>{yes_no(is_secure)}</td>
        <td class:muted=!is_secure>{kind}{skips}</td>
        <td>{yes_no(draft.is_default)}</td>
        <td class:muted=!draft.enabled>{status}</td>
        <td class="row-actions">
            <a class="button compact" href=format!("{PATH}/{id}") aria-describedby=name_id>
                <Icon name="pencil"/>{words.lists.edit_smtp}
            </a>
            {test}
        </td>
    }
}
