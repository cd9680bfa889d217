//! The one door of Posthorn: every use case (authorise, check the rules, act, write the audit entry) and the ports it needs.
//!
//! **Invariant:** screens, REST, the command line and the background work all come through here; nothing else changes state.

pub mod ports;
pub mod secret;
