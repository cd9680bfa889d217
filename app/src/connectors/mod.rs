//! Network connectors: the report, the form, the test.

pub mod api;
pub mod contact;
pub mod form;
#[cfg(feature = "ssr")]
pub mod report;
pub mod test;

use domain::actor::Permission;

/// The path of the report; its records stand below it.
pub const PATH: &str = "/settings/connectors";

/// Whether whoever looks may test connectors and approve keys.
fn may_act() -> bool {
    crate::context::user().is_some_and(|it| it.role.may(Permission::Action))
}
