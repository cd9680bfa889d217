//! One message of 500 MB, by IMAP and by POP3 over TLS: how long, and how much of it is in memory at once.

use anyhow::{Result, ensure};

use super::mail::print_peer;
use crate::{
    process::{announce, argument},
    rig::{Account, Rig, client::Client},
};

const MEGABYTES: u32 = 500;
/// Bytes.
const LIMIT: u64 = 1 << 30;
const USER: &str = "large";

pub(super) fn run(sizes: &[String]) -> Result<()> {
    let megabytes = argument(sizes, 0, MEGABYTES)?;
    announce(&format!("one message of {megabytes} MB over TLS"));
    let rig = Rig::start()?;
    rig.dovecot.fill(USER, 1, usize::try_from(megabytes)? * 1_000_000)?;
    let client = Client::new(&rig.dovecot.certificate(), rig.dovecot.imaps)?;
    // Once for nobody: the server reads a new message through, for its exact size.
    client.drain(USER)?;
    let floor = client.drain(USER)?.took;
    for (way, account) in [("IMAP", Account::imap(USER, &rig.dovecot)), ("POP3", Account::pop3(USER, &rig.dovecot))] {
        let posthorn = rig.posthorn(way)?.with("POSTHORN_MESSAGE_SIZE_LIMIT", LIMIT);
        posthorn.import(&[account])?;
        let checked = posthorn.check(1)?;
        ensure!(checked.new_messages == 1, "{way}: the message did not arrive");
        let (seconds, peak) = (checked.took.as_secs_f64(), checked.peak_kib / 1024);
        eprintln!("posthorn, {way}      {seconds:>7.2} s   peak resident {peak} MiB");
        print_peer("floor, IMAP", floor, checked.took);
    }
    Ok(())
}
