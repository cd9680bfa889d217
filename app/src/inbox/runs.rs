//! The last checks of an account, with what each stage did.

use domain::{
    check::{CheckRun, StageRecord},
    ids::AccountId,
};
use leptos::prelude::*;

use super::{
    text::{When, plain},
    transcript::TranscriptLink,
    wording,
};
use crate::{context, ui::icon::Icon};

/// Collapsed until somebody wants to know.
#[component]
pub fn LastChecks(account: AccountId, runs: Vec<CheckRun>) -> impl IntoView {
    let words = &context::words().checks;
    let body = if runs.is_empty() {
        view! { <p>{words.no_checks}</p> }.into_any()
    } else {
        let rows = runs.into_iter().map(|run| view! { <Run account run/> }).collect_view();
        view! {
            <div class="table-region" role="region" aria-label=words.last_checks tabindex="0">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">{words.started}</th>
                            <th scope="col">{words.outcome}</th>
                            <th scope="col">{words.new_messages}</th>
                            <th scope="col">{words.deleted_messages}</th>
                            <th scope="col">{words.stages}</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! { <details class="inbox-checks"><summary>{words.last_checks}</summary>{body}</details> }
}

#[component]
fn Run(account: AccountId, run: CheckRun) -> impl IntoView {
    let all = context::words();
    let due = run.due_at.map(|at| {
        let late = run.started_at.since(at).as_secs();
        view! { <div class="hint">{all.checks.due_late(at.to_minute(), late)}</div> }
    });
    let transcript = run.has_transcript.then(|| view! { <TranscriptLink account run=run.id/> });
    let number = |it| context::locale().number(it);
    view! {
        <tr>
            <th scope="row"><When at=run.started_at/>{due}</th>
            <td>
                {wording::outcome(run.outcome, all)}
                {run.error.map(|it| view! {
                    <div>{wording::kind(it.kind, all)}". "{wording::next_step(it.kind, all)}</div>
                    <div class="hint"><bdi>{all.checks.details(plain(&it.message))}</bdi></div>
                })}
            </td>
            <td class="number">{number(run.new_messages)}</td>
            <td class="number">{number(run.deleted_messages)}</td>
            <td>
                <details>
                    <summary>{all.checks.show_stages(run.stages.len() as u64)}</summary>
                    <ol class="inbox-stages">{run.stages.iter().map(stage_line).collect_view()}</ol>
                </details>
                {transcript}
            </td>
        </tr>
    }
}

/// One stage: icon, word, time, and what was noted.
pub fn stage_line(record: &StageRecord) -> impl IntoView + use<> {
    let all = context::words();
    let (icon, word, class) = if record.ok {
        ("check", all.checks.stage_ok, "stage-ok")
    } else {
        ("alert", all.checks.stage_failed, "stage-failed")
    };
    let detail = plain(&record.detail);
    view! {
        <li class=class>
            <Icon name=icon/>
            <span>{wording::stage(record.stage, all)}": "{word}</span>
            <span class="hint">{all.checks.milliseconds(record.ms)}</span>
            {(!detail.is_empty()).then(|| view! { <bdi class="hint">{detail}</bdi> })}
        </li>
    }
}
