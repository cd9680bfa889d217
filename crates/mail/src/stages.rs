//! Stages of a visit: each runs under a deadline and is told to the log as it ends, the failed one too.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    check::{ErrorKind, Stage, StageRecord},
    connection_test::Fact,
    posture::TlsSeen,
};
use service::ports::{MailError, StageLog};
use tokio::time::timeout;

pub(crate) struct Stages {
    log: Arc<dyn StageLog>,
    pub(crate) step_timeout: Duration,
    /// Whether the log wants to know what comes to light on the way.
    pub(crate) is_probing: bool,
}

impl Stages {
    pub(crate) fn new(log: Arc<dyn StageLog>, step_timeout: Duration) -> Self {
        Self { log, step_timeout, is_probing: false }
    }

    /// The same for a test, which tells what it sees.
    pub(crate) fn probing(log: Arc<dyn StageLog>, step_timeout: Duration) -> Self {
        Self { log, step_timeout, is_probing: true }
    }

    /// Tells what came to light, if anybody wants to know: a check does not even put it together.
    pub(crate) fn found(&self, fact: impl FnOnce() -> Fact) {
        if self.is_probing {
            self.log.found(fact());
        }
    }

    /// Runs one stage; the work answers with its result and what there is to say of it.
    pub(crate) async fn run<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<(T, String), MailError>>,
    ) -> Result<T, MailError> {
        let began = self.begin(stage);
        let result = timeout(self.step_timeout, work).await.unwrap_or_else(|_| {
            let seconds = self.step_timeout.as_secs();
            Err(MailError::new(ErrorKind::Timeout, stage, format!("no answer within {seconds} s")))
        });
        let detail = result.as_ref().map_or_else(|it| it.message.clone(), |(_, detail)| detail.clone());
        self.tell(stage, result.is_ok(), began.elapsed(), detail);
        result.map(|(value, _)| value)
    }

    /// A stage that has its own deadline is under way.
    pub(crate) fn begin(&self, stage: Stage) -> Instant {
        self.log.began(stage);
        Instant::now()
    }

    /// A stage that has its own deadline ended well.
    pub(crate) fn note(&self, stage: Stage, took: Duration, detail: String) {
        self.tell(stage, true, took, detail);
    }

    /// A stage that has its own deadline failed.
    pub(crate) fn failed(&self, stage: Stage, took: Duration, detail: String) {
        self.tell(stage, false, took, detail);
    }

    pub(crate) fn saw_tls(&self, seen: TlsSeen) {
        self.log.saw_tls(seen);
    }

    fn tell(&self, stage: Stage, ok: bool, took: Duration, detail: String) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.log.ended(StageRecord { stage, ok, ms, detail });
    }
}
