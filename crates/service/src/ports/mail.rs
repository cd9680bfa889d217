//! Talking to mail servers, and reading what they gave.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    account::{Address, Destination, Protocol},
    agent::Tunnel,
    authority::AuthorityFacts,
    check::{ErrorKind, Stage, StageRecord},
    connection_test::Fact,
    connector::{ConnectorKind, HostKey, TestTarget},
    egress::{EgressPicture, EgressTrial},
    ids::{AgentId, AuthorityId, ConnectorId},
    message::{Attachment, MessageIndex},
    posture::TlsSeen,
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
    /// POP3, for a message whose UIDL is missing or shared: BLAKE3 of its header fields (`TOP n 0`) and its size, in hexadecimal,
    /// and which one of the equal ones it is, counted from 0.
    Content { hash: String, nth: u32 },
}

impl RemoteKey {
    /// Whether the server gave this name, so that a message may be deleted by it.
    pub fn is_given(&self) -> bool {
        !matches!(self, Self::Content { .. })
    }
}

/// A connector and the credential that it asks for, opened.
#[derive(Clone, Debug)]
pub struct ViaConnector {
    pub id: ConnectorId,
    /// A session that was opened for one version is no way for another.
    pub version: i64,
    pub kind: ConnectorKind,
    pub address: domain::account::Address,
    pub port: u16,
    /// User name and secret.
    pub credential: Option<(String, Secret)>,
    /// SSH: the only key that the server may show. Without one, nothing is sent to it.
    pub host_key: Option<HostKey>,
}

/// An authority of one's own that an account trusts, and nobody else.
#[derive(Clone, Debug)]
pub struct AuthorityBundle {
    pub id: AuthorityId,
    pub version: i64,
    /// Certificates in PEM, and revocation lists if it has any.
    pub pem: Arc<str>,
}

/// Everything that one visit needs, secrets opened.
#[derive(Clone, Debug)]
pub struct Visit {
    pub protocol: Protocol,
    pub destination: Destination,
    /// Present if and only if the destination's route is a connector.
    pub connector: Option<ViaConnector>,
    /// Present if and only if the destination trusts an authority that still exists.
    pub authority: Option<AuthorityBundle>,
    pub username: String,
    pub password: Secret,
    /// Takes down the dialogue, if somebody asked for that.
    pub transcript: Option<Arc<dyn Transcript>>,
}

/// Takes down what is said between us and a server, for people. Never a secret, never the body of a message: what stands for
/// them says how many bytes they have.
pub trait Transcript: Send + Sync + std::fmt::Debug {
    /// One line without its end, already masked.
    fn line(&self, side: Side, text: &str);
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
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
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl MailError {
    pub fn new(kind: ErrorKind, stage: Stage, message: impl Into<String>) -> Self {
        Self { kind, stage, message: message.into(), is_certain: false, retry_after: None }
    }
}

/// Is told each stage as it ends.
pub trait StageLog: Send + Sync {
    /// A stage is under way.
    fn began(&self, _: Stage) {}

    fn ended(&self, record: StageRecord);

    /// Something came to light that only a test of the connection wants to know.
    fn found(&self, _: Fact) {}

    /// What was seen of the server's TLS, also where its certificate was refused.
    fn saw_tls(&self, _: TlsSeen) {}
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
    /// How many of them have no name of their own ([`RemoteKey::Content`]; POP3 only): they are never deleted.
    pub n_unidentified: u64,
}

/// What the server says of the mailbox as it opens. What is equal to what it said last time is a hint that nothing is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxState {
    pub n_messages: u64,
    /// IMAP.
    pub uid_validity: Option<u32>,
    /// IMAP: the UID that the next message will have; `None` where the server does not say.
    pub uid_next: Option<u32>,
}

/// A message to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub listed: Listed,
    /// Bytes that were staged by an earlier visit: fetching goes on from there where the protocol can (IMAP).
    pub staged: u64,
}

/// What a fetch gives.
#[derive(Debug)]
pub enum Fetched {
    Batch(FetchedBatch),
    /// A piece of a message that is too large to be held whole.
    Part(Part),
}

/// Messages that arrived complete, in batches of a few MiB at most.
#[derive(Debug, Default)]
pub struct FetchedBatch {
    pub messages: Vec<(RemoteKey, Vec<u8>)>,
    /// Messages that the server refused or that arrived damaged. The rest goes on.
    pub failed: Vec<FailedFetch>,
}

/// A message that could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedFetch {
    pub key: RemoteKey,
    pub reason: String,
    /// The beginning of what did arrive, at most 64 KiB: for whoever looks into it.
    pub sample: Vec<u8>,
}

/// A piece of a large message. The pieces of one message come in their order, without gaps, nothing else between them.
#[derive(Debug)]
pub struct Part {
    pub key: RemoteKey,
    /// Where it begins. 0 begins anew: what was staged before is void.
    pub offset: u64,
    /// At most 1 MiB.
    pub bytes: Vec<u8>,
    pub is_last: bool,
}

