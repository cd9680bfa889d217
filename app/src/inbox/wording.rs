//! The words of stages, outcomes and failures of a check: what happened, and what to do next.

use domain::check::{CheckRun, ErrorKind, Outcome, Stage};
use words::Words;

pub fn stage(stage: Stage, words: &Words) -> &'static str {
    let words = &words.checks;
    match stage {
        Stage::Resolve => words.stage_resolve,
        Stage::Connector => words.stage_connector,
        Stage::Connect => words.stage_connect,
        Stage::Tls => words.stage_tls,
        Stage::Greeting => words.stage_greeting,
        Stage::Authenticate => words.stage_authenticate,
        Stage::Select => words.stage_select,
        Stage::List => words.stage_list,
        Stage::Fetch => words.stage_fetch,
        Stage::Store => words.stage_store,
        Stage::Delete => words.stage_delete,
        Stage::Send => words.stage_send,
    }
}

pub fn outcome(outcome: Outcome, words: &Words) -> &'static str {
    let words = &words.checks;
    match outcome {
        Outcome::Running => words.outcome_running,
        Outcome::Ok => words.outcome_ok,
        Outcome::Partial => words.outcome_partial,
        Outcome::Failed => words.outcome_failed,
    }
}

/// What happened.
pub fn kind(kind: ErrorKind, words: &Words) -> &'static str {
    let words = &words.checks;
    match kind {
        ErrorKind::Resolve => words.kind_resolve,
        ErrorKind::Egress => words.kind_egress,
        ErrorKind::Refused => words.kind_refused,
        ErrorKind::Timeout => words.kind_timeout,
        ErrorKind::Connector => words.kind_connector,
        ErrorKind::Tls => words.kind_tls,
        ErrorKind::Certificate => words.kind_certificate,
        ErrorKind::Protocol => words.kind_protocol,
        ErrorKind::Authentication => words.kind_authentication,
        ErrorKind::Expired => words.kind_expired,
        ErrorKind::Mailbox => words.kind_mailbox,
        ErrorKind::Throttled => words.kind_throttled,
        ErrorKind::Storage => words.kind_storage,
        ErrorKind::Internal => words.kind_internal,
    }
}

/// What to do about it.
pub fn next_step(kind: ErrorKind, words: &Words) -> &'static str {
    let words = &words.checks;
    match kind {
        ErrorKind::Resolve => words.next_resolve,
        ErrorKind::Egress => words.next_egress,
        ErrorKind::Refused => words.next_refused,
        ErrorKind::Timeout => words.next_timeout,
        ErrorKind::Connector => words.next_connector,
        ErrorKind::Tls => words.next_tls,
        ErrorKind::Certificate => words.next_certificate,
        ErrorKind::Protocol => words.next_protocol,
        ErrorKind::Authentication => words.next_authentication,
        ErrorKind::Expired => words.next_expired,
        ErrorKind::Mailbox => words.next_mailbox,
        ErrorKind::Throttled => words.next_throttled,
        ErrorKind::Storage => words.next_storage,
        ErrorKind::Internal => words.next_internal,
    }
}

/// What a finished check brought, or that it is still running.
pub fn result(run: &CheckRun, words: &Words) -> String {
    match run.outcome {
        Outcome::Running => words.checks.running.to_owned(),
        Outcome::Ok if run.new_messages == 0 => words.checks.nothing_new.to_owned(),
        Outcome::Ok => words.checks.arrived(run.new_messages),
        Outcome::Partial if run.new_messages > 0 => words.checks.partly(run.new_messages),
        Outcome::Partial | Outcome::Failed => words.checks.outcome_failed.to_owned(),
    }
}
