//! The ways to one server side by side: a step a row, a way a column.

use domain::connection_test::{ConnectionTest, Step};
use leptos::prelude::*;
use service::TestRun;

use super::{outcome::Outcome, wording};
use crate::{accounts, context, inbox::text::plain};

#[component]
pub fn Ways(runs: Vec<TestRun>) -> impl IntoView {
    let all = context::words();
    let words = &all.connection_tests;
    let tests: Vec<_> = runs.iter().map(|it| it.test.clone()).collect();
    let heads = tests.iter().map(|it| view! { <th scope="col"><bdi>{wording::way(it, all)}</bdi></th> }).collect_view();
    let rows = Step::ALL.into_iter().filter(|step| tests.iter().any(|it| it.steps.iter().any(|it| it.step == *step)));
    let rows = rows.map(|step| {
        let cells = tests.iter().map(|it| view! { <td>{cell(it, step)}</td> }).collect_view();
        view! { <tr><th scope="row">{wording::step(step, all)}</th>{cells}</tr> }
    });
    let rows = rows.collect_view();
    let total = |it: &ConnectionTest| words.ms(it.steps.iter().map(|it| it.ms).sum::<u64>());
    let totals = tests.iter().map(|it| view! { <td>{total(it)}</td> }).collect_view();
    let ends = runs.iter().map(|it| view! { <td><End run=it.clone()/></td> }).collect_view();
    let each = runs.into_iter().map(|run| {
        let way = wording::way(&run.test, all);
        view! {
            <details>
                <summary><bdi>{way}</bdi>": "{wording::outcome(&run.test, all)}</summary>
                <Outcome test=run.test at=run.started_at run=None/>
            </details>
        }
    });
    view! {
        <h2>{words.side_by_side}</h2>
        <div class="table-region" role="region" aria-label=words.side_by_side tabindex="0">
            <table>
                <caption class="visually-hidden">{words.side_by_side}</caption>
                <thead><tr><th scope="col">{words.step}</th>{heads}</tr></thead>
                <tbody>
                    {rows}
                    <tr><th scope="row">{words.total}</th>{totals}</tr>
                    <tr><th scope="row">{words.outcome}</th>{ends}</tr>
                </tbody>
            </table>
        </div>
        {each.collect_view()}
    }
}

/// How long the step took on this way, or that it failed; one that comes twice counts together.
fn cell(test: &ConnectionTest, step: Step) -> String {
    let words = &context::words().connection_tests;
    let records: Vec<_> = test.steps.iter().filter(|it| it.step == step).collect();
    let took = words.ms(records.iter().map(|it| it.ms).sum::<u64>());
    match records.last() {
        None if test.end.is_none() => String::new(),
        None => words.not_reached.to_owned(),
        Some(record) if record.ok => took,
        Some(_) => format!("{}, {took}", words.not_ok),
    }
}

/// The outcome, with the error and what to do about it, or the way to stop it.
#[component]
fn End(run: TestRun) -> impl IntoView {
    let all = context::words();
    let words = &all.connection_tests;
    let test = &run.test;
    let cancel = test.end.is_none().then(|| {
        view! {
            <form method="post" action=format!("{}/test/{}/cancel", accounts::PATH, run.id)>
                <button class="button compact">{words.cancel}</button>
            </form>
        }
    });
    let error = test.failure().map(|it| view! { <div class="hint"><bdi>{plain(&it.message)}</bdi></div> });
    let next = test.advice().map(|it| view! { <div class="hint">{wording::advice(it, all)}</div> });
    view! { <div>{wording::outcome(test, all)}</div>{error}{next}{cancel} }
}
