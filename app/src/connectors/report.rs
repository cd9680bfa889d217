//! The report of network connectors as HTML.

use domain::{
    connector::Connector,
    page::{PAGE_SIZE, PageRequest},
    time::Timestamp,
};
use leptos::prelude::*;

use super::{PATH, contact::ContactLine, may_act};
use crate::{
    context::{self, actor, service},
    error::UserError,
    served::list::List,
    ui::icon::Icon,
};

/// One page of those that have this in their name.
pub async fn load(search: String, page: u32) -> Result<AnyView, UserError> {
    let (service, now) = (service()?, service()?.now());
    let found = service.connectors().list(&actor()?, &search, PageRequest::new(page, PAGE_SIZE)).await?;
    let all = context::words();
    let (own, lists, accounts) = (&all.connectors, &all.lists, &all.accounts);
    let list = List {
        path: PATH,
        title: own.title,
        heads: vec![
            accounts.id,
            accounts.name,
            own.kind,
            own.address,
            own.port,
            lists.last_contact,
            own.used_by,
            all.common.actions,
        ],
        search,
        empty: (lists.no_connectors, lists.no_connectors_hint, Some((format!("{PATH}/new"), own.new_title))),
    };
    Ok(list.show(found, move |connector| view! { <Row connector now/> }))
}

#[component]
fn Row(connector: Connector, now: Timestamp) -> impl IntoView {
    let words = context::words();
    let Connector { id, draft, n_uses, contact, .. } = connector;
    let name_id = format!("connector-{id}");
    let uses = if n_uses == 0 { words.lists.unused.to_owned() } else { words.lists.uses_accounts(n_uses) };
    let test = may_act().then(|| {
        view! {
            <a class="button compact" href=format!("{PATH}/{id}/test") aria-describedby=name_id.clone()>
                <Icon name="check"/>{words.connectors.test}
            </a>
        }
    });
    view! {
        <td>{id.to_string()}</td>
        <th scope="row" id=name_id.clone()><bdi>{draft.name}</bdi></th>
        <td>{draft.kind.label()}</td>
        <td class="mono">{draft.address.to_string()}</td>
        <td>{(draft.port > 0).then(|| draft.port.to_string())}</td>
        <td class="prose"><ContactLine contact now/></td>
        <td>{uses}</td>
        <td class="row-actions">
            <a class="button compact" href=format!("{PATH}/{id}") aria-describedby=name_id.clone()>
                <Icon name="pencil"/>{words.lists.edit_connector}
            </a>
            {test}
        </td>
    }
}
