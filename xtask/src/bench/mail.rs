//! 20,000 messages of about 18 kB from Dovecot by IMAP over TLS: checked twice, stored once, beside mbsync on the same server,
//! and beside a client that throws away what it reads.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::peers::{Mailbox, USER};
use crate::{
    process::{announce, argument},
    rig::{Account, Rig, client::Client},
};

const N_MESSAGES: u32 = 20_000;
/// Of a message, bytes.
pub(super) const SIZE: usize = 18_000;

pub(super) fn run(sizes: &[String]) -> Result<()> {
    let n_messages = argument(sizes, 0, N_MESSAGES)?;
    announce(&format!("{n_messages} messages of about {SIZE} bytes by IMAP over TLS"));
    let rig = Rig::start()?;
    rig.dovecot.fill(USER, n_messages, SIZE)?;
    let mailbox =
        Mailbox { folder: rig.folder(), certificate: rig.dovecot.certificate(), port: rig.dovecot.imaps, n_messages };
    // Once for nobody, so that the first reader does not pay for the server's index.
    mailbox.mbsync("no")?;
    measure(&rig, &mailbox)?.print();
    Ok(())
}

/// What everybody took for the same mailbox.
pub(super) struct Figures {
    floor: Duration,
    posthorn: Duration,
    peak_kib: u64,
    again: Duration,
    peers: [(&'static str, Duration); 2],
}

/// Has the mailbox fetched by everybody, one after the other, each into something empty.
pub(super) fn measure(rig: &Rig, mailbox: &Mailbox<'_>) -> Result<Figures> {
    let floor = floor(mailbox)?;
    let posthorn = rig.posthorn(&format!("posthorn-{}", mailbox.port))?;
    posthorn.import(&[Account { port: mailbox.port, ..Account::imap(USER, &rig.dovecot) }])?;
    let first = posthorn.check(1)?;
    ensure!(first.new_messages == u64::from(mailbox.n_messages), "{} messages arrived", first.new_messages);
    let second = posthorn.check(1)?;
    ensure!(second.new_messages == 0, "the second check stored {} messages again", second.new_messages);
    let peers = [("mbsync", mailbox.mbsync("yes")?), ("mbsync, FSync no", mailbox.mbsync("no")?)];
    Ok(Figures { floor, posthorn: first.took, peak_kib: first.peak_kib, again: second.took, peers })
}

/// The fastest of three readings that keep nothing.
fn floor(mailbox: &Mailbox<'_>) -> Result<Duration> {
    let client = Client::new(&mailbox.certificate, mailbox.port)?;
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let drained = client.drain(USER)?;
        ensure!(drained.n_messages == u64::from(mailbox.n_messages), "the floor is {} messages", drained.n_messages);
        fastest = fastest.min(drained.took);
    }
    Ok(fastest)
}

impl Figures {
    pub(super) fn print(&self) {
        let ours = self.posthorn.as_secs_f64();
        eprintln!("posthorn            {ours:>7.2} s   peak resident {} MiB", self.peak_kib / 1024);
        eprintln!("posthorn, again     {:>7.2} s   nothing new", self.again.as_secs_f64());
        let others = [("floor, keeps nothing", self.floor)];
        for (name, took) in others.iter().chain(&self.peers) {
            print_peer(name, *took, self.posthorn);
        }
    }
}

pub(super) fn print_peer(name: &str, took: Duration, ours: Duration) {
    let ratio = took.as_secs_f64() / ours.as_secs_f64();
    eprintln!("{name:<20}{:>7.2} s   {ratio:.2} x the time of posthorn", took.as_secs_f64());
}
