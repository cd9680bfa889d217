//! The words of tests: steps, ends, what to do next, what is different.

use domain::{
    connection_test::{Advice, ConnectionTest, Difference, Phase, Step, TestEnd, Verdict},
    time::Timestamp,
};
use words::Words;

use crate::inbox::text::plain;

pub(super) fn step(step: Step, words: &Words) -> &'static str {
    let words = &words.connection_tests;
    match step {
        Step::Resolve => words.step_resolve,
        Step::Egress => words.step_egress,
        Step::Connector => words.step_connector,
        Step::Connect => words.step_connect,
        Step::Tls => words.step_tls,
        Step::Greeting => words.step_greeting,
        Step::StartTls => words.step_start_tls,
        Step::Authenticate => words.step_authenticate,
        Step::Mailbox => words.step_mailbox,
    }
}

pub(super) fn advice(advice: Advice, words: &Words) -> &'static str {
    let words = &words.connection_tests;
    match advice {
        Advice::Spelling => words.next_spelling,
        Advice::Policy => words.next_policy,
        Advice::Port => words.next_port,
        Advice::Firewall => words.next_firewall,
        Advice::Connector => words.next_connector,
        Advice::NotSsl => words.next_not_ssl,
        Advice::NoStartTls => words.next_no_start_tls,
        Advice::Certificate => words.next_certificate,
        Advice::Silent => words.next_silent,
        Advice::OtherService => words.next_other_service,
        Advice::Password => words.next_password,
        Advice::Expired => words.next_expired,
        Advice::SecureFirst => words.next_secure_first,
        Advice::Mailbox => words.next_mailbox,
        Advice::Later => words.next_later,
        Advice::Slow => words.next_slow,
        Advice::Operator => words.next_operator,
    }
}

/// How it went, in a sentence.
pub(super) fn headline(test: &ConnectionTest, all: &Words) -> String {
    let words = &all.connection_tests;
    match &test.end {
        None => words.running(step(test.under_way(), all)),
        Some(TestEnd::Passed) if test.signs_in => words.passed.to_owned(),
        Some(TestEnd::Passed) => words.passed_to_greeting.to_owned(),
        Some(TestEnd::Failed(failure)) => words.failed(step(failure.step, all)),
        Some(TestEnd::Cancelled) => words.cancelled.to_owned(),
    }
}

/// The same in a word or two.
pub(super) fn outcome(test: &ConnectionTest, all: &Words) -> String {
    let words = &all.connection_tests;
    match &test.end {
        None => words.outcome_running.to_owned(),
        Some(TestEnd::Passed) => words.outcome_passed.to_owned(),
        Some(TestEnd::Failed(failure)) => words.failed(step(failure.step, all)),
        Some(TestEnd::Cancelled) => words.outcome_cancelled.to_owned(),
    }
}

pub(super) fn way(test: &ConnectionTest, words: &Words) -> String {
    let words = &words.connection_tests;
    test.connector.as_ref().map_or_else(|| words.directly.to_owned(), |it| words.gone_by(plain(it)))
}

pub(super) fn phase(phase: Phase, words: &Words) -> &'static str {
    let words = &words.connection_tests;
    match phase {
        Phase::Plain => words.when_plain,
        Phase::Secured => words.when_secured,
        Phase::SignedIn => words.when_signed_in,
    }
}

pub(super) fn verdict(verdict: &Verdict, words: &Words) -> String {
    let words = &words.connection_tests;
    match verdict {
        Verdict::Trusted => words.trusted.to_owned(),
        Verdict::Accepted { why } => words.accepted(plain(why)),
        Verdict::Refused { why } => words.refused(plain(why)),
    }
}

/// What is different. Whatever a server said in it is made fit to be shown.
pub(super) fn difference(difference: &Difference, all: &Words) -> Vec<String> {
    use Difference as D;
    let words = &all.connection_tests;
    let text = match difference {
        D::Target { was, now } => words.diff_target(plain(now), plain(was)),
        D::Resolves { was, now } => words.diff_resolves(now.join(", "), was.join(", ")),
        D::TlsVersion { was, now } => words.diff_tls_version(plain(now), plain(was)),
        D::Cipher { was, now } => words.diff_cipher(plain(now), plain(was)),
        D::Certificate { was_until, now_until } => words.diff_certificate(moment(*now_until), moment(*was_until)),
        D::Subject { was, now } => words.diff_subject(plain(now), plain(was)),
        D::Issuer { was, now } => words.diff_issuer(plain(now), plain(was)),
        D::Names { gone, new } => {
            let gone = (!gone.is_empty()).then(|| words.diff_names_gone(plain(&gone.join(", "))));
            let new = (!new.is_empty()).then(|| words.diff_names_new(plain(&new.join(", "))));
            return gone.into_iter().chain(new).collect();
        }
        D::Key { was, now } => words.diff_key(plain(now), plain(was)),
        D::ChainLength { was, now } => words.diff_chain_length(now, was),
        D::TrustLost { why } => words.diff_trust_lost(plain(why)),
        D::Greeting { was, now } => words.diff_greeting(plain(now), plain(was)),
        D::CapabilityGone { phase: when, name } => words.diff_capability_gone(plain(name), phase(*when, all)),
        D::CapabilityNew { phase: when, name } => words.diff_capability_new(plain(name), phase(*when, all)),
        D::Mechanism { was, now } => words.diff_mechanism(plain(now), plain(was)),
        D::UidValidity { was, now } => words.diff_uid_validity(now, was),
    };
    vec![text]
}

/// To the minute, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_minute()
}
