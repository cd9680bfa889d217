//! The report: filters, rows, pager. Filter, sort and page live in the URL.

use domain::{
    account::{AccountColumn, AccountQuery, AccountRow, AccountSort},
    actor::Permission,
    time::Timestamp,
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::{
    PATH,
    api::{ReportAnswer, list_accounts},
    filters::Filters,
    health::HealthCell,
};
use crate::{
    context,
    ui::{
        icon::Icon,
        menu::MenuButton,
        notice::{Empty, Failure},
        page::Page,
        pager::{Pager, Place},
        table::{Heading, Report},
    },
};

/// The address of a view of the report.
pub fn address(query: &AccountQuery) -> String {
    let query = query.to_query_string();
    if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
}

/// Reads the address bar, asks the server, hands plain data to the table.
#[component]
pub fn ReportPage() -> impl IntoView {
    let words = context::words();
    let params = use_query_map();
    let parsed = Memo::new(move |_| {
        let params = params.read();
        let pairs: Vec<(String, String)> =
            params.clone().into_iter().map(|(key, value)| (key.into_owned(), value)).collect();
        AccountQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    });
    let query = Memo::new(move |_| parsed.get().0);
    let ignored = move || parsed.get().1.join(", ");
    let answer = Resource::new(move || query.get(), list_accounts);
    let is_open_by_url = params.with_untracked(|it| it.get("more").is_some());
    let may_write = context::user().is_some_and(|it| it.role.may(Permission::Write));
    let tools = move || view! { <Tools query may_write/> };
    view! {
        <Page title=words.accounts.title tools>
            <Filters query is_open_by_url/>
            {move || (!ignored().is_empty()).then(|| view! { <p class="note">{words.common.ignored(ignored())}</p> })}
            <Transition fallback=move || view! { <p class="loading" role="status">{words.common.loading}</p> }>
                {move || Suspend::new(async move {
                    match answer.await {
                        Ok(answer) => view! { <Rows answer query=query.get_untracked() may_write/> }.into_any(),
                        Err(error) => view! {
                            <Failure error/>
                            <button type="button" class="button" on:click=move |_| answer.refetch()>{words.common.try_again}</button>
                        }.into_any(),
                    }
                })}
            </Transition>
        </Page>
    }
}

/// New, and the Actions menu.
#[component]
fn Tools(query: Memo<AccountQuery>, may_write: bool) -> impl IntoView {
    let words = context::words();
    let link = move |path: &str| {
        let query = AccountQuery { page: domain::page::PageRequest::default(), ..query.get() }.to_query_string();
        if query.is_empty() { format!("{PATH}/{path}") } else { format!("{PATH}/{path}?{query}") }
    };
    let schedule = move || {
        let query = AccountQuery { page: domain::page::PageRequest::default(), ..query.get() }.to_query_string();
        format!("{}/new?{query}", crate::schedules::PATH)
    };
    view! {
        {may_write.then(|| view! {
            <a class="button" href=crate::discovery::PATH>{words.accounts.find_settings}</a>
            <a class="button primary" href=format!("{PATH}/new")>{words.common.new}</a>
        })}
        <MenuButton id="report-actions" label=words.common.actions>
            <a role="menuitem" rel="external" target="_blank" href=move || link("print")>{words.accounts.print_report}</a>
            <a role="menuitem" rel="external" href=move || link("export.csv")>{words.accounts.export_csv}</a>
            {may_write.then(|| view! { <a role="menuitem" href=schedule>{words.accounts.schedule_report}</a> })}
        </MenuButton>
        <a class="quiet" href=format!("{PATH}/deleted")>{words.accounts.deleted_accounts}</a>
    }
}

/// One page of accounts, or why there is none. Knows nothing of URLs beyond its links.
#[component]
fn Rows(answer: ReportAnswer, query: AccountQuery, may_write: bool) -> impl IntoView {
    let words = context::words();
    let ReportAnswer { page, any, now } = answer;
    if !any {
        return view! {
            <Empty title=words.accounts.empty hint=words.accounts.empty_hint>
                {may_write.then(|| view! { <a class="button primary" href=format!("{PATH}/new")>{words.common.new}</a> })}
            </Empty>
        }
        .into_any();
    }
    if page.items.is_empty() {
        return view! {
            <Empty title=words.common.no_matches hint=words.common.no_matches_hint>
                <a class="button" href=PATH>{words.common.clear_filters}</a>
            </Empty>
        }
        .into_any();
    }
    let place = Place::from(&page);
    let headings = AccountColumn::ALL.map(|it| heading(it, &query)).to_vec();
    let may_query = context::user().is_some_and(|it| it.role.may(Permission::Query));
    let rows = page.items.into_iter().map(|row| view! { <Row row now may_query/> }).collect_view();
    let link = move |page| {
        let mut query = query.clone();
        query.page.page = page;
        address(&query)
    };
    view! {
        <Report caption=words.accounts.title headings>{rows}</Report>
        <Pager place link/>
    }
    .into_any()
}

/// The words of a column's heading.
pub fn column_label(column: AccountColumn, words: &words::Words) -> &'static str {
    let words = &words.accounts;
    match column {
        AccountColumn::Id => words.id,
        AccountColumn::Name => words.name,
        AccountColumn::SecureConnection => words.secure_connection,
        AccountColumn::ConnectionType => words.connection_type,
        AccountColumn::Protocol => words.protocol,
        AccountColumn::Port => words.port,
        AccountColumn::AutomaticCheck => words.automatic_check,
        AccountColumn::KeepCopy => words.keep_copy_column,
        AccountColumn::Status => words.status,
        AccountColumn::Health => words.health,
    }
}

