//! The log of a running test: the stages of a check become its finer steps, and what comes to light its evidence.

use std::sync::{Mutex, PoisonError};

use domain::{
    account::Security,
    check::{Stage, StageRecord},
    connection_test::{ConnectionTest, Fact, Step, StepRecord, TestFailure},
};
use tokio::sync::watch;

use crate::ports::{MailError, StageLog};

/// Tells whoever watches.
pub(crate) struct TestLog {
    state: watch::Sender<ConnectionTest>,
    /// What the name resolved to in the stage under way.
    resolved: Mutex<Option<String>>,
}

impl TestLog {
    pub(crate) fn new(test: ConnectionTest) -> Self {
        Self { state: watch::Sender::new(test), resolved: Mutex::default() }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<ConnectionTest> {
        self.state.subscribe()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut ConnectionTest)) {
        self.state.send_modify(change);
    }

    pub(crate) fn so_far(&self) -> ConnectionTest {
        self.state.borrow().clone()
    }

    /// The failure of the step that this error ended: the last one that was noted, unless it failed before any.
    pub(crate) fn failure(&self, error: &MailError) -> TestFailure {
        let test = self.state.borrow();
        let failed = test.steps.last().filter(|it| !it.ok).map(|it| it.step);
        let step = failed.unwrap_or_else(|| step_of(error.stage, &test));
        TestFailure { step, kind: error.kind, message: error.message.clone() }
    }
}

/// With STARTTLS, the first stage of that name is the command and the second the handshake.
fn step_of(stage: Stage, test: &ConnectionTest) -> Step {
    let is_asked = test.steps.iter().any(|it| it.step == Step::StartTls);
    match stage {
        Stage::Resolve => Step::Resolve,
        Stage::Connector => Step::Connector,
        Stage::Connect => Step::Connect,
        Stage::Tls if matches!(test.destination.security, Security::StartTls(_)) && !is_asked => Step::StartTls,
        Stage::Tls => Step::Tls,
        Stage::Greeting => Step::Greeting,
        Stage::Authenticate => Step::Authenticate,
        Stage::Select | Stage::List | Stage::Fetch | Stage::Store | Stage::Delete | Stage::Send => Step::Mailbox,
    }
}

/// Behind a connector the policy is asked first: it looks the server's name up itself.
fn is_policy(step: Step, test: &ConnectionTest) -> bool {
    step == Step::Resolve && test.connector.is_some() && test.steps.is_empty()
}

impl StageLog for TestLog {
    fn began(&self, stage: Stage) {
        self.state.send_modify(|test| {
            let step = step_of(stage, test);
            test.under_way = Some(if is_policy(step, test) { Step::Egress } else { step });
        });
    }

    fn ended(&self, StageRecord { stage, ok, ms, detail }: StageRecord) {
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.state.send_modify(|test| {
            let step = step_of(stage, test);
            let detail = if let (Step::Resolve, Some(addresses)) = (step, resolved) {
                // The name was found: whatever comes after that is the policy's.
                test.steps.push(StepRecord { step, ok: true, ms, detail: addresses });
                test.steps.push(StepRecord { step: Step::Egress, ok, ms: 0, detail });
                return;
            } else {
                detail
            };
            let step = if is_policy(step, test) { Step::Egress } else { step };
            test.steps.push(StepRecord { step, ok, ms, detail });
        });
    }

    fn found(&self, fact: Fact) {
        if let Fact::Resolved(trials) = &fact {
            let addresses = trials.iter().map(|it| it.address.as_str()).collect::<Vec<_>>().join(", ");
            *self.resolved.lock().unwrap_or_else(PoisonError::into_inner) = Some(addresses);
        }
        self.state.send_modify(|test| test.evidence.note(fact));
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        account::{Address, Destination, Protocol, Route, Trust},
        check::ErrorKind,
        egress::{EgressReason, EgressTrial},
        ids::ConnectorId,
    };

    use super::*;

    fn log(security: Security, connector: Option<&str>) -> TestLog {
        let route = connector.map_or(Route::Direct, |_| Route::Connector(ConnectorId(1)));
        let address = Address::parse("mail.example.org").unwrap();
        let destination = Destination { address, port: 143, security, route };
        let test = ConnectionTest::new(Protocol::Imap, destination);
        TestLog::new(ConnectionTest { connector: connector.map(str::to_owned), ..test })
    }

