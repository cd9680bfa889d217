//! The report of SMTP configurations.

use domain::{
    actor::Permission,
    page::{Page as PageOf, PageRequest},
    query,
};
use leptos::prelude::*;
use leptos_router::{components::Form, hooks::use_query_map};

use super::{
    PATH,
    api::{SmtpLine, list_smtp},
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

fn may(permission: Permission) -> bool {
    context::user().is_some_and(|it| it.role.may(permission))
}

/// Reads the URL, asks the server, hands plain data to the table.
#[component]
pub fn ReportPage() -> impl IntoView {
    let words = context::words();
    let params = use_query_map();
    let search = Memo::new(move |_| params.read().get("name").unwrap_or_default().trim().to_owned());
    let request = Memo::new(move |_| {
        let mut request = PageRequest::default();
        _ = params.read().get("page").is_some_and(|it| query::page(&mut request, &it));
        request
    });
    let wanted = Memo::new(move |_| (search.get(), request.get()));
    let answer = Resource::new(move || wanted.get(), |(search, page)| list_smtp(search, page));
    let new = move || {
        may(Permission::Write)
            .then(|| view! { <a class="button primary" href=format!("{PATH}/new")>{words.common.new}</a> })
    };
    view! {
        <Page title=words.smtp.title tools=new>
            <Form method="GET" action=PATH attr:class="filters" attr:role="search">
                <div class="field">
                    <label for="name">{words.accounts.name}</label>
                    <input type="search" id="name" name="name" value=search prop:value=search autocomplete="off"/>
                </div>
                <button class="button" type="submit">{words.common.search}</button>
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

/// One page of configurations.
#[component]
fn Rows(search: String, page: PageOf<SmtpLine>) -> impl IntoView {
    let words = context::words();
    if page.items.is_empty() && search.is_empty() {
        return view! {
            <Empty title=words.smtp.empty hint=words.smtp.empty_hint>
                {may(Permission::Write).then(|| view! { <a class="button primary" href=format!("{PATH}/new")>{words.common.new}</a> })}
            </Empty>
        }
        .into_any();
    }
    if page.items.is_empty() {
        return view! {
            <Empty title=words.common.no_matches hint=words.common.no_matches_hint><a href=PATH>{words.common.clear_filters}</a></Empty>
        }
        .into_any();
    }
    let place = (&page).into();
    let link = move |number: u32| {
        let pairs = [("name", search.clone()), ("page", number.to_string())];
        format!("{PATH}?{}", query::encode(&pairs))
    };
    let it = &words.accounts;
    let heads = [
        it.id,
        it.name,
        words.smtp.sender,
        it.address,
        it.port,
        it.secure_connection,
        it.connection_type,
        words.smtp.default,
        it.status,
        words.common.actions,
    ];
    view! {
        <div class="table-region" role="region" aria-label=words.smtp.title tabindex="0">
            <table>
                <caption class="visually-hidden">{words.smtp.title}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{page.items.into_iter().map(|it| view! { <Row smtp=it/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager place link/>
    }
    .into_any()
}

#[component]
fn Row(smtp: SmtpLine) -> impl IntoView {
    let words = context::words();
    let SmtpLine { id, name, sender, address, port, security, skips_certificate, is_default, is_enabled } = smtp;
    let name_id = format!("smtp-{id}");
    let yes_no = |it: bool| if it { words.common.yes } else { words.common.no };
    let is_secure = !security.is_empty();
    let kind = if is_secure { security.to_uppercase() } else { "\u{2013}".to_owned() };
    let skips = skips_certificate.then(|| {
        view! {
            <span class="state warn mark" title=words.accounts.skips_mark><Icon name="alert"/><span class="visually-hidden">{words.accounts.skips_mark}</span></span>
        }
    });
    let status = if is_enabled { words.accounts.enabled_status } else { words.accounts.disabled_status };
    let test = may(Permission::Action).then(|| {
        view! { <a class="button compact" href=format!("{PATH}/{id}/test") aria-describedby=name_id.clone()><Icon name="check"/>{words.smtp.test}</a> }
    });
    view! {
        <tr>
            <td class="number">{id.to_string()}</td>
            <th scope="row" id=name_id.clone()><a href=format!("{PATH}/{id}")><bdi>{name}</bdi></a></th>
            <td>{sender}</td>
            <td class="mono">{address}</td>
            <td class="number">{port.to_string()}</td>
            <td>{yes_no(is_secure)}</td>
            <td class:muted=!is_secure>{kind}{skips}</td>
            <td>{yes_no(is_default)}</td>
            <td class:muted=!is_enabled>{status}</td>
            <td class="row-actions">
                <a class="button compact" href=format!("{PATH}/{id}") aria-describedby=name_id><Icon name="pencil"/>{words.smtp.edit}</a>
                {test}
            </td>
        </tr>
    }
}
