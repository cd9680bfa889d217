//! A schedule's history as HTML: each run with its files and what became of every mail.

use domain::{
    actor::Permission,
    ids::{DeliveryId, ReportRunId, ScheduleId},
    page::{PAGE_SIZE, Page, PageRequest},
    schedule::{DeliveryState, Format, RunOutcome},
};
use leptos::prelude::*;

use super::{PATH, runs::Outcome, wording};
use crate::{
    context::{self, actor, service, words},
    error::UserError,
    inbox::text::plain,
    ui::pager::Pager,
};

/// What became of one mail.
#[derive(Debug)]
struct MailLine {
    id: DeliveryId,
    recipient: String,
    state: DeliveryState,
    /// When its state was written, how often it was tried, and when it is tried again.
    when: String,
    detail: String,
}

/// A run.
#[derive(Debug)]
struct RunLine {
    id: ReportRunId,
    due_at: String,
    outcome: RunOutcome,
    asked_by: Option<String>,
    n_rows: Option<u64>,
    n_changes: Option<u64>,
    detail: String,
    files: Vec<Format>,
    mails: Vec<MailLine>,
}

/// A schedule's history.
#[derive(Debug)]
struct RunsAnswer {
    id: ScheduleId,
    version: i64,
    name: String,
    is_enabled: bool,
    /// When, which accounts, to whom.
    sentences: Vec<String>,
    runs: Page<RunLine>,
}

/// One page of its runs.
pub async fn load(id: ScheduleId, page: u32) -> Result<AnyView, UserError> {
    let page = PageRequest::new(page, PAGE_SIZE);
    let (service, actor, words) = (service()?, actor()?, words());
    let schedules = service.schedules();
    let schedule = schedules.load(&actor, id).await?;
    let draft = schedule.draft;
    let local = |at| schedules.local(&draft.timing.zone, at);
    let next = schedule
        .next_run_at
        .map_or_else(|| words.schedules.paused_state.to_owned(), |at| words.schedules.next_at(local(at)));
    let recipients: Vec<_> = draft.recipients.iter().map(ToString::to_string).collect();
    let mail = |it: domain::schedule::Delivery| MailLine {
        when: wording::mail_times(&it, local, words),
        id: it.id,
        recipient: it.recipient,
        state: it.state,
        detail: it.detail,
    };
    let runs = schedules.runs(&actor, id, page).await?.map(|run| RunLine {
        id: run.id,
        due_at: local(run.due_at),
        outcome: run.outcome,
        asked_by: run.asked_by,
        n_rows: run.n_rows,
        n_changes: run.n_changes,
        detail: run.detail,
        files: run.files.iter().map(|it| it.format).collect(),
        mails: run.deliveries.into_iter().map(mail).collect(),
    });
    context::first_page_instead(&runs, &format!("{PATH}/{id}/runs"));
    let answer = RunsAnswer {
        id,
        version: schedule.version,
        is_enabled: draft.enabled,
        sentences: vec![
            format!("{}. {next}", wording::timing(&draft.timing, words)),
            wording::query(&draft.query, words),
            words.schedules.to_whom(recipients.join(", ")),
        ],
        runs,
        name: draft.name,
    };
    Ok(view! { <History answer/> }.into_any())
}

fn may(permission: Permission) -> bool {
    context::user().is_some_and(|it| it.role.may(permission))
}

#[component]
fn History(answer: RunsAnswer) -> impl IntoView {
    let words = context::words();
    let own = &words.schedules;
    let RunsAnswer { id, version, name, is_enabled, sentences, runs } = answer;
    let (path, label) = if is_enabled { ("pause", own.pause) } else { ("resume", own.resume) };
    let may_write = may(Permission::Write);
    let buttons = view! {
        <div class="buttons">
            {may(Permission::Action).then(|| view! {
                <form method="post" action=format!("{PATH}/run/{id}")><button class="button primary">{own.run_now}</button></form>
            })}
            {may_write.then(|| view! {
                <form method="post" action=format!("{PATH}/{path}/{id}")>
                    <input type="hidden" name="version" value=version.to_string()/>
                    <button class="button">{label}</button>
                </form>
                <a class="button" href=format!("{PATH}/{id}")>{own.edit}</a>
            })}
        </div>
    };
    view! {
        <h2><bdi>{name}</bdi></h2>
        {sentences.into_iter().map(|it| view! { <p><bdi>{it}</bdi></p> }).collect_view()}
        {buttons}
        <Runs id runs/>
    }
}

