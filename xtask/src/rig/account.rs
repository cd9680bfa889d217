//! An account as a document of `posthorn import` has it.

use serde_json::{Value, json};

use super::Dovecot;

/// An account on the throw-away Dovecot; its name, its user and its credential are called the same.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) protocol: &'static str,
    pub(crate) port: u16,
    pub(crate) interval_s: u32,
    pub(crate) automatic_check: bool,
    pub(crate) keep_copy: bool,
    pub(crate) push: bool,
}

impl Account {
    /// Checked only when asked, and leaves the mail where it is.
    pub(crate) fn imap(name: &str, dovecot: &Dovecot) -> Self {
        Self {
            name: name.to_owned(),
            protocol: "imap",
            port: dovecot.imaps,
            interval_s: 300,
            automatic_check: false,
            keep_copy: true,
            push: false,
        }
    }

    /// The same by POP3.
    pub(crate) fn pop3(name: &str, dovecot: &Dovecot) -> Self {
        Self { protocol: "pop3", port: dovecot.pop3s, ..Self::imap(name, dovecot) }
    }

    /// Checked by itself, as soon as it is known and then every so many seconds.
    pub(crate) fn every(self, interval_s: u32) -> Self {
        Self { interval_s, automatic_check: true, ..self }
    }

    fn record(&self) -> Value {
        let mut record = json!({
            "name": self.name, "credential": self.name, "address": "127.0.0.1", "port": self.port,
            "protocol": self.protocol, "skip_certificate": true, "interval_s": self.interval_s,
            "automatic_check": self.automatic_check, "keep_copy": self.keep_copy,
        });
        if self.push {
            record["push"] = true.into();
        }
        record
    }
}

/// The document with these accounts and a credential for each.
pub(super) fn document(accounts: &[Account]) -> Value {
    let credential = |it: &Account| json!({"name": it.name, "username": it.name, "secret": "pass"});
    json!({
        "posthorn": 1,
        "credentials": accounts.iter().map(credential).collect::<Vec<_>>(),
        "accounts": accounts.iter().map(Account::record).collect::<Vec<_>>(),
    })
}
