//! Talking to mail servers, and reading what they gave.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    account::{Destination, Protocol},
    check::{ErrorKind, Stage, StageRecord},
    connector::ConnectorKind,
    message::{Attachment, MessageIndex},
};
use tokio::sync::mpsc;

use crate::secret::Secret;

/// What identifies a message on its server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemoteKey {
    /// IMAP: valid as long as the mailbox keeps its UIDVALIDITY (RFC 9051 section 2.3.1.1).
    Uid { uid_validity: u32, uid: u32 },
    /// POP3 (RFC 1939 section 7, UIDL).
    Uidl(String),
}

/// A connector and the credential that it asks for, opened.
#[derive(Clone, Debug)]
pub struct ViaConnector {
    pub kind: ConnectorKind,
    pub address: domain::account::Address,
    pub port: u16,
    /// User name and secret.
    pub credential: Option<(String, Secret)>,
}

/// Everything that one visit needs, secrets opened.
#[derive(Clone, Debug)]
pub struct Visit {
    pub protocol: Protocol,
    pub destination: Destination,
    /// Present if and only if the destination's route is a connector.
    pub connector: Option<ViaConnector>,
    pub username: String,
    pub password: Secret,
}

/// Why a visit or a part of it failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct MailError {
    pub kind: ErrorKind,
    /// The stage that was under way.
    pub stage: Stage,
    /// For administrators; holds no secret. What the server said is escaped, cut, and marked as the server's words.
    pub message: String,
    /// Authentication only: the server's code leaves no doubt that the credential is wrong (`AUTHENTICATIONFAILED`, `[AUTH]`).
    pub is_certain: bool,
}

impl MailError {
    pub fn new(kind: ErrorKind, stage: Stage, message: impl Into<String>) -> Self {
        Self { kind, stage, message: message.into(), is_certain: false }
    }
}

/// Is told each stage as it ends.
pub trait StageLog: Send + Sync {
    fn ended(&self, record: StageRecord);
}

/// A message as the server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: RemoteKey,
    /// Bytes, as the server says.
    pub size: u64,
}

/// What is on the server.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub messages: Vec<Listed>,
    /// Messages whose key is missing or shared (POP3 only): they are not fetched and never deleted.
    pub n_unidentified: u64,
}

/// Messages that arrived complete, in batches of at most about 1 MiB or one larger message.
#[derive(Debug, Default)]
pub struct FetchedBatch {
    pub messages: Vec<(RemoteKey, Vec<u8>)>,
    /// Messages that the server refused or that arrived damaged, each with its reason. The rest goes on.
    pub failed: Vec<(RemoteKey, String)>,
}

/// Opens connections to mail servers.
#[async_trait]
pub trait MailServer: Send + Sync {
    /// Resolves, applies the egress policy, connects, secures, authenticates and selects. Every step has a deadline and is
    /// reported to the log, the failed one too.
    async fn open(&self, visit: &Visit, log: Arc<dyn StageLog>) -> Result<Box<dyn Mailbox>, MailError>;
}

/// An open, authenticated mailbox.
#[async_trait]
pub trait Mailbox: Send {
    /// Everything that is on the server.
    async fn list(&mut self) -> Result<Listing, MailError>;

    /// Fetches without setting `\Seen` and sends complete messages to the sink as they come. Returns early if the sink closes.
    /// A cut connection is an error, but everything that was complete has been sent before.
    async fn fetch(&mut self, work: Vec<Listed>, sink: mpsc::Sender<FetchedBatch>) -> Result<(), MailError>;

    /// Deletes these messages and no others; answers with those that are known to be gone. IMAP: `UID EXPUNGE` (RFC 4315), or
    /// an error of kind `mailbox` where the server lacks it and foreign deletions would go too. POP3: `DELE`, made final by
    /// the `QUIT` that this call sends; the mailbox is closed afterwards.
    async fn delete(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError>;

    /// Says good-bye; errors do not matter any more.
    async fn close(self: Box<Self>);
}

/// Why a message cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the bytes are no message")]
    Unreadable,
    #[error("the message has no such part")]
    NoSuchPart,
    #[error("the message is too complex to show")]
    TooComplex,
}

/// A message taken apart.
#[derive(Clone, Debug, Default)]
pub struct ReadMessage {
    pub to: String,
    pub cc: String,
    pub text: String,
    pub has_html: bool,
    pub headers: Vec<(String, String)>,
    pub attachments: Vec<Attachment>,
}

/// Reads stored messages. Pure computation: callers run it off the async threads.
pub trait MessageReader: Send + Sync {
    /// Never fails: what cannot be parsed is marked `is_unreadable`.
    fn index(&self, raw: &[u8]) -> MessageIndex;
    fn read(&self, raw: &[u8]) -> Result<ReadMessage, ReadError>;
    /// A whole HTML document, washed: no script, nothing remote, `cid:` images as `data:` URLs.
    fn html(&self, raw: &[u8]) -> Result<String, ReadError>;
    /// Name, declared type and bytes of an attachment.
    fn attachment(&self, raw: &[u8], index: u32) -> Result<(Attachment, Vec<u8>), ReadError>;
}