#[component]
fn Runs(id: ScheduleId, runs: Page<RunLine>) -> impl IntoView {
    let own = &context::words().schedules;
    if runs.items.is_empty() {
        return view! { <p>{own.no_runs}</p> }.into_any();
    }
    let place = (&runs).into();
    let link = move |number: u32| format!("{PATH}/{id}/runs?page={number}");
    let heads = [own.due, own.result, own.asked_by, own.accounts, own.changes, own.files, own.deliveries];
    view! {
        <div class="table-region" role="region" aria-label=own.history tabindex="0">
            <table class="runs">
                <caption class="visually-hidden">{own.history}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{runs.items.into_iter().map(|line| view! { <Run line/> }).collect_view()}</tbody>
            </table>
        </div>
        <Pager place link/>
    }
    .into_any()
}

#[component]
fn Run(line: RunLine) -> impl IntoView {
    let words = context::words();
    let RunLine { id, due_at, outcome, asked_by, n_rows, n_changes, detail, files, mails } = line;
    let number = |it: Option<u64>| it.map(|it| context::locale().number(it)).unwrap_or_default();
    let asked = asked_by.unwrap_or_else(|| words.schedules.by_itself.to_owned());
    let file = |format: Format| {
        view! { <a class="button compact" rel="external" href=format!("{PATH}/runs/{id}/{}", format.as_str())>{format.label()}</a>" " }
    };
    let files = files.into_iter().map(file).collect_view();
    let mails = mails.into_iter().map(|mail| {
        let path = format!("{PATH}/runs/{id}/deliveries/{}/repeat", mail.id);
        view! { <Mail mail path/> }
    });
    view! {
        <tr>
            <th scope="row">{due_at}</th>
            <td><Outcome outcome/>{(!detail.is_empty()).then(|| view! { <div class="hint"><bdi>{plain(&detail)}</bdi></div> })}</td>
            <td><bdi>{plain(&asked)}</bdi></td>
            <td class="number">{number(n_rows)}</td>
            <td class="number">{number(n_changes)}</td>
            <td>{files}</td>
            <td><ul class="deliveries">{mails.collect_view()}</ul></td>
        </tr>
    }
}

/// What became of one mail, and another try where it is known or feared to be lost.
#[component]
fn Mail(mail: MailLine, path: String) -> impl IntoView {
    let words = context::words();
    let own = &words.schedules;
    let MailLine { recipient, state, when, detail, .. } = mail;
    let is_uncertain = state == DeliveryState::Uncertain;
    let can_repeat = matches!(state, DeliveryState::Failed | DeliveryState::Uncertain) && may(Permission::Action);
    view! {
        <li>
            <bdi>{recipient}</bdi>": "<strong>{wording::state(state, words)}</strong>", "{when}
            {(!detail.is_empty()).then(|| view! { <div class="hint"><bdi>{plain(&detail)}</bdi></div> })}
            {is_uncertain.then(|| view! { <div class="hint">{own.uncertain_hint}</div> })}
            {can_repeat.then(|| view! { <form method="post" action=path><button class="button compact">{own.repeat}</button></form> })}
        </li>
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        actor::{Role, Whoami},
        ids::{DeliveryId, ReportRunId},
    };

    use super::*;

    fn shown(state: DeliveryState, role: Role) -> String {
        let hostile = || "<b>\u{202e}".to_owned();
        let mail = MailLine {
            id: DeliveryId(3),
            recipient: "ana@example.org".to_owned(),
            state,
            when: String::new(),
            detail: hostile(),
        };
        let line = RunLine {
            id: ReportRunId(2),
            due_at: String::new(),
            outcome: RunOutcome::Partial,
            asked_by: Some(hostile()),
            n_rows: None,
            n_changes: None,
            detail: hostile(),
            files: vec![Format::Csv],
            mails: vec![mail],
        };
        Owner::new().with(|| {
            provide_context(context::User(Some(Whoami { name: "ana".to_owned(), role })));
            view! { <Run line/> }.to_html()
        })
    }

    #[test]
    fn answers_of_servers_are_text() {
        let html = shown(DeliveryState::Failed, Role::Administrator);
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>") && !html.contains('\u{202e}'), "{html}");
    }

    #[test]
    fn only_what_may_be_lost_is_sent_again_and_only_by_who_may() {
        let repeat = "/runs/2/deliveries/3/repeat";
        assert!(shown(DeliveryState::Failed, Role::Administrator).contains(repeat));
        let html = shown(DeliveryState::Uncertain, Role::Administrator);
        assert!(html.contains(repeat) && html.contains("the recipient may have it"), "{html}");
        for state in [DeliveryState::Waiting, DeliveryState::Sending, DeliveryState::Sent] {
            assert!(!shown(state, Role::Administrator).contains(repeat), "{state:?}");
        }
        assert!(!shown(DeliveryState::Failed, Role::Viewer).contains(repeat));
    }
}
