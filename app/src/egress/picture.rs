//! The page as HTML: the lists, the form that asks, and the answer.

use domain::{
    actor::Permission,
    egress::{EgressPicture, EgressReason, EgressTrial},
    problem::Problem,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    context::{self, actor, service},
    error::UserError,
    ui::{
        field::{Face, TextField},
        form::{ErrorSummary, live_error},
    },
};

/// What is in force and, if an address was typed, what that says to it.
pub async fn load(address: String, port: String) -> Result<AnyView, UserError> {
    let (service, actor) = (service()?, actor()?);
    let picture = service.egress().picture(&actor)?;
    let is_asked = !address.is_empty() || !port.is_empty();
    let answer = if is_asked { Some(service.egress().try_out(&actor, &address, &port).await) } else { None };
    let (trials, problems) = match answer {
        None => (None, Vec::new()),
        Some(Ok(trials)) => (Some(trials), Vec::new()),
        Some(Err(service::Error::Invalid(problems))) => (None, problems),
        Some(Err(error)) => return Err(error.into()),
    };
    let may_ask = context::user().is_some_and(|it| it.role.may(Permission::Action));
    let ask = may_ask.then(|| view! { <Ask address port problems/> });
    Ok(view! { <Picture picture/>{ask}{trials.map(|trials| view! { <Answer trials/> })} }.into_any())
}

#[component]
fn Picture(picture: EgressPicture) -> impl IntoView {
    let words = &context::words().egress;
    let list = |items: Vec<String>| if items.is_empty() { words.none.to_owned() } else { items.join(", ") };
    let ports = |items: Vec<u16>| list(items.iter().map(ToString::to_string).collect());
    view! {
        <section class="card">
            <p>{words.intro}</p>
            <dl>
                <dt>{words.ports}</dt><dd class="mono">{ports(picture.ports)}</dd>
                <dt>{words.hook_ports}</dt><dd class="mono">{ports(picture.hook_ports)}</dd>
                <dt>{words.always}</dt><dd>{words.always_list}</dd>
                <dt>{words.allow}</dt><dd class="mono">{list(picture.allow)}</dd>
                <dt>{words.deny}</dt><dd class="mono">{list(picture.deny)}</dd>
            </dl>
        </section>
    }
}

fn label(field: &str) -> &'static str {
    let words = &context::words().egress;
    if field == "port" { words.port } else { words.address }
}

#[component]
fn Ask(address: String, port: String, problems: Vec<Problem>) -> impl IntoView {
    let words = &context::words().egress;
    let problems = RwSignal::new(problems);
    let face = move |name: &'static str| Face {
        name,
        label: label(name),
        hint: String::new(),
        error: live_error(problems, name, label(name)),
        required: true,
    };
    view! {
        <section class="card">
            <h2>{words.try_title}</h2>
            <p class="hint">{words.try_hint}</p>
            <ErrorSummary problems label/>
            <form method="get" action=PATH class="form">
                <TextField face=face("address") value=address/>
                <TextField face=face("port") value=if port.is_empty() { "993".to_owned() } else { port } numeric=true/>
                <div class="buttons"><button class="button" type="submit">{words.ask}</button></div>
            </form>
        </section>
    }
}

#[component]
fn Answer(trials: Vec<EgressTrial>) -> impl IntoView {
    let words = &context::words().egress;
    if trials.is_empty() {
        return view! { <p class="alert" role="status">{words.not_found}</p> }.into_any();
    }
    let heads = [words.found, words.answer, words.why];
    let row = |it: EgressTrial| {
        let answer = if it.reason.permits() { words.allowed } else { words.refused };
        view! {
            <tr>
                <th scope="row" class="mono">{it.address}</th>
                <td>{answer}</td>
                <td>{why(&it.reason)}</td>
            </tr>
        }
    };
    view! {
        <div class="table-region" role="region" aria-label=words.answer tabindex="0">
            <table>
                <caption class="visually-hidden">{words.answer}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{trials.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

pub(crate) fn why(reason: &EgressReason) -> String {
    let words = &context::words().egress;
    match reason {
        EgressReason::Ordinary => words.by_rule,
        EgressReason::Allowed(range) => return words.by_range(range),
        EgressReason::Denied(range) => return words.by_denied(range),
        EgressReason::Port => words.by_port,
        EgressReason::Loopback => words.by_loopback,
        EgressReason::LinkLocal => words.by_link_local,
        EgressReason::Metadata => words.by_metadata,
        EgressReason::Multicast => words.by_multicast,
        EgressReason::Reserved => words.by_reserved,
        EgressReason::Unspecified => words.by_unspecified,
        EgressReason::Translated => words.by_translated,
    }
    .to_owned()
}