    fn begun(log: &TestLog, stage: Stage) -> Step {
        log.began(stage);
        log.so_far().under_way()
    }

    fn ended(log: &TestLog, stages: &[(Stage, bool)]) {
        for (stage, ok) in stages {
            if *stage == Stage::Resolve {
                let trial = EgressTrial { address: "192.0.2.1".to_owned(), reason: EgressReason::Ordinary };
                log.found(Fact::Resolved(vec![trial]));
            }
            log.ended(StageRecord { stage: *stage, ok: *ok, ms: 1, detail: "detail".to_owned() });
        }
    }

    fn steps(log: &TestLog) -> Vec<(Step, bool)> {
        log.so_far().steps.iter().map(|it| (it.step, it.ok)).collect()
    }

    #[test]
    fn the_command_and_the_handshake_are_two_steps() {
        let log = log(Security::StartTls(Trust::System), None);
        ended(&log, &[(Stage::Resolve, true), (Stage::Connect, true), (Stage::Greeting, true), (Stage::Tls, true)]);
        ended(&log, &[(Stage::Tls, false)]);
        let expected = [
            (Step::Resolve, true),
            (Step::Egress, true),
            (Step::Connect, true),
            (Step::Greeting, true),
            (Step::StartTls, true),
            (Step::Tls, false),
        ];
        assert_eq!(steps(&log), expected);
        let error = MailError::new(ErrorKind::Certificate, Stage::Tls, "no");
        assert_eq!(log.failure(&error).step, Step::Tls);
    }

    #[test]
    fn a_name_that_resolves_where_nothing_is_allowed_fails_by_the_policy() {
        let log = log(Security::Plain, None);
        ended(&log, &[(Stage::Resolve, false)]);
        assert_eq!(steps(&log), [(Step::Resolve, true), (Step::Egress, false)]);
        assert_eq!(log.failure(&MailError::new(ErrorKind::Egress, Stage::Resolve, "no")).step, Step::Egress);
    }

    #[test]
    fn behind_a_connector_the_policy_is_asked_before_the_connector_is_looked_up() {
        let log = log(Security::Plain, Some("Gateway"));
        log.ended(StageRecord { stage: Stage::Resolve, ok: true, ms: 0, detail: String::new() });
        ended(&log, &[(Stage::Resolve, true), (Stage::Connect, true), (Stage::Connector, true)]);
        let expected = [Step::Egress, Step::Resolve, Step::Egress, Step::Connect, Step::Connector];
        assert_eq!(steps(&log), expected.map(|it| (it, true)));
    }

    /// An agent is not looked up, and an SSH session may be open already: what comes after the policy is not always a look-up.
    #[test]
    fn the_step_under_way_is_the_one_that_began() {
        let behind = log(Security::StartTls(Trust::System), Some("Plant"));
        assert_eq!(behind.so_far().under_way(), Step::Egress);
        assert_eq!(begun(&behind, Stage::Resolve), Step::Egress);
        behind.ended(StageRecord { stage: Stage::Resolve, ok: true, ms: 0, detail: String::new() });
        assert_eq!(begun(&behind, Stage::Connector), Step::Connector);
        ended(&behind, &[(Stage::Connector, true)]);
        assert_eq!(begun(&behind, Stage::Greeting), Step::Greeting);
        ended(&behind, &[(Stage::Greeting, true)]);
        assert_eq!(begun(&behind, Stage::Tls), Step::StartTls);
        ended(&behind, &[(Stage::Tls, true)]);
        assert_eq!(begun(&behind, Stage::Tls), Step::Tls);
        let direct = log(Security::Plain, None);
        assert_eq!(direct.so_far().under_way(), Step::Resolve);
        assert_eq!(begun(&direct, Stage::Resolve), Step::Resolve);
    }

    #[test]
    fn what_failed_before_any_step_is_named_by_its_stage() {
        let log = log(Security::Plain, None);
        let error = MailError::new(ErrorKind::Authentication, Stage::Authenticate, "a private key");
        assert_eq!(log.failure(&error).step, Step::Authenticate);
    }
}
