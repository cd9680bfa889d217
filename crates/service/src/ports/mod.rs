//! What `service` needs from others: stores, mail servers, a reader of messages, a checker, a reporter, a
//! clock.
//!
//! Every port is an object-safe trait. **A store method is one transaction** and takes its audit entry as an argument; nobody
//! holds a transaction open across ports.

mod device;
mod discovery;
mod mail;
mod notice;
mod oauth;
mod posture;
mod schedule;
mod seals;
mod store;

pub use device::{DeviceClaim, DeviceRow, DeviceStore, NewDeviceFlow};
pub use discovery::Discovery;
pub use mail::{
    AuthorityBundle, CertificateReader, ConnectionProbe, ConnectorProbe, Depth, EgressPolicy, FailedFetch, Fetched,
    FetchedBatch, Listed, Listing, MailError, MailServer, Mailbox, MailboxState, MessageReader, Part, Probed,
    ReadError, ReadMessage, RemoteKey, Side, StageLog, Transcript, Tunnels, ViaConnector, Visit, Wanted,
};
pub use notice::{HookSender, Notifier};
pub use oauth::{Consent, KeptTokens, OAuthRow, OAuthStore, TokenEndpoint};
pub use posture::PostureStore;
pub use schedule::{
    Attempt, Fate, MadeReport, MailSender, Outbox, Recipient, ReportRunStore, Reporter, RunCause, RunLease,
    ScheduleStore, SendError, SmtpStore, Submission,
};
pub use seals::{
    FIRST_KEY, InstanceKeys, KeyChange, Resealed, SEALING_KEY, SealStore, SealedAt, SealedCount, SealedPlace, SealedRow,
};
pub use store::{
    AccountStore, AgentStore, Arrival, Assembled, AuditStore, AuthorityStore, CheckStore, ConnectionTestStore,
    ConnectorStore, CredentialStore, Finished, Known, KnownRemote, Lease, LedgerStore, NewTest, Purged, RemoteState,
    SealedCredential, SealedSecret, Session, Standing, Store, StoreError, Stored, Tally, User, UserStore, Verdict,
    WatchStore, Way, WorkLeft,
};

use domain::time::Timestamp;

/// Hands in the time, so that tests can hold it still.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}
