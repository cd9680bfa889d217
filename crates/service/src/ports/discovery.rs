//! Who knows the settings of a mail address.

use async_trait::async_trait;
use domain::{discovery::LookUp, email::EmailAddress};

/// Asks the domain of an address, and others, for its mail servers.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// All look-ups side by side, within a few seconds, under the egress policy. One that fails is an outcome like any other.
    async fn look_up(&self, address: &EmailAddress) -> Vec<LookUp>;
}
