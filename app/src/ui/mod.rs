//! The kit: page frame, fields, tables, pagers, notices. It knows nothing of accounts and is the only place for ARIA plumbing.

pub mod field;
pub mod form;
pub mod icon;
pub mod menu;
pub mod notice;
pub mod page;
pub mod pager;
pub mod table;
pub mod when;
