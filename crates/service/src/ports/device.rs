//! Device codes (RFC 8628): what is remembered while somebody enters one elsewhere.

use async_trait::async_trait;
use domain::{
    audit::AuditEntry,
    device::{DeviceFlow, DeviceState},
    ids::CredentialId,
    time::Timestamp,
};

use super::{KeptTokens, SealedSecret, StoreError};

/// A flow about to be kept.
#[derive(Clone, Debug)]
pub struct NewDeviceFlow {
    /// The provider's codes and addresses.
    pub sealed: SealedSecret,
    pub started_by: String,
    pub started_at: Timestamp,
    pub until: Timestamp,
    pub interval_s: u32,
    pub poll_at: Timestamp,
}

/// A flow as it is stored, without its code.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    pub flow: DeviceFlow,
    /// While it is pending.
    pub sealed: Option<SealedSecret>,
}

/// The right to ask the provider once.
#[derive(Clone, Debug)]
pub struct DeviceClaim {
    pub fence: i64,
    pub sealed: SealedSecret,
    pub started_by: String,
    pub until: Timestamp,
    pub interval_s: u32,
}

/// **Invariant:** of a credential's flows one is pending at most, and of those who ask about it one at a time: whoever has the
/// newest fence. Another flow, its end and other settings of the credential make the fence void.
#[async_trait]
pub trait DeviceStore: Send + Sync {
    async fn find_device(&self, id: CredentialId) -> Result<Option<DeviceRow>, StoreError>;
    /// In the place of one that is over. `Conflict` while another is pending whose code is still good.
    async fn start_device(&self, id: CredentialId, new: &NewDeviceFlow, audit: &[AuditEntry])
    -> Result<(), StoreError>;
    /// Pending flows about which the provider may be asked again, longest due first.
    async fn due_devices(&self, now: Timestamp, limit: u32) -> Result<Vec<CredentialId>, StoreError>;
    /// Takes the right to ask, which ends at `until`; `None` if it is not due or somebody else has it.
    async fn claim_device(
        &self,
        id: CredentialId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<DeviceClaim>, StoreError>;
    /// Gives the right back; the provider may be asked again at `poll_at`. `Fenced` if the right was lost.
    async fn put_off_device(
        &self,
        id: CredentialId,
        fence: i64,
        interval_s: u32,
        poll_at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Keeps the tokens and that the flow is granted, in one transaction; the accounts that were stopped for the credential go on.
    /// Whoever renews older tokens is fenced out. `Fenced` if the right was lost.
    async fn grant_device(
        &self,
        id: CredentialId,
        fence: i64,
        kept: &KeptTokens,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    /// Keeps that it led to nothing, and why. `Fenced` if the right was lost.
    async fn end_device(
        &self,
        id: CredentialId,
        fence: i64,
        end: (DeviceState, &str),
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    /// Somebody here ends it. `NotFound` unless it is pending.
    async fn cancel_device(&self, id: CredentialId, audit: &[AuditEntry]) -> Result<(), StoreError>;
}
