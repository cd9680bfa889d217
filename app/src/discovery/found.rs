//! What was found: the proposals, the best first, and everything that was looked for.

use domain::{
    account::{AccountForm, Address},
    discovery::{Discovered, LookUp, LookUpOutcome, Offered, Proposal, Source, Standing},
    email::EmailAddress,
    query::encode_value,
};
use leptos::prelude::*;

use super::PATH;
use crate::{
    accounts, context,
    egress::picture::why,
    inbox::{text::plain, wording},
    smtp,
    ui::{icon::Icon, notice::Empty, table::Plain},
};

#[component]
pub fn Found(discovered: Discovered) -> impl IntoView {
    let words = &context::words().discovery;
    let Discovered { address, proposals, look_ups } = discovered;
    let is_found = !proposals.is_empty();
    let (incoming, outgoing): (Vec<_>, Vec<_>) = proposals.into_iter().partition(|it| it.service.protocol().is_some());
    let title = words.title_for(&address);
    let none = incoming.is_empty().then(|| view! { <Empty title=words.none_title hint=words.none_hint>""</Empty> });
    let list = |it: Vec<Proposal>, first: usize| {
        let card = |(nth, proposal)| view! { <Card proposal address=address.clone() nth=first + nth/> };
        it.into_iter().enumerate().map(card).collect_view()
    };
    let n_incoming = incoming.len();
    let credential = (n_incoming > 0).then(|| {
        let back = encode_value(&format!("{PATH}?address={}", encode_value(address.as_str())));
        view! {
            <p>{words.proposed}</p>
            <p class="hint">
                {words.credential_hint}" "
                <a href=format!("/settings/credentials/new?return={back}")>{context::words().accounts.register_credential}</a>
            </p>
        }
    });
    let outgoing = (!outgoing.is_empty()).then(|| {
        view! {
            <section class="results">
                <h2>{words.outgoing}</h2>
                <p class="hint">{words.outgoing_hint}" "<a href=smtp::PATH>{context::words().shell.smtp}</a></p>
                {list(outgoing, n_incoming)}
            </section>
        }
    });
    view! {
        <section class="results">
            <h2><bdi>{title}</bdi></h2>
            {none}
            {credential}
            {list(incoming, 0)}
        </section>
        {outgoing}
        <section class="card">
            <details open=!is_found>
                <summary>{words.look_ups}</summary>
                <LookUps look_ups/>
            </details>
        </section>
    }
}

/// A host as it is written, and as it is read where that differs: both, since letters of different scripts look alike.
fn both(address: &Address) -> String {
    address.in_letters().map_or_else(|| address.to_string(), |letters| format!("{} ({address})", plain(&letters)))
}

fn protocol(service: Offered) -> &'static str {
    service.protocol().map_or("SMTP", domain::account::Protocol::label)
}

fn by(source: Source) -> &'static str {
    let words = &context::words().discovery;
    match source {
        Source::Srv => words.by_srv,
        Source::Autoconfig => words.by_autoconfig,
        Source::Database => words.by_database,
        Source::Guess => words.by_guess,
    }
}

