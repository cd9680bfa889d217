//! The device code flow (RFC 8628): somebody consents on another device, with a code that is shown here.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How a flow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// The provider is asked again and again.
    Pending,
    /// It gave tokens, and they are stored.
    Granted,
    /// Somebody declined.
    Denied,
    /// Nobody entered the code in time.
    Expired,
    /// The provider refused for another reason.
    Failed,
    /// Somebody here ended it, or changed the settings meanwhile.
    Cancelled,
}

impl DeviceState {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Granted, Self::Denied, Self::Expired, Self::Failed, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// A flow as screens may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFlow {
    pub state: DeviceState,
    /// The provider's error code.
    pub message: Option<String>,
    pub started_by: String,
    pub started_at: Timestamp,
    /// The code is good until then.
    pub until: Timestamp,
    /// Seconds between two questions, as the provider wants it.
    pub interval_s: u32,
    /// While it is pending, for those who may act.
    pub code: Option<UserCode>,
}

/// What somebody needs on the other device (RFC 8628 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCode {
    pub user_code: String,
    pub verification_uri: String,
    /// The same address with the code in it.
    pub verification_uri_complete: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_name_of_its_own() {
        for state in DeviceState::ALL {
            assert_eq!(DeviceState::parse(state.as_str()), Some(state));
        }
    }
}
