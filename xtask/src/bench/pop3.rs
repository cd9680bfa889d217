//! The mail of `bench mail` by POP3 over TLS, beside mpop, fetchmail and getmail6 on the same server.

use anyhow::{Result, ensure};

use super::{
    mail::{SIZE, print_peer},
    peers::{Mailbox, USER},
};
use crate::{
    process::{announce, argument},
    rig::{Account, Rig},
};

const N_MESSAGES: u32 = 20_000;

pub(super) fn run(sizes: &[String]) -> Result<()> {
    let n_messages = argument(sizes, 0, N_MESSAGES)?;
    announce(&format!("{n_messages} messages of about {SIZE} bytes by POP3 over TLS"));
    let rig = Rig::start()?;
    rig.dovecot.fill(USER, n_messages, SIZE)?;
    let mailbox =
        Mailbox { folder: rig.folder(), certificate: rig.dovecot.certificate(), port: rig.dovecot.pop3s, n_messages };
    // Once for nobody: the first session has the server read every message for its exact size.
    mailbox.mpop()?;
    let posthorn = rig.posthorn("posthorn")?;
    posthorn.import(&[Account::pop3(USER, &rig.dovecot)])?;
    let first = posthorn.check(1)?;
    ensure!(first.new_messages == u64::from(n_messages), "{} messages arrived", first.new_messages);
    let second = posthorn.check(1)?;
    ensure!(second.new_messages == 0, "the second check stored {} messages again", second.new_messages);
    eprintln!("posthorn            {:>7.2} s   peak resident {} MiB", first.took.as_secs_f64(), first.peak_kib / 1024);
    eprintln!("posthorn, again     {:>7.2} s   nothing new", second.took.as_secs_f64());
    print_peer("mpop", mailbox.mpop()?, first.took);
    print_peer("fetchmail, one file", mailbox.fetchmail()?, first.took);
    print_peer("getmail6", mailbox.getmail()?, first.took);
    Ok(())
}
