//! The engine against a model of mail servers and a real store, both of which fail wherever a test wants: nothing is lost,
//! nothing is stored twice, and nothing is deleted that is not stored.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "panicking is how a test fails")]

mod devices;
mod faults;
mod faulty;
mod instances;
mod matrix;
mod sequences;
mod server;
mod stored;
mod tokens;
mod visits;
mod waiting;
mod world;