/// One proposal, with what speaks for it and what against.
#[component]
fn Card(proposal: Proposal, address: EmailAddress, nth: usize) -> impl IntoView {
    let all = context::words();
    let (words, accounts) = (&all.discovery, &all.accounts);
    let (title_id, labelled_by) = (format!("proposal-{nth}"), format!("proposal-{nth}"));
    let host = both(&proposal.address);
    let secure = if proposal.security.is_secure() { all.common.yes } else { all.common.no };
    let kind = proposal.security.kind().map(str::to_uppercase);
    let kind = kind.map(|it| view! { <dt>{accounts.secure_type}</dt><dd>{it}</dd> });
    let sources = proposal.sources.iter().map(|it| by(*it)).collect::<Vec<_>>().join(" ");
    let form = proposal.account_form(&address);
    let use_it = form.map(|form| view! { <UseIt form title_id=title_id.clone()/> });
    let user_name = plain(&proposal.user_name);
    let title = words.proposal(protocol(proposal.service), &proposal.address, proposal.port);
    let remarks = remarks(&proposal, address.host());
    view! {
        <section class="card proposal" aria-labelledby=labelled_by>
            <h3 id=title_id>{title}</h3>
            {remarks.into_iter().map(|(class, label, text)| view! {
                <p><span class=class><Icon name="alert"/><strong>{label}</strong></span>" "<bdi>{text}</bdi></p>
            }).collect_view()}
            <dl>
                <dt>{accounts.protocol}</dt><dd>{protocol(proposal.service)}</dd>
                <dt>{accounts.address}</dt><dd class="mono"><bdi>{host}</bdi></dd>
                <dt>{accounts.port}</dt><dd class="mono">{proposal.port.to_string()}</dd>
                <dt>{accounts.secure_connection}</dt><dd>{secure}</dd>
                {kind}
                <dt>{words.user_name}</dt><dd class="mono"><bdi>{user_name}</bdi></dd>
                <dt>{words.source}</dt><dd>{sources}</dd>
                {proposal.oauth.then(|| view! { <dt>"OAuth 2.0"</dt><dd>{words.oauth_hint}</dd> })}
            </dl>
            {use_it}
        </section>
    }
}

/// What a person has to know before they use it: class, word, sentence.
fn remarks(proposal: &Proposal, domain: &str) -> Vec<(&'static str, &'static str, String)> {
    let words = &context::words().discovery;
    let mut found = Vec::new();
    match &proposal.standing {
        Standing::Open => {}
        Standing::NotFound => found.push(("state warn", words.not_found, words.not_found_hint.to_owned())),
        Standing::Forbidden(reason) => {
            found.push(("state bad", words.forbidden, words.forbidden_hint(why(reason))));
        }
    }
    if !proposal.security.is_secure() {
        found.push(("state bad", words.plain, words.plain_hint.to_owned()));
    }
    if proposal.outside_domain {
        found.push(("state warn", words.outside, words.outside_hint(both(&proposal.address), domain)));
    }
    found
}

/// Leads to the form of a new account with these values: by a post, like the way back from a test.
#[component]
fn UseIt(form: AccountForm, title_id: String) -> impl IntoView {
    let field = |(name, value): (String, serde_json::Value)| {
        let value = value.as_str().unwrap_or_default().to_owned();
        view! { <input type="hidden" name=name value=value/> }
    };
    let fields = match serde_json::to_value(&form) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(field).collect_view(),
        _ => Vec::new(),
    };
    view! {
        <form method="post" action=format!("{}/save/new", accounts::PATH)>
            {fields}
            <button class="button primary" name="intent" value="resume" aria-describedby=title_id>
                {context::words().discovery.use_it}
            </button>
        </form>
    }
}

/// Every question with its answer.
#[component]
fn LookUps(look_ups: Vec<LookUp>) -> impl IntoView {
    let words = &context::words().discovery;
    let row = |it: LookUp| {
        let kind = match it.source {
            Source::Srv => words.kind_srv,
            Source::Autoconfig => words.kind_autoconfig,
            Source::Database => words.kind_database,
            Source::Guess => words.kind_guess,
        };
        view! {
            <tr>
                <th scope="row" class="mono"><bdi>{plain(&it.target)}</bdi></th>
                <td>{kind}</td>
                <td><bdi>{outcome(&it.outcome)}</bdi></td>
            </tr>
        }
    };
    let rows = look_ups.into_iter().map(row).collect_view();
    view! { <Plain caption=words.look_ups heads=vec![words.asked, words.kind, words.outcome]>{rows}</Plain> }
}

fn outcome(outcome: &LookUpOutcome) -> String {
    let all = context::words();
    let words = &all.discovery;
    match outcome {
        LookUpOutcome::Offers(offers) if offers.is_empty() => words.none_usable.to_owned(),
        LookUpOutcome::Offers(offers) => words.n_servers(u64::try_from(offers.len()).unwrap_or(u64::MAX)),
        LookUpOutcome::Nothing => words.nothing.to_owned(),
        LookUpOutcome::NotOffered => words.not_offered.to_owned(),
        LookUpOutcome::Failed(error) => format!("{}: {}", wording::kind(error.kind, all), plain(&error.message)),
    }
}
