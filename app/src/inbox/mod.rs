//! The inbox of one account: the list, the reading pane, the check that is asked for, the checks that were.
//!
//! Everything that came by mail is hostile: it is shown as text only, without directional controls. HTML is a document of its
//! own route, in a sandboxed frame.

pub mod api;
pub mod check;
pub mod list;
pub mod message;
pub mod page;
pub mod query;
pub mod runs;
pub mod tabs;
pub mod text;
pub mod transcript;
pub mod wording;

pub use page::InboxPage;
