//! Posthorn agents: a program in a closed network dials out to Posthorn over a WebSocket, and Posthorn opens connections by it.
//!
//! After a greeting, in which the agent proves that it has its key, the WebSocket's binary messages carry yamux. Only Posthorn
//! opens streams. Each begins with a target and an answer; what follows is the mail server's, TLS and all.
//!
//! **Invariant:** nothing is opened by an agent that nobody has approved, and an agent connects to nothing that its own list does
//! not allow.

pub mod agent;
mod frames;
mod greeting;
mod hub;
mod mux;
mod target;

use std::time::Duration;

pub use frames::{Frame, Frames};
pub use greeting::{Answer, Caller, Refusal, answer, challenge, origin_of};
pub(crate) use hub::nobody;
pub use hub::{Attached, Carried, Hub};

/// Of the WebSocket: another version of the tunnel has another name.
pub const PROTOCOL: &str = "posthorn-agent.v1";
/// Where a server takes agents.
pub const PATH: &str = "/agent/v1";
/// How long the greeting may take.
pub const GREETING: Duration = Duration::from_secs(15);
/// Bytes of the longest WebSocket message.
pub const MESSAGE_MAX: usize = 64 * 1024;
