//! How much memory a hostile server can make the clients take. Each attack runs in a process of its own, whose peak the system
//! counts.

use std::fs;

use domain::account::{Protocol, Security};
use mail::MailSettings;

use crate::support::{
    PASSWORD, open, patient,
    peer::{Peer, Script},
    program::is_alone,
    visit,
};

/// More than any honest answer needs, in KiB; the peer and the test itself take about 20 MiB of it.
const PEAK_MAX: u64 = 256 * 1024;

fn assert_peak_is_bounded() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < PEAK_MAX, "{} MiB were taken", peak / 1024);
}

/// As an installation runs, whose limit for a message is no small one.
fn usual() -> MailSettings {
    MailSettings { size_limit: MailSettings::default().size_limit, ..patient() }
}

async fn opens_not(protocol: Protocol, script: Script) {
    let peer = Peer::start(script).await;
    assert!(open(usual(), &visit(protocol, Security::Plain, peer.port)).await.is_err());
    peer.end().await;
    assert_peak_is_bounded();
}

#[tokio::test]
async fn a_flood_of_imap_capabilities_does_not_fill_the_memory() {
    if is_alone("memory::a_flood_of_imap_capabilities_does_not_fill_the_memory") {
        let flood = format!("* CAPABILITY{}\r\n", " a".repeat(400_000));
        let script = Script::default().send("* OK ready\r\n").expect("P1 CAPABILITY").flood(flood);
        opens_not(Protocol::Imap, script).await;
    }
}

#[tokio::test]
async fn a_flood_of_pop3_capabilities_does_not_fill_the_memory() {
    if is_alone("memory::a_flood_of_pop3_capabilities_does_not_fill_the_memory") {
        let script = Script::default().send("+OK ready\r\n").answer("CAPA", "+OK\r\n");
        // As much as is read, and then an end: whatever was read is looked at.
        let script = script.send("a\r\n".repeat(16 * 1024 * 1024)).send(".\r\n").close();
        opens_not(Protocol::Pop3, script).await;
    }
}

#[tokio::test]
async fn a_flood_of_pop3_messages_does_not_fill_the_memory() {
    if is_alone("memory::a_flood_of_pop3_messages_does_not_fill_the_memory") {
        let script = Script::default()
            .send("+OK ready\r\n")
            .answer("CAPA", "-ERR\r\n")
            .answer("USER user", "+OK\r\n")
            .answer(PASSWORD, "+OK\r\n")
            .answer("CAPA", "-ERR\r\n")
            .answer("STAT", "+OK 2 100\r\n")
            .answer("LIST", "+OK\r\n")
            .send("1 5\r\n".repeat(10 * 1024 * 1024))
            .send(".\r\n")
            .close();
        let peer = Peer::start(script).await;
        let (mut mailbox, _) = open(usual(), &visit(Protocol::Pop3, Security::Plain, peer.port)).await.unwrap();
        assert!(mailbox.list().await.is_err());
        drop(mailbox);
        peer.end().await;
        assert_peak_is_bounded();
    }
}

/// For comparison: a listing that is as long as may be.
#[tokio::test]
async fn a_flood_of_imap_messages_does_not_fill_the_memory() {
    if is_alone("memory::a_flood_of_imap_messages_does_not_fill_the_memory") {
        let script = Script::default()
            .send("* OK ready\r\n")
            .answer("P1 CAPABILITY", "* CAPABILITY AUTH=PLAIN SASL-IR\r\nP1 OK\r\n")
            .answer("P2 AUTHENTICATE", "P2 OK\r\n")
            .answer("P3 CAPABILITY", "P3 OK\r\n")
            .answer("P4 SELECT", "* 1 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nP4 OK\r\n")
            .expect("P5 UID FETCH")
            .flood("* 1 FETCH (UID 1)\r\n".repeat(10_000));
        let peer = Peer::start(script).await;
        let (mut mailbox, _) = open(usual(), &visit(Protocol::Imap, Security::Plain, peer.port)).await.unwrap();
        assert!(mailbox.list().await.is_err());
        drop(mailbox);
        peer.end().await;
        assert_peak_is_bounded();
    }
}
