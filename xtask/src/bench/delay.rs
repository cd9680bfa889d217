//! `bench mail` with fewer messages, over the loopback as it is and through a relay that makes the way 25 ms long each way.

use std::time::Duration;

use anyhow::Result;

use super::{
    mail::{SIZE, measure},
    peers::{Mailbox, USER},
};
use crate::{
    process::{announce, argument},
    rig::{Relay, Rig},
};

const N_MESSAGES: u32 = 5_000;
const DELAY: Duration = Duration::from_millis(25);

pub(super) fn run(sizes: &[String]) -> Result<()> {
    let n_messages = argument(sizes, 0, N_MESSAGES)?;
    announce(&format!("{n_messages} messages of about {SIZE} bytes by IMAP over TLS, without and with a long way"));
    let rig = Rig::start()?;
    rig.dovecot.fill(USER, n_messages, SIZE)?;
    let relay = Relay::start(rig.dovecot.imaps, DELAY)?;
    let through = |port| Mailbox { folder: rig.folder(), certificate: rig.dovecot.certificate(), port, n_messages };
    through(rig.dovecot.imaps).mbsync("no")?;
    for (way, port) in [("no delay", rig.dovecot.imaps), ("25 ms each way", relay.port)] {
        let figures = measure(&rig, &through(port))?;
        eprintln!("{way}:");
        figures.print();
    }
    Ok(())
}
