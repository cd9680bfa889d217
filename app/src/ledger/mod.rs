//! What is shown of an account's ledger and of its dialogues: what could not be fetched, what was and what will be deleted on the
//! server, what was said. The views are made on the server only.

#[cfg(feature = "ssr")]
pub mod deletions;
#[cfg(feature = "ssr")]
pub mod dialogue;
pub mod page;
#[cfg(feature = "ssr")]
pub mod quarantine;
