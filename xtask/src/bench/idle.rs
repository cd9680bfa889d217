//! What a watched mailbox costs while nothing happens: resident memory of one `posthorn serve` that idles on 2,000 IMAP
//! connections over TLS.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    process::{announce, argument},
    rig::{Account, Instance, Rig, usage},
};

const N_CONNECTIONS: u32 = 2_000;
const AT_ONCE: usize = 2_500;
/// All connections have to be there for so long, with no more and no fewer between.
const STEADY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(10);

pub(super) fn run(sizes: &[String]) -> Result<()> {
    let n_all = argument(sizes, 0, N_CONNECTIONS)?;
    // Half of them come first: what the second half adds is free of what is paid once.
    let n_half = n_all / 2;
    announce(&format!("{n_all} idle IMAP connections over TLS"));
    let rig = Rig::start()?;
    let posthorn = rig.posthorn("posthorn")?.unhurried(32).with("POSTHORN_IDLE_AT_ONCE", AT_ONCE);
    let mut instance = posthorn.serve()?;
    let before = usage::resident(instance.id())?;
    let mut at = [0; 2];
    for (users, resident) in [0..n_half, n_half..n_all].into_iter().zip(&mut at) {
        let n_wanted = usize::try_from(users.end)?;
        let watched = |it| Account { push: true, ..Account::imap(&format!("idle{it}"), &rig.dovecot).every(86_400) };
        posthorn.import(&users.map(watched).collect::<Vec<_>>())?;
        wait_for_connections(&mut instance, rig.dovecot.imaps, n_wanted)?;
        *resident = usage::resident(instance.id())?;
    }
    let [half, all] = at;
    let each = |kib: u64, n: u32| Ok::<_, anyhow::Error>(f64::from(u32::try_from(kib)?) / f64::from(n));
    eprintln!("resident: {before} KiB without, {half} KiB with {n_half}, {all} KiB with {n_all} connections");
    eprintln!("a connection: {:.1} KiB of all", each(all.saturating_sub(before), n_all)?);
    eprintln!("              {:.1} KiB of the second half", each(all.saturating_sub(half), n_all - n_half)?);
    Ok(())
}

fn wait_for_connections(instance: &mut Instance, port: u16, n_wanted: usize) -> Result<()> {
    let began = Instant::now();
    let mut steady_since = None;
    loop {
        let n = usage::connections(port)?;
        let since = if n == n_wanted { *steady_since.get_or_insert_with(Instant::now) } else { Instant::now() };
        if n != n_wanted {
            steady_since = None;
        } else if since.elapsed() >= STEADY {
            return Ok(());
        }
        if began.elapsed() > PATIENCE || !instance.is_running()? {
            bail!("{n} connections are established, not {n_wanted}");
        }
        thread::sleep(Duration::from_millis(500));
    }
}
