//! The report of schedules.

use domain::{
    actor::Permission,
    page::{Page as PageOf, PageRequest},
    query,
};
use leptos::prelude::*;
use leptos_router::{components::Form, hooks::use_query_map};

use super::{
    PATH,
    api::{ScheduleLine, list_schedules},
    runs::Outcome,
};
use crate::{
    accounts, context,
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
    let words = context::words();
    let params = use_query_map();
    let search = Memo::new(move |_| params.read().get("name").unwrap_or_default().trim().to_owned());
    let request = Memo::new(move |_| {
        let mut request = PageRequest::default();
        _ = params.read().get("page").is_some_and(|it| query::page(&mut request, &it));
        request
    });
    let wanted = Memo::new(move |_| (search.get(), request.get()));
    let answer = Resource::new(move || wanted.get(), |(search, page)| list_schedules(search, page));
    let new = move || {
        let may_write = context::user().is_some_and(|it| it.role.may(Permission::Write));
        may_write.then(|| view! { <a class="button primary" href=format!("{PATH}/new")>{words.common.new}</a> })
    };
    view! {
        <Page title=words.shell.schedules tools=new>
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

/// One page of schedules.
#[component]
fn Rows(search: String, page: PageOf<ScheduleLine>) -> impl IntoView {
    let words = context::words();
    let own = &words.schedules;
    if page.items.is_empty() && search.is_empty() {
        return view! {
            <Empty title=own.empty hint=own.empty_hint><a class="button" href=accounts::PATH>{words.accounts.title}</a></Empty>
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
    let heads = [
        words.accounts.name,
        own.when,
        own.accounts,
        own.formats,
        own.recipients,
        own.next_run,
        own.last_result,
        words.common.actions,
    ];
    view! {
        <div class="table-region" role="region" aria-label=words.shell.schedules tabindex="0">
            <table>
                <caption class="visually-hidden">{words.shell.schedules}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{page.items.into_iter().map(|line| view! { <Row line/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager place link/>
    }
    .into_any()
}

#[component]
fn Row(line: ScheduleLine) -> impl IntoView {
    let words = context::words();
    let ScheduleLine { id, name, when, accounts, formats, n_recipients, next_run, last_run } = line;
    let name_id = format!("schedule-{id}");
    let next = next_run.unwrap_or_else(|| words.schedules.paused_state.to_owned());
    let last = last_run.map(|(outcome, at)| view! { <Outcome outcome/>" "{at} });
    let (which, query) = accounts;
    let report = format!("{}?{query}", accounts::PATH);
    view! {
        <tr>
            <th scope="row" id=name_id.clone()><a href=format!("{PATH}/{id}/runs")><bdi>{name}</bdi></a></th>
            <td>{when}</td>
            <td><a href=report><bdi>{which}</bdi></a></td>
            <td>{formats}</td>
            <td class="number">{n_recipients.to_string()}</td>
            <td>{next}</td>
            <td>{last}</td>
            <td class="row-actions">
                <a class="button compact" href=format!("{PATH}/{id}") aria-describedby=name_id.clone()><Icon name="pencil"/>{words.schedules.edit}</a>
                <a class="button compact" href=format!("{PATH}/{id}/runs") aria-describedby=name_id>{words.schedules.history}</a>
            </td>
        </tr>
    }
}
