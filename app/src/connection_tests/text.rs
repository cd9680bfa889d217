//! A test as text, to copy into a ticket or a mail.

use std::fmt::Write as _;

use domain::{connection_test::ConnectionTest, time::Timestamp};
use words::Words;

use super::{evidence, wording};
use crate::inbox::text::plain;

/// Everything that the page shows.
pub(super) fn text(test: &ConnectionTest, at: Timestamp, all: &Words) -> String {
    let words = &all.connection_tests;
    let mut lines = String::new();
    let mut line = |it: &str| _ = writeln!(lines, "{it}");
    line(&format!("{}: {}", words.at, wording::moment(at)));
    line(&format!("{}: {}", words.way, wording::way(test, all)));
    line(&wording::headline(test, all));
    if let Some(failure) = test.failure() {
        line(&plain(&failure.message));
    }
    if let Some(advice) = test.advice() {
        line(&format!("{}: {}", words.next_step, wording::advice(advice, all)));
    }
    line("");
    line(words.steps);
    for record in &test.steps {
        let outcome = if record.ok { words.ok } else { words.not_ok };
        let (step, detail) = (wording::step(record.step, all), plain(&record.detail));
        line(&format!("- {step}: {outcome}, {}: {detail}", words.ms(record.ms)));
    }
    if let Some(at) = test.compared_with {
        line("");
        line(&words.compared(wording::moment(at)));
        let found: Vec<_> = test.differences.iter().flat_map(|it| wording::difference(it, all)).collect();
        for it in &found {
            line(&format!("- {it}"));
        }
        if found.is_empty() {
            line(words.no_differences);
        }
    }
    line("");
    line(words.evidence);
    for (name, fact) in evidence::pairs(test, all) {
        line(&format!("- {name}: {fact}"));
    }
    for (nth, facts) in test.evidence.chain.iter().enumerate() {
        line("");
        line(&format!("{} {}", words.chain, nth + 1));
        for (name, fact) in evidence::certificate(facts, all) {
            line(&format!("- {name}: {fact}"));
        }
    }
    lines
}