fn heading(column: AccountColumn, query: &AccountQuery) -> Heading {
    let is_sorted = query.sort.column == column;
    let direction = if query.sort.descending { "descending" } else { "ascending" };
    let sort = AccountSort { column, descending: is_sorted && !query.sort.descending };
    let mut next = AccountQuery { sort, ..query.clone() };
    next.page.page = 1;
    Heading {
        label: column_label(column, context::words()),
        href: address(&next),
        sorted: is_sorted.then_some(direction),
    }
}

#[component]
fn Row(row: AccountRow, now: Timestamp, may_query: bool) -> impl IntoView {
    let words = context::words();
    let yes_no = |it: bool| {
        if it {
            view! { <td>{words.common.yes}</td> }.into_any()
        } else {
            view! { <td class="muted">{words.common.no}</td> }.into_any()
        }
    };
    let kind = match row.security.kind() {
        Some(kind) => view! { <td>{kind.to_uppercase()}{row.security.skips_certificate().then(|| view! {
            <span class="state warn mark" title=words.accounts.skips_mark><Icon name="alert"/><span class="visually-hidden">{words.accounts.skips_mark}</span></span>
        })}</td> }.into_any(),
        None => view! { <td class="muted"><span aria-hidden="true">"\u{2013}"</span><span class="visually-hidden">{words.common.none}</span></td> }.into_any(),
    };
    let status = if row.enabled { words.accounts.enabled_status } else { words.accounts.disabled_status };
    let form = format!("{PATH}/{}", row.id);
    let inbox = format!("{form}/inbox");
    let name_id = format!("account-{}", row.id);
    view! {
        <tr>
            <td class="number">{row.id.0}</td>
            <th scope="row" id=name_id.clone()><a href=form.clone()>{row.name}</a></th>
            {yes_no(row.security.is_secure())}
            {kind}
            <td>{row.protocol.label()}</td>
            <td class="number">{row.port}</td>
            {yes_no(row.automatic_check)}
            {yes_no(row.keep_copy)}
            <td class:muted=!row.enabled>{status}</td>
            <td><HealthCell health=row.health now/></td>
            <td class="row-actions">
                <a class="button compact" href=form aria-describedby=name_id.clone()><Icon name="pencil"/>{words.accounts.edit}</a>
                {may_query.then(|| view! { <a class="button compact" href=inbox aria-describedby=name_id><Icon name="inbox"/>{words.accounts.inbox}</a> })}
            </td>
        </tr>
    }
}
