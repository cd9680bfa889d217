//! The clients against servers: scripted hostile ones, and real ones by every way there is. One binary, so that the support is
//! built once.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "panicking is how a test fails")]

mod certificates;
mod clear;
mod connection;
mod corpus;
mod dialects;
mod discovery;
mod dovecot;
mod egress;
mod hostile_imap;
mod hostile_pop3;
mod lying_imap;
mod memory;
mod oauth;
mod ssh;
mod starttls;
mod starttls_smtp;
mod support;
