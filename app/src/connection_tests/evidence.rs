//! What was seen, as pairs of a name and a text: for the page and for the text to copy.

use domain::{
    account::Route,
    connection_test::{CertificateFacts, ConnectionTest, MailboxFacts, Phase},
};
use leptos::prelude::*;
use words::Words;

use super::wording;
use crate::{context, inbox::text::plain};

type Pair = (String, String);

/// Everything but the certificates.
pub(super) fn pairs(test: &ConnectionTest, all: &Words) -> Vec<Pair> {
    let (words, evidence) = (&all.connection_tests, &test.evidence);
    let mut pairs = vec![(words.target.to_owned(), target(test))];
    if !evidence.resolved.is_empty() {
        let is_direct = test.destination.route == Route::Direct;
        let name = if is_direct { words.resolved } else { words.resolved_connector };
        let shown = evidence.resolved.iter().map(|it| {
            let address = plain(&it.address);
            if it.reason.permits() { words.permitted(address) } else { words.not_permitted(address) }
        });
        pairs.push((name.to_owned(), shown.collect::<Vec<_>>().join(", ")));
    }
    let mut push = |name: &str, text: Option<String>| pairs.extend(text.map(|it| (name.to_owned(), it)));
    push(words.connected, evidence.connected.clone());
    push(words.tls, evidence.tls.as_ref().map(|it| words.tls_facts(plain(&it.version), plain(&it.cipher))));
    push(words.trust, evidence.verdict.as_ref().map(|it| wording::verdict(it, all)));
    push(words.greeting, evidence.greeting.as_deref().map(plain));
    for phase in Phase::ALL {
        let names = evidence.capabilities.of(phase).map(|it| plain(&it.join(", ")));
        push(&words.capabilities(wording::phase(phase, all)), names);
    }
    let offered = evidence.mechanisms();
    push(words.offered, (!offered.is_empty()).then(|| plain(&offered.join(", "))));
    push(words.used, evidence.mechanism.clone());
    push(words.mailbox, evidence.mailbox.map(|it| mailbox(it, all)));
    pairs
}

/// Protocol, server, port and security.
pub(super) fn target(test: &ConnectionTest) -> String {
    let destination = &test.destination;
    let kind = destination.security.kind().map(|it| format!(", {}", it.to_uppercase())).unwrap_or_default();
    format!("{} {} {}{kind}", test.protocol.label(), destination.address, destination.port)
}

fn mailbox(facts: MailboxFacts, all: &Words) -> String {
    let words = &all.connection_tests;
    let mut texts = vec![words.messages(facts.n_messages)];
    texts.extend(facts.n_unseen.map(|it| words.unseen(it)));
    texts.extend(facts.size.map(|it| words.bytes(it)));
    texts.extend(facts.uid_validity.map(|it| format!("UIDVALIDITY {it}")));
    texts.join(", ")
}

/// What one certificate says.
pub(super) fn certificate(facts: &CertificateFacts, all: &Words) -> Vec<Pair> {
    let words = &all.connection_tests;
    let dates = words.from_to(wording::moment(facts.not_before), wording::moment(facts.not_after));
    [
        (words.subject, plain(&facts.subject)),
        (words.issuer, plain(&facts.issuer)),
        (words.names, plain(&facts.names.join(", "))),
        (words.valid, dates),
        (words.key, plain(&facts.key)),
        (words.fingerprint, facts.fingerprint.clone()),
        (words.key_pin, facts.pin.clone()),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .map(|(name, text)| (name.to_owned(), text))
    .collect()
}

#[component]
pub fn Evidence(test: ConnectionTest) -> impl IntoView {
    let all = context::words();
    let words = &all.connection_tests;
    let chain = test.evidence.chain.iter().map(|it| view! { <li><List pairs=certificate(it, all)/></li> });
    let chain = chain.collect_view();
    let has_chain = !test.evidence.chain.is_empty();
    view! {
        <h3>{words.evidence}</h3>
        <List pairs=pairs(&test, all)/>
        {has_chain.then(|| view! { <h3>{words.chain}</h3><ol class="test-chain">{chain}</ol> })}
    }
}

#[component]
fn List(pairs: Vec<Pair>) -> impl IntoView {
    let pair = |(name, text): Pair| view! { <dt>{name}</dt><dd><bdi>{text}</bdi></dd> };
    view! { <dl class="test-facts">{pairs.into_iter().map(pair).collect_view()}</dl> }
}
