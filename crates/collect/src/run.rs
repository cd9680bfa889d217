//! The record of a check while it runs: stages come in, everybody who watches sees them.

use std::{sync::Arc, time::Instant};

use domain::check::{CheckRun, Stage, StageRecord};
use service::ports::StageLog;
use tokio::sync::watch;

/// Takes stages from the mail connection and the collector alike.
#[derive(Clone)]
pub(crate) struct RunLog(Arc<watch::Sender<CheckRun>>);

impl RunLog {
    pub(crate) fn new(sender: watch::Sender<CheckRun>) -> Self {
        Self(Arc::new(sender))
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut CheckRun)) {
        self.0.send_modify(change);
    }

    pub(crate) fn snapshot(&self) -> CheckRun {
        self.0.borrow().clone()
    }

    /// Notes a stage of the collector's own that began at `began`.
    pub(crate) fn note(&self, stage: Stage, ok: bool, began: Instant, detail: String) {
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ended(StageRecord { stage, ok, ms, detail });
    }
}

impl StageLog for RunLog {
    fn ended(&self, record: StageRecord) {
        self.update(|run| run.stages.push(record));
    }
}
