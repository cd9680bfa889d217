//! The stages of a test, collected as they end.

use std::sync::{Mutex, PoisonError};

use domain::check::StageRecord;

use crate::ports::StageLog;

/// Collects the stages of a test.
#[derive(Default)]
pub(crate) struct Stages(Mutex<Vec<StageRecord>>);

impl Stages {
    pub(crate) fn take(&self) -> Vec<StageRecord> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StageLog for Stages {
    fn ended(&self, record: StageRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}