/// Opens connections to mail servers.
#[async_trait]
pub trait MailServer: Send + Sync {
    /// Resolves, applies the egress policy, connects, secures, authenticates and selects. Every step has a deadline and is
    /// reported to the log, the failed one too.
    async fn open(&self, visit: &Visit, log: Arc<dyn StageLog>) -> Result<Box<dyn Mailbox>, MailError>;
}

/// What a connector showed when it was tried.
#[derive(Clone, Debug, Default)]
pub struct Probed {
    /// SSH: the key of the server, whether it is approved or not.
    pub host_key: Option<HostKey>,
    pub error: Option<MailError>,
}

/// Tries connectors.
#[async_trait]
pub trait ConnectorProbe: Send + Sync {
    /// Goes by the connector, over a connection of its own, and on to the target if there is one, to see whether the server
    /// there greets. No mail credential has any part in it.
    async fn probe(&self, connector: &ViaConnector, target: Option<&TestTarget>, log: Arc<dyn StageLog>) -> Probed;
}

/// The tunnels that agents hold open to this instance.
pub trait Tunnels: Send + Sync {
    /// What other instances know this one by.
    fn instance(&self) -> &str;

    fn live(&self, connector: ConnectorId) -> Vec<Tunnel>;

    /// Ends the tunnels of an agent, with everything that goes by them.
    fn cut(&self, agent: AgentId);
}

/// How far a test of a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// To what the server says that it can. The visit's user name and password are not looked at.
    Greeting,
    /// Into the mailbox.
    Mailbox,
}

/// Tests connections.
#[async_trait]
pub trait ConnectionProbe: Send + Sync {
    /// Goes the way of a check, step by step, and tells what it sees; leaves without having changed anything on the server. After
    /// a certificate that is not accepted it still tells the chain and why, and sends nothing more.
    async fn probe_connection(&self, visit: &Visit, depth: Depth, log: Arc<dyn StageLog>) -> Result<(), MailError>;
}

/// An open, authenticated mailbox.
#[async_trait]
pub trait Mailbox: Send {
    /// As it was opened.
    fn state(&self) -> MailboxState;

    /// Everything that is on the server.
    async fn list(&mut self) -> Result<Listing, MailError>;

    /// Fetches without setting `\Seen` and sends complete messages to the sink as they come, large ones in parts. Returns early
    /// if the sink closes. A cut connection is an error, but everything that was complete has been sent before.
    async fn fetch(&mut self, work: Vec<Wanted>, sink: mpsc::Sender<Fetched>) -> Result<(), MailError>;

    /// Deletes these messages and no others; answers with those that are known to be gone. IMAP: `UID EXPUNGE` (RFC 4315), or
    /// an error of kind `mailbox` where the server lacks it and foreign deletions would go too. POP3: `DELE`, made final by
    /// the `QUIT` that this call sends; the mailbox is closed afterwards. Keys that are not given by the server are passed over.
    async fn delete(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError>;

    /// Whether the server tells of changes by itself (IMAP IDLE, RFC 2177).
    fn can_idle(&self) -> bool;

    /// Waits until the server tells of a change, or so long; answers with whether it told. Never longer than 28 minutes, since a
    /// server may end a connection that is idle for half an hour (RFC 2177). Afterwards the mailbox can be used again.
    async fn idle(&mut self, at_most: Duration) -> Result<bool, MailError>;

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
    /// The first ones, a few hundred.
    pub headers: Vec<(String, String)>,
    pub n_more_headers: u32,
    pub attachments: Vec<Attachment>,
    /// It takes more than is borne to take it apart: there is no more than its header.
    pub is_header_only: bool,
}

/// What the server may contact.
#[async_trait]
pub trait EgressPolicy: Send + Sync {
    fn picture(&self) -> EgressPicture;

    /// Looks the name up and judges each address; contacts none of them.
    async fn try_out(&self, address: &Address, port: u16) -> Result<Vec<EgressTrial>, MailError>;
}

/// Reads an authority's certificates.
pub trait CertificateReader: Send + Sync {
    /// `None` if a part of it is neither a certificate nor a revocation list, or no certificate is in it.
    fn authority(&self, pem: &str) -> Option<AuthorityFacts>;
}

/// Reads stored messages. Pure computation: callers run it off the async threads.
pub trait MessageReader: Send + Sync {
    /// Never fails: what cannot be parsed is marked `is_unreadable`; what its header says is there as far as it can be read.
    fn index(&self, raw: &[u8]) -> MessageIndex;
    /// What is too complex is read too, `is_header_only`.
    fn read(&self, raw: &[u8]) -> Result<ReadMessage, ReadError>;
    /// A whole HTML document, washed: no script, nothing remote, `cid:` images as `data:` URLs. It takes a bounded time; what
    /// would take longer is `TooComplex`.
    fn html(&self, raw: &[u8]) -> Result<String, ReadError>;
    /// Name, declared type and bytes of an attachment.
    fn attachment(&self, raw: &[u8], index: u32) -> Result<(Attachment, Vec<u8>), ReadError>;
}
