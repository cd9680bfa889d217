//! The record of a check while it runs: stages come in, everybody who watches sees them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use domain::{
    check::{CheckRun, Stage, StageRecord},
    posture::TlsSeen,
};
use service::ports::StageLog;
use tokio::sync::watch;

/// Takes stages from the mail connection and the collector alike.
#[derive(Clone)]
pub(crate) struct RunLog {
    run: Arc<watch::Sender<CheckRun>>,
    tls: Arc<Mutex<Option<TlsSeen>>>,
}

impl RunLog {
    pub(crate) fn new(sender: watch::Sender<CheckRun>) -> Self {
        Self { run: Arc::new(sender), tls: Arc::default() }
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut CheckRun)) {
        self.run.send_modify(change);
    }

    pub(crate) fn snapshot(&self) -> CheckRun {
        self.run.borrow().clone()
    }

    /// What was seen of the server's TLS, if the check came so far.
    pub(crate) fn tls(&self) -> Option<TlsSeen> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

    fn saw_tls(&self, seen: TlsSeen) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}
