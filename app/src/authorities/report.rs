//! The report of certificate authorities as HTML.

use domain::{
    actor::Permission,
    authority::AuthorityRow,
    page::{PAGE_SIZE, PageRequest},
    query,
    time::Timestamp,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    context::{self, actor, service},
    credentials::used::day,
    error::UserError,
    inbox::text::plain,
    ui::{icon::Icon, notice::Empty, pager::Pager},
};

/// One page of those that have this in their name or subject.
pub async fn load(search: &str, page: u32) -> Result<AnyView, UserError> {
    let (service, now) = (service()?, service()?.now());
    let page = service.authorities().list(&actor()?, search.trim(), PageRequest::new(page, PAGE_SIZE)).await?;
    let all = context::words();
    let words = &all.authorities;
    let may_write = context::user().is_some_and(|it| it.role.may(Permission::Write));
    let new =
        move || may_write.then(|| view! { <a class="button primary" href=format!("{PATH}/new")>{all.common.new}</a> });
    let search = search.to_owned();
    let filters = view! {
        <form method="get" action=PATH class="filters" role="search">
            <div class="field">
                <label for="name">{all.accounts.name}</label>
                <input type="search" id="name" name="name" value=search.clone() autocomplete="off"/>
            </div>
            <button class="button" type="submit">{all.common.search}</button>
            {new()}
        </form>
    };
    if page.items.is_empty() {
        let found = if search.is_empty() {
            view! { <Empty title=words.empty hint=words.empty_hint>{new()}</Empty> }.into_any()
        } else {
            let (title, hint) = (all.common.no_matches, all.common.no_matches_hint);
            view! { <Empty title hint><a href=PATH>{all.common.clear_filters}</a></Empty> }.into_any()
        };
        return Ok(view! { {filters}{found} }.into_any());
    }
    let place = (&page).into();
    let link = move |number: u32| {
        let pairs = [("name", search.clone()), ("page", number.to_string())];
        format!("{PATH}?{}", query::encode(&pairs))
    };
    let it = &all.accounts;
    let heads = [it.id, it.name, words.subject, words.expires, words.used_by, all.common.actions];
    let table = view! {
        <div class="table-region" role="region" aria-label=all.shell.authorities tabindex="0">
            <table>
                <caption class="visually-hidden">{all.shell.authorities}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{page.items.into_iter().map(|row| view! { <Row row now/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager place link/>
    };
    Ok(view! { {filters}{table} }.into_any())
}

#[component]
fn Row(row: AuthorityRow, now: Timestamp) -> impl IntoView {
    let words = &context::words().authorities;
    let AuthorityRow { id, name, facts, n_uses, .. } = row;
    let name_id = format!("authority-{id}");
    let expired = (facts.expires_at < now).then(|| view! { " "<span class="state warn">{words.expired}</span> });
    view! {
        <tr>
            <td class="number">{id.to_string()}</td>
            <th scope="row" id=name_id.clone()><a href=format!("{PATH}/{id}")><bdi>{name}</bdi></a></th>
            <td><bdi>{plain(&facts.subject)}</bdi></td>
            <td><time datetime=facts.expires_at.to_string()>{day(facts.expires_at)}</time>{expired}</td>
            <td class="number">{n_uses.to_string()}</td>
            <td class="row-actions">
                <a class="button compact" href=format!("{PATH}/{id}") aria-describedby=name_id><Icon name="pencil"/>{words.edit}</a>
            </td>
        </tr>
    }
}
