//! What a watched mailbox costs while nothing happens: resident memory of one `posthorn serve` that idles on 2,000 IMAP
//! connections over TLS.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    process::announce,
    rig::{Account, Instance, Rig, usage},
};

/// Half of them come first: what the second half adds is free of what is paid once.
const N_HALF: usize = 1_000;
const AT_ONCE: usize = 2_500;
/// All connections have to be there for so long, with no more and no fewer between.
const STEADY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(10);

pub(super) fn run() -> Result<()> {
    announce(&format!("{} idle IMAP connections over TLS", 2 * N_HALF));
    let rig = Rig::start()?;
    let posthorn = rig.posthorn("posthorn")?.unhurried(32).with("POSTHORN_IDLE_AT_ONCE", AT_ONCE);
    let mut instance = posthorn.serve()?;
    let before = usage::resident(instance.id())?;
    let mut at = [0; 2];
    for (nth, resident) in at.iter_mut().enumerate() {
        let user = |it| Account { push: true, ..Account::imap(&format!("idle{it}"), &rig.dovecot).every(86_400) };
        posthorn.import(&(nth * N_HALF..(nth + 1) * N_HALF).map(user).collect::<Vec<_>>())?;
        wait_for_connections(&mut instance, rig.dovecot.imaps, (nth + 1) * N_HALF)?;
        *resident = usage::resident(instance.id())?;
    }
    let [half, all] = at;
    let each =
        |kib: u64, n: usize| Ok::<_, anyhow::Error>(f64::from(u32::try_from(kib)?) / f64::from(u32::try_from(n)?));
    eprintln!("resident: {before} KiB without, {half} KiB with {N_HALF}, {all} KiB with {} connections", 2 * N_HALF);
    eprintln!("a connection: {:.1} KiB of all", each(all.saturating_sub(before), 2 * N_HALF)?);
    eprintln!("              {:.1} KiB of the second half", each(all.saturating_sub(half), N_HALF)?);
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
