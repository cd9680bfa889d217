//! The report of network connectors.

use domain::{
    connector::Connector,
    page::{Page as PageOf, PageRequest},
    query,
    time::Timestamp,
};
use leptos::prelude::*;
use leptos_router::{components::Form, hooks::use_query_map};

use super::{
    PATH,
    api::{ReportAnswer, list_connectors},
    contact::ContactLine,
    may_act,
};
use crate::{
    context,
    ui::{
        icon::Icon,
        notice::{Empty, Failure},
        page::Page,
        pager::Pager,
    },
};

/// Reads the URL, asks the server, hands plain data to the table.
#[component]
pub fn ReportPage() -> impl IntoView {
    let words = &context::words().connectors;
    let params = use_query_map();
    let search = Memo::new(move |_| params.read().get("name").unwrap_or_default().trim().to_owned());
    let request = Memo::new(move |_| {
        let mut request = PageRequest::default();
        _ = params.read().get("page").is_some_and(|it| query::page(&mut request, &it));
        request
    });
    let wanted = Memo::new(move |_| (search.get(), request.get()));
    let answer = Resource::new(move || wanted.get(), |(search, page)| list_connectors(search, page));
    view! {
        <Page title=words.title tools=move || view! { <a class="button primary" href=format!("{PATH}/new")>{words.create}</a> }>
            <Form method="GET" action=PATH attr:class="filters" attr:role="search">
                <div class="field">
                    <label for="name">{words.name}</label>
                    <input type="search" id="name" name="name" value=search prop:value=search autocomplete="off"/>
                </div>
                <button class="button" type="submit">{words.search}</button>
            </Form>
            <Transition fallback=|| view! { <p aria-busy="true">{context::words().common.loading}</p> }>
                {move || {
                    let search = search.get();
                    Suspend::new(async move {
                        match answer.await {
                            Ok(ReportAnswer { page, now }) => view! { <Rows search page now/> }.into_any(),
                            Err(error) => view! { <Failure error/> }.into_any(),
                        }
                    })
                }}
            </Transition>
        </Page>
    }
}

/// One page of connectors.
#[component]
fn Rows(search: String, page: PageOf<Connector>, now: Timestamp) -> impl IntoView {
    let words = &context::words().connectors;
    if page.items.is_empty() && search.is_empty() {
        return view! {
            <Empty title=words.empty_title hint=words.empty_hint>
                <a class="button primary" href=format!("{PATH}/new")>{words.new_title}</a>
            </Empty>
        }
        .into_any();
    }
    if page.items.is_empty() {
        return view! {
            <Empty title=words.no_match_title hint=words.no_match_hint><a href=PATH>{words.clear}</a></Empty>
        }
        .into_any();
    }
    let place = (&page).into();
    let link = move |number: u32| {
        let pairs = [("name", search.clone()), ("page", number.to_string())];
        format!("{PATH}?{}", query::encode(&pairs))
    };
    let heads =
        [words.id, words.name, words.kind, words.address, words.port, words.last_contact, words.used_by, words.actions];
    view! {
        <div class="table-region" role="region" aria-label=words.title tabindex="0">
            <table>
                <caption class="visually-hidden">{words.title}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{page.items.into_iter().map(|it| view! { <Row connector=it now/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager place link/>
    }
    .into_any()
}

#[component]
fn Row(connector: Connector, now: Timestamp) -> impl IntoView {
    let words = &context::words().connectors;
    let Connector { id, draft, n_uses, contact, .. } = connector;
    let name_id = format!("connector-{id}");
    let uses = if n_uses == 0 { words.unused.to_owned() } else { words.uses(n_uses) };
    let test = may_act().then(|| {
        view! { <a class="button compact" href=format!("{PATH}/{id}/test") aria-describedby=name_id.clone()><Icon name="check"/>{words.test}</a> }
    });
    view! {
        <tr>
            <td>{id.to_string()}</td>
            <th scope="row" id=name_id.clone()><bdi>{draft.name}</bdi></th>
            <td>{draft.kind.label()}</td>
            <td class="mono">{draft.address.to_string()}</td>
            <td>{(draft.port > 0).then(|| draft.port.to_string())}</td>
            <td class="prose"><ContactLine contact now/></td>
            <td>{uses}</td>
            <td class="row-actions">
                <a class="button compact" href=format!("{PATH}/{id}") aria-describedby=name_id.clone()><Icon name="pencil"/>{words.edit}</a>
                {test}
            </td>
        </tr>
    }
}
