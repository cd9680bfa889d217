//! The report of schedules as HTML.

use domain::{
    page::{PAGE_SIZE, PageRequest},
    schedule::ScheduleRow,
};
use leptos::prelude::*;

use super::{PATH, runs::Outcome, wording};
use crate::{
    accounts,
    context::{self, actor, service},
    error::UserError,
    served::list::List,
    ui::icon::Icon,
};

/// One page of those that have this in their name.
pub async fn load(search: String, page: u32) -> Result<AnyView, UserError> {
    let service = service()?;
    let schedules = service.schedules();
    let found = schedules.list(&actor()?, &search, PageRequest::new(page, PAGE_SIZE)).await?;
    let all = context::words();
    let (own, lists) = (&all.schedules, &all.lists);
    let list = List {
        path: PATH,
        title: all.shell.schedules,
        heads: vec![
            all.accounts.name,
            own.when,
            own.accounts,
            own.formats,
            own.recipients,
            lists.next_run,
            lists.last_result,
            all.common.actions,
        ],
        search,
        empty: (lists.no_schedules, lists.no_schedules_hint, Some((accounts::PATH.to_owned(), all.accounts.title))),
    };
    let rows = found.map(|row| {
        let local = |at| schedules.local(&row.schedule.draft.timing.zone, at);
        let next = row.schedule.next_run_at.map(local);
        let ran = row.last_run.as_ref().map(|it| local(it.started_at));
        (row, next, ran)
    });
    Ok(list.show(rows, |(row, next, ran)| view! { <Row row next ran/> }))
}

/// `next` and `ran` are times of the schedule's zone; no next one while it is paused.
#[component]
fn Row(row: ScheduleRow, next: Option<String>, ran: Option<String>) -> impl IntoView {
    let words = context::words();
    let (id, draft) = (row.schedule.id, row.schedule.draft);
    let name_id = format!("schedule-{id}");
    let next = next.unwrap_or_else(|| words.schedules.paused_state.to_owned());
    let last = row.last_run.zip(ran).map(|(run, at)| view! { <Outcome outcome=run.outcome/>" "{at} });
    let formats: Vec<_> = draft.formats.iter().map(|it| it.label()).collect();
    let report = format!("{}?{}", accounts::PATH, draft.query.to_query_string());
    view! {
        <th scope="row" id=name_id.clone()><a href=format!("{PATH}/{id}/runs")><bdi>{draft.name}</bdi></a></th>
        <td>{wording::timing(&draft.timing, words)}</td>
        <td><a href=report><bdi>{wording::query(&draft.query, words)}</bdi></a></td>
        <td>{formats.join(", ")}</td>
        <td class="number">{draft.recipients.len().to_string()}</td>
        <td>{next}</td>
        <td>{last}</td>
        <td class="row-actions">
            <a class="button compact" href=format!("{PATH}/{id}") aria-describedby=name_id.clone()>
                <Icon name="pencil"/>{words.schedules.edit}
            </a>
            <a class="button compact" href=format!("{PATH}/{id}/runs") aria-describedby=name_id>{words.schedules.history}</a>
        </td>
    }
}
