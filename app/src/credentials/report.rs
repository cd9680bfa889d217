//! The report of credentials.

use domain::{
    credential::Credential,
    page::{Page as PageOf, PageRequest},
    query,
};
use leptos::prelude::*;
use leptos_router::{components::Form, hooks::use_query_map};

use super::{PATH, api::list_credentials, used::day};
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
    let words = &context::words().credentials;
    let params = use_query_map();
    let search = Memo::new(move |_| params.read().get("name").unwrap_or_default().trim().to_owned());
    let request = Memo::new(move |_| {
        let mut request = PageRequest::default();
        _ = params.read().get("page").is_some_and(|it| query::page(&mut request, &it));
        request
    });
    let wanted = Memo::new(move |_| (search.get(), request.get()));
    let answer = Resource::new(move || wanted.get(), |(search, page)| list_credentials(search, page));
    view! {
        <Page title=words.title tools=move || view! {
            <a class="button" href=format!("{}/new", crate::oauth::PATH)>{words.create_oauth}</a>
            <a class="button primary" href=format!("{PATH}/new")>{words.create}</a>
        }>
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
                            Ok(page) => view! { <Rows search page/> }.into_any(),
                            Err(error) => view! { <Failure error/> }.into_any(),
                        }
                    })
                }}
            </Transition>
        </Page>
    }
}

/// One page of credentials.
#[component]
fn Rows(search: String, page: PageOf<Credential>) -> impl IntoView {
    let words = &context::words().credentials;
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
    let heads = [words.id, words.name, words.username, words.secret, words.used_by, words.actions];
    view! {
        <div class="table-region" role="region" aria-label=words.title tabindex="0">
            <table>
                <caption class="visually-hidden">{words.title}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{page.items.into_iter().map(|it| view! { <Row credential=it/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager place link/>
    }
    .into_any()
}

#[component]
fn Row(credential: Credential) -> impl IntoView {
    let words = &context::words().credentials;
    let id = credential.id;
    let name_id = format!("credential-{id}");
    let href = if credential.is_oauth { format!("{}/{id}", crate::oauth::PATH) } else { format!("{PATH}/{id}") };
    let uses = if credential.n_uses == 0 { words.unused.to_owned() } else { words.uses(credential.n_uses) };
    view! {
        <tr>
            <td>{id.to_string()}</td>
            <th scope="row" id=name_id.clone()><bdi>{credential.name}</bdi></th>
            <td><bdi>{credential.username}</bdi></td>
            <td>{words.secret_set(day(credential.secret_set_at), credential.secret_set_by)}</td>
            <td>{uses}</td>
            <td><a href=href aria-describedby=name_id><Icon name="pencil"/>{words.edit}</a></td>
        </tr>
    }
}
