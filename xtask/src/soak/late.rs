//! `soak late [ACCOUNTS] [SECONDS]`: how late checks begin, and whether memory stays flat: 10,000 accounts every five minutes
//! for a quarter of an hour.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    process::{announce, argument},
    rig::{Account, Instance, Posthorn, Rig, database::percentile, usage},
};

const INTERVAL: Duration = Duration::from_mins(5);
/// The shortest that an account may have.
const INTERVAL_MIN: Duration = Duration::from_mins(1);
/// Three intervals: the first round, a warm one, and some to spare.
const N_INTERVALS: u32 = 3;
const AT_ONCE: usize = 32;
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

pub(super) fn run(arguments: &[String]) -> Result<()> {
    let (n_accounts, seconds) = (argument(arguments, 0, 10_000)?, argument(arguments, 1, 900)?);
    let lasts = Duration::from_secs(seconds.into()).max(N_INTERVALS * INTERVAL_MIN);
    let interval = INTERVAL.min(lasts / N_INTERVALS);
    announce(&format!("{n_accounts} accounts every {interval:?} for {lasts:?}"));
    let rig = Rig::start()?;
    let posthorn = rig.posthorn("posthorn")?.unhurried(AT_ONCE);
    let interval_s = u32::try_from(interval.as_secs())?;
    let account = |it| Account::imap(&format!("late{it}"), &rig.dovecot).every(interval_s);
    posthorn.import(&(0..n_accounts).map(account).collect::<Vec<_>>())?;
    let mut instance = posthorn.serve()?;
    let memory = sample(&mut instance, lasts)?;
    // All are due at once at first, which says nothing of a schedule: what fell due after the first interval counts.
    let began = posthorn.rows("SELECT MIN(started_at) FROM check_runs")?[0][0];
    print_memory(&memory, interval);
    let latest = print_lateness(&posthorn, began + i64::try_from(interval.as_micros())?)?;
    ensure!(latest <= interval, "an account was late by more than an interval");
    instance.stop()
}

/// The resident size over time, KiB.
fn sample(instance: &mut Instance, lasts: Duration) -> Result<Vec<(Duration, u64)>> {
    let began = Instant::now();
    let mut memory = Vec::new();
    while began.elapsed() < lasts {
        ensure!(instance.is_running()?, "posthorn ended");
        memory.push((began.elapsed(), usage::resident(instance.id())?));
        thread::sleep(SAMPLE_EVERY.min(lasts.saturating_sub(began.elapsed())));
    }
    Ok(memory)
}

fn print_memory(memory: &[(Duration, u64)], warm_after: Duration) {
    let warm: Vec<u64> = memory.iter().filter(|it| it.0 >= warm_after).map(|it| it.1).collect();
    let (Some(least), Some(most)) = (warm.iter().min(), warm.iter().max()) else { return };
    let mean = |part: &[u64]| part.iter().sum::<u64>() / part.len().max(1) as u64;
    let third = warm.len().div_ceil(3);
    let (early, recent) = (mean(&warm[..third]), mean(&warm[warm.len() - third..]));
    eprintln!(
        "resident after {warm_after:?}: {least} to {most} KiB; {early} KiB in the first third, {recent} in the last"
    );
}

/// Of what fell due since then; answers with the most.
fn print_lateness(posthorn: &Posthorn, since: i64) -> Result<Duration> {
    let counts = format!(
        "SELECT COUNT(*), COALESCE(SUM(outcome <> 'ok'), 0) FROM check_runs
         WHERE due_at >= {since} AND finished_at IS NOT NULL"
    );
    let counts = posthorn.rows(&counts)?.pop().context("a row")?;
    let late = format!("SELECT started_at - due_at AS late FROM check_runs WHERE due_at >= {since} ORDER BY late");
    let late: Vec<i64> = posthorn.rows(&late)?.into_iter().flatten().collect();
    ensure!(!late.is_empty(), "no run fell due after the first interval");
    let at = [50, 95, 99, 100].map(|share| Duration::from_micros(percentile(&late, share).max(0).unsigned_abs()));
    let [p50, p95, p99, most] = at;
    eprintln!(
        "{} runs, {} of them failed; late by {p50:.1?} (p50), {p95:.1?} (p95), {p99:.1?} (p99), {most:.1?} at most",
        counts[0], counts[1]
    );
    // What has not begun at all is in no run.
    let waiting = "SELECT COUNT(*), COALESCE(MAX(now - next_check_at), 0) FROM accounts,
         (SELECT CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER) AS now)
         WHERE lease_owner IS NULL AND next_check_at < now";
    let waiting = posthorn.rows(waiting)?.pop().context("a row")?;
    let longest = Duration::from_micros(waiting[1].max(0).unsigned_abs());
    eprintln!("at the end {} accounts are due and wait, {longest:.1?} at most", waiting[0]);
    ensure!(counts[1] == 0, "checks failed");
    Ok(most.max(longest))
}
