//! How an account is doing: its last success, its next check, or what keeps it from one.

use serde::{Deserialize, Serialize};

use crate::{check::ErrorKind, time::Timestamp};

/// The last check's failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: ErrorKind,
    pub message: String,
    /// Since when checks have failed without a success between.
    pub since: Timestamp,
    /// Failed checks in a row.
    pub n_failures: u32,
    /// The server says that the password is wrong: no automatic check until account or credential changes.
    pub is_stopped: bool,
}

/// What is known from the checks so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub last_success_at: Option<Timestamp>,
    /// When the next automatic check is due; `None` if there will be none.
    pub next_check_at: Option<Timestamp>,
    pub failure: Option<Failure>,
    /// The last success is longer ago than it should be, for whatever reason.
    pub is_late: bool,
}

/// In which order health sorts: what needs attention has the highest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    Good = 0,
    NeverChecked = 1,
    Late = 2,
    Failing = 3,
    Stopped = 4,
}

impl HealthState {
    pub const ALL: [Self; 5] = [Self::Good, Self::NeverChecked, Self::Late, Self::Failing, Self::Stopped];

    /// As the parameter `health` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NeverChecked => "never_checked",
            Self::Late => "late",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

impl Health {
    pub fn state(&self) -> HealthState {
        match (&self.failure, self.last_success_at) {
            (Some(failure), _) if failure.is_stopped => HealthState::Stopped,
            (Some(_), _) => HealthState::Failing,
            (None, _) if self.is_late => HealthState::Late,
            (None, None) => HealthState::NeverChecked,
            (None, Some(_)) => HealthState::Good,
        }
    }
}
