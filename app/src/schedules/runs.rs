//! A schedule's history: each run with its files and what became of every mail.

use domain::{
    actor::Permission,
    ids::ScheduleId,
    page::{Page as PageOf, PageRequest},
    query,
    schedule::{DeliveryState, Format, RunOutcome},
};
use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

use super::{
    PATH,
    api::{MailLine, RunLine, RunsAnswer, load_runs},
    wording,
};
use crate::{
    context,
    credentials::used::id_in_path,
    inbox::text::plain,
    ui::{icon::Icon, notice::Failure, page::Page, pager::Pager},
};

/// How often a page looks again while a run goes on.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(2);
/// How often it looks, five times as slowly, while none does.
const IDLE_LOOKS: u32 = 12;

#[component]
pub fn RunsPage() -> impl IntoView {
    let words = context::words();
    let (params, query) = (use_params_map(), use_query_map());
    let wanted = Memo::new(move |_| {
        let mut request = PageRequest::default();
        _ = query.read().get("page").is_some_and(|it| query::page(&mut request, &it));
        (id_in_path(params.read().get("id")).unwrap_or(ScheduleId(0)), request)
    });
    let answer = Resource::new(move || wanted.get(), |(id, page)| load_runs(id, page));
    // Effects run in the browser only. A run that goes on is followed closely; one that begins by itself shows up too, for a
    // while: a page that is left open must not keep its session alive.
    let n_idle = StoredValue::new(0);
    Effect::new(move |_| {
        let is_open = |it: &RunLine| it.outcome == RunOutcome::Running;
        let is_running = matches!(&*answer.read(), Some(Ok(found)) if found.runs.items.iter().any(is_open));
        let pause = if is_running { LOOK_EVERY } else { LOOK_EVERY * 5 };
        n_idle.update_value(|it| *it = if is_running { 0 } else { *it + 1 });
        if n_idle.get_value() <= IDLE_LOOKS
            && let Ok(look) = set_timeout_with_handle(move || answer.refetch(), pause)
        {
            on_cleanup(move || look.clear());
        }
    });
    view! {
        <Page title=words.schedules.history>
            <Transition fallback=|| view! { <p aria-busy="true">{context::words().common.loading}</p> }>
                {move || Suspend::new(async move {
                    match answer.await {
                        Ok(answer) => view! { <History answer/> }.into_any(),
                        Err(error) => view! { <Failure error/> }.into_any(),
                    }
                })}
            </Transition>
        </Page>
    }
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
fn Runs(id: ScheduleId, runs: PageOf<RunLine>) -> impl IntoView {
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

/// An outcome, never by colour alone.
#[component]
pub fn Outcome(outcome: RunOutcome) -> impl IntoView {
    let (class, icon) = match outcome {
        RunOutcome::Sent | RunOutcome::Unchanged => ("state ok", Some("check")),
        RunOutcome::Partial => ("state warn", Some("alert")),
        RunOutcome::Failed => ("state bad", Some("alert")),
        RunOutcome::Running => ("state", None),
    };
    view! { <span class=class>{icon.map(|name| view! { <Icon name/> })}{wording::outcome(outcome, context::words())}</span> }
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
