//! Types and rules of Posthorn: accounts, credentials, connectors, filters, pages, permissions, check runs, messages,
//! outgoing mail, scheduled reports.
//!
//! **Invariant:** nothing here does I/O or knows of a framework; the crate compiles to WebAssembly, so that the browser and
//! the server run the same rules from one piece of code.

pub mod account;
pub mod actor;
pub mod agent;
pub mod audit;
pub mod authority;
pub mod check;
pub mod connection_test;
pub mod connector;
pub mod credential;
pub mod device;
pub mod discovery;
pub mod egress;
pub mod email;
pub mod ids;
pub mod incident;
pub mod ledger;
pub mod message;
pub mod notices;
pub mod oauth;
pub mod page;
pub mod posture;
pub mod problem;
pub mod query;
pub mod schedule;
pub mod smtp;
pub mod text;
pub mod time;
