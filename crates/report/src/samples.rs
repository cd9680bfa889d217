//! Accounts for the tests of this crate.

use domain::{
    account::{AccountRow, Health, Protocol, Security, Trust},
    ids::AccountId,
    time::Timestamp,
};

pub(crate) fn row(id: i64, name: &str) -> AccountRow {
    AccountRow {
        id: AccountId(id),
        name: name.to_owned(),
        security: Security::Implicit(Trust::System),
        protocol: Protocol::Imap,
        port: 993,
        automatic_check: true,
        keep_copy: false,
        enabled: true,
        health: Health { last_success_at: Some(Timestamp::from_seconds(1_769_869_805)), ..Health::default() },
    }
}
