//! A Posthorn agent: a program in a closed network that dials out to Posthorn and carries connections there.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AgentId, ConnectorId},
    time::Timestamp,
};

/// What an agent says of itself when it shows a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentDraft {
    /// The name of its machine, unless whoever started it gave another.
    pub name: String,
    /// Of its public key: `SHA256:` and 43 characters of Base64. The key itself comes with every connection.
    pub fingerprint: String,
    /// Of the program.
    pub program_version: String,
}

/// An agent as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub id: AgentId,
    pub version: i64,
    /// The way that it is a part of.
    pub connector_id: ConnectorId,
    pub draft: AgentDraft,
    pub enrolled_at: Timestamp,
    /// `None`: nobody has compared its fingerprint yet, and nothing goes by it.
    pub approved_at: Option<Timestamp>,
    /// At most a minute old while it is connected.
    pub last_seen_at: Option<Timestamp>,
}

/// A connection of an agent to this instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    pub agent_id: AgentId,
    pub since: Timestamp,
    /// Connections to mail servers that it carries now.
    pub n_streams: u32,
}

/// An agent as the report lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRow {
    pub agent: Agent,
    /// `None`: not connected to this instance.
    pub tunnel: Option<Tunnel>,
}

/// A code that enrols one agent. It is shown once; only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentCode {
    pub code: String,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for AgentCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentCode").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
