//! The page of an account's tests, and the page of one test of what was typed.

use domain::{
    account::{Account, AccountForm},
    connection_test::TestRecord,
    ids::{AccountId, ConnectionTestId},
};
use leptos::prelude::*;
use service::TestRun;

use super::{evidence::target, outcome::Outcome, ways::Ways, wording};
use crate::{
    accounts,
    context::{self, actor, service},
    error::UserError,
    inbox::{
        tabs::{Tab, Tabs, address},
        text::When,
    },
};

/// The last test or one of the earlier ones, how to begin another, and what was kept.
pub async fn load(id: AccountId, shown: Option<ConnectionTestId>) -> Result<AnyView, UserError> {
    let (service, actor) = (service()?, actor()?);
    let tests = service.connection_tests();
    let records = tests.list(&actor, id).await?;
    let account = service.accounts().load(&actor, id).await?;
    let has_connectors = !service.accounts().choices(&actor).await?.connectors.is_empty();
    let runs = if shown.is_none() { tests.last(&actor, id).await? } else { Vec::new() };
    let record = match shown {
        Some(shown) => Some(records.iter().find(|it| it.id == shown).cloned().ok_or(UserError::NotFound)?),
        None => records.first().cloned(),
    };
    let result = view! { <Result runs record/> };
    Ok(view! {
        <Tabs account=id current=Tab::Test/>
        <section class="card"><Begin account has_connectors/></section>
        <section class="card">{result}</section>
        <section class="card"><Earlier records/></section>
    }
    .into_any())
}

/// The forms that begin a test.
#[component]
fn Begin(account: Account, has_connectors: bool) -> impl IntoView {
    let words = &context::words().connection_tests;
    let id = account.id;
    let action = address(id, Tab::Test);
    let buttons = if account.draft.enabled {
        let each = has_connectors.then(|| {
            view! {
                <form method="post" action=format!("{action}/each")>
                    <p class="hint">{words.each_hint}</p>
                    <div class="field">
                        <span class="radio">
                            <input type="checkbox" id="grant_credential" name="grant_credential" value="yes" aria-describedby="grant-hint"/>
                            <label for="grant_credential">{words.grant}</label>
                        </span>
                        <p class="hint" id="grant-hint">{words.grant_hint}</p>
                    </div>
                    <button class="button">{words.each}</button>
                </form>
            }
        });
        view! {
            <form method="post" action=action><button class="button primary">{words.run}</button></form>
            {each}
        }
        .into_any()
    } else {
        view! { <p class="note">{words.disabled}</p> }.into_any()
    };
    view! {
        <h2><bdi>{account.draft.name}</bdi></h2>
        <p>{words.intro}</p>
        {buttons}
        <p><a href=format!("{}/{id}", accounts::PATH)>{words.edit}</a></p>
    }
}

/// What was begun last, or else what was kept last.
#[component]
fn Result(runs: Vec<TestRun>, record: Option<TestRecord>) -> impl IntoView {
    let words = &context::words().connection_tests;
    if runs.len() > 1 {
        return view! { <Ways runs/> }.into_any();
    }
    match (runs.into_iter().next(), record) {
        (Some(run), _) => {
            let id = Some(run.id.to_string());
            view! { <h2>{words.result}</h2><Outcome test=run.test at=run.started_at run=id/> }.into_any()
        }
        (None, Some(record)) => view! {
            <h2>{words.result}</h2>
            <p class="hint">{words.at}": "<When at=record.at/>", "<bdi>{record.actor}</bdi></p>
            <Outcome test=record.test at=record.at run=None/>
        }
        .into_any(),
        (None, None) => view! { <h2>{words.result}</h2><p>{words.none}</p> }.into_any(),
    }
}

#[component]
fn Earlier(records: Vec<TestRecord>) -> impl IntoView {
    let all = context::words();
    let words = &all.connection_tests;
    if records.is_empty() {
        return view! { <h2>{words.earlier}</h2><p>{words.none}</p> }.into_any();
    }
    let heads = [words.at, words.by, words.way, words.values, words.outcome, words.show];
    let row = |it: TestRecord| {
        let values = if it.test.is_saved { words.saved_values } else { words.typed_values };
        let n = it.test.differences.len() as u64;
        let differences = (n > 0).then(|| view! { <div class="hint">{words.n_differences(n)}</div> });
        let (link, label) = (format!("{}?result={}", address(it.account_id, Tab::Test), it.id), it.at.to_string());
        view! {
            <tr>
                <th scope="row"><When at=it.at/></th>
                <td><bdi>{it.actor}</bdi></td>
                <td><bdi>{wording::way(&it.test, all)}</bdi></td>
                <td>{values}</td>
                <td>{wording::outcome(&it.test, all)}{differences}</td>
                <td><a href=link aria-label=format!("{} {label}", words.show)>{words.show}</a></td>
            </tr>
        }
    };
    view! {
        <h2>{words.earlier}</h2>
        <div class="table-region" role="region" aria-label=words.earlier tabindex="0">
            <table>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{records.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// One test that runs or ended a short while ago.
pub async fn load_run(run: &str) -> Result<AnyView, UserError> {
    let (service, actor) = (service()?, actor()?);
    let words = &context::words().connection_tests;
    let tests = service.connection_tests();
    let found = match run.parse() {
        Ok(id) => tests.run(&actor, id).await,
        Err(_) => Err(service::Error::NotFound),
    };
    let run = match found {
        Ok(run) => run,
        Err(service::Error::NotFound) => {
            return Ok(view! { <section class="card"><p class="note">{words.gone}</p></section> }.into_any());
        }
        Err(error) => return Err(error.into()),
    };
    let (id, account) = (run.id.to_string(), run.account);
    let back = run.form.map(|form| view! { <Back form account/> });
    let target = target(&run.test);
    let all_tests = account.map(|it| view! { <p><a href=address(it, Tab::Test)>{words.to_account}</a></p> });
    Ok(view! {
        <section class="card"><p><bdi>{target}</bdi></p>{back}{all_tests}</section>
        <section class="card"><h2>{words.result}</h2><Outcome test=run.test at=run.started_at run=Some(id)/></section>
    }
    .into_any())
}

/// The way back to the form with everything that was typed: it is in this page, so it outlives the test.
#[component]
fn Back(form: AccountForm, account: Option<AccountId>) -> impl IntoView {
    let words = &context::words().connection_tests;
    let target = account.map_or_else(|| "new".to_owned(), |it| it.to_string());
    let field = |(name, value): (String, serde_json::Value)| {
        let value = value.as_str().unwrap_or_default().to_owned();
        view! { <input type="hidden" name=name value=value/> }
    };
    let fields = match serde_json::to_value(&form) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(field).collect_view(),
        _ => Vec::new(),
    };
    view! {
        <form method="post" action=format!("{}/save/{target}", accounts::PATH)>
            {fields}
            <button class="button" name="intent" value="resume">{words.back_to_form}</button>
            <p class="hint">{words.back_hint}</p>
        </form>
    }
}
