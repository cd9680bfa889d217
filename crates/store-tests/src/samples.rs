//! Records to test with.

use std::time::Duration;

use domain::{
    account::{AccountDraft, Address, Destination, Health, Protocol, Route, Security, Trust},
    audit::{AuditAction, AuditEntry},
    authority::{AuthorityDraft, AuthorityFacts},
    check::CheckRun,
    connector::{ConnectorDraft, ConnectorKind},
    credential::CredentialDraft,
    ids::{AccountId, AuthorityId, ConnectorId, CredentialId, MessageId},
    message::MessageIndex,
    time::Timestamp,
};
use service::ports::{Arrival, Finished, Lease, Listed, RemoteKey, SealedSecret, Stored};

use crate::Subject;

/// Longer than any test.
pub const LEASE: Duration = Duration::from_mins(10);

/// A moment of the tests, counted in seconds.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

pub fn entry(action: AuditAction, actor: &str, subject: &str) -> AuditEntry {
    AuditEntry {
        at: at(0),
        actor: actor.to_owned(),
        origin: "192.0.2.1".to_owned(),
        action,
        subject: subject.to_owned(),
        before: None,
        after: Some("{}".to_owned()),
    }
}

pub async fn credential(store: &Subject, name: &str) -> CredentialId {
    let id = store.next_credential_id().await.unwrap();
    let draft = CredentialDraft {
        name: name.to_owned(),
        username: format!("{name}@example.org"),
        oauth: None,
        secret_ends_on: None,
    };
    let audit = [entry(AuditAction::CredentialAdded, "ana", name)];
    store.add_credential(id, &draft, &SealedSecret(vec![1, 2, 3]), &audit).await.unwrap();
    id
}

pub fn connector_draft(name: &str, credential_id: Option<CredentialId>) -> ConnectorDraft {
    ConnectorDraft {
        name: name.to_owned(),
        kind: ConnectorKind::HttpConnect,
        address: Address::from_stored("proxy.example.org".to_owned()),
        port: 3128,
        credential_id,
    }
}

pub async fn connector(store: &Subject, name: &str) -> ConnectorId {
    store.add_connector(&connector_draft(name, None), &[]).await.unwrap()
}

pub fn draft(name: &str, credential_id: CredentialId) -> AccountDraft {
    AccountDraft {
        name: name.to_owned(),
        keep_copy: true,
        hold_days: 0,
        automatic_check: true,
        interval_s: 300,
        push: false,
        enabled: true,
        protocol: Protocol::Imap,
        destination: Destination {
            address: Address::from_stored("mail.example.org".to_owned()),
            port: 993,
            security: Security::Implicit(Trust::System),
            route: Route::Direct,
        },
        credential_id,
        skip_reason: String::new(),
    }
}

pub fn authority_draft(name: &str) -> AuthorityDraft {
    AuthorityDraft { name: name.to_owned(), pem: format!("-----BEGIN CERTIFICATE-----\n{name}\n") }
}

pub fn authority_facts(subject: &str) -> AuthorityFacts {
    AuthorityFacts {
        subject: subject.to_owned(),
        fingerprint: "SHA256:x".to_owned(),
        n_certificates: 2,
        expires_at: at(1_000_000),
    }
}

pub async fn authority(store: &Subject, name: &str) -> AuthorityId {
    store.add_authority(&authority_draft(name), &authority_facts("CN=Ours"), &[]).await.unwrap()
}

/// An account that is due at once, and leaves no copy on the server.
pub async fn account(store: &Subject, name: &str) -> AccountId {
    let draft = AccountDraft { keep_copy: false, ..draft(name, credential(store, name).await) };
    store.add_account(&draft, Some(at(0)), &[]).await.unwrap()
}

pub async fn take(store: &Subject, id: AccountId) -> Lease {
    store.take_account(id, "taker", at(0), LEASE).await.unwrap().expect("nobody holds the account")
}

pub fn uid(uid: u32) -> RemoteKey {
    RemoteKey::Uid { uid_validity: 7, uid }
}

pub fn listed(key: RemoteKey) -> Listed {
    Listed { key, size: 5 }
}

pub fn arrival(key: RemoteKey, subject: &str) -> Arrival {
    let raw = format!("Subject: {subject}\r\n\r\nHello\r\n").into_bytes();
    Arrival {
        key,
        hash: hash(&raw),
        raw,
        index: MessageIndex {
            subject: subject.to_owned(),
            from: "Zoë <zoe@example.org>".to_owned(),
            date: Some(at(-60)),
            n_attachments: 2,
            message_id: "<1@example.org>".to_owned(),
            is_unreadable: false,
        },
    }
}

/// Lists and stores one message.
pub async fn message(store: &Subject, lease: Lease, key: RemoteKey, subject: &str, seconds: i64) {
    store.add_listed(lease, &[listed(key.clone())], at(seconds)).await.unwrap();
    let stored = store.store_arrivals(lease, vec![arrival(key, subject)], false, at(seconds)).await.unwrap();
    assert_eq!(stored, Stored { n_new: 1, n_renamed: 0 });
}

/// Not BLAKE3, but different for different bytes, which is all that a store asks.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0_u8; 32];
    for (at, byte) in bytes.iter().enumerate() {
        hash[at % 32] = hash[at % 32].wrapping_mul(31) ^ byte;
    }
    hash
}

/// A check that ended so, and gave its lease back.
pub fn finished(run: CheckRun, health: Health) -> Finished {
    Finished {
        run,
        health,
        late_at: None,
        mailbox: None,
        spare_siblings_until: None,
        keeps_lease: false,
        transcript: None,
        tls: None,
    }
}

/// The bytes of a stored message.
pub async fn raw(store: &Subject, id: MessageId) -> Option<Vec<u8>> {
    let mut whole = store.raw_part(id, 0).await.unwrap()?;
    let mut nth = 1;
    while let Some(part) = store.raw_part(id, nth).await.unwrap() {
        whole.extend(part);
        nth += 1;
    }
    Some(whole)
}
