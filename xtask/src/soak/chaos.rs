//! `soak chaos [SECONDS]`: three instances on one PostgreSQL, killed and restarted at random for five minutes. No account is late
//! by more than two intervals, and no two run the same account at once.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::WENT_AWAY;
use crate::{
    process::{announce, argument},
    rig::{Account, Instance, Posthorn, Random, Relay, Rig, database, wait_until},
    test::Cluster,
};

const N_ACCOUNTS: u32 = 60;
const INTERVAL: Duration = Duration::from_mins(1);
/// What the collector takes an account for.
const LEASE: Duration = Duration::from_mins(1);
/// The same from the beginning of the run, which is a little later.
const LEASE_OF_RUN: Duration = Duration::from_secs(55);
/// Until an instance is known to the store.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// On each way to the server: a check takes long enough to be hit.
const DELAY: Duration = Duration::from_millis(100);
const BETWEEN_KILLS: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(15)];
const DOWN_FOR: [Duration; 2] = [Duration::ZERO, Duration::from_secs(4)];

pub(super) fn run(arguments: &[String]) -> Result<()> {
    let lasts = Duration::from_secs(argument(arguments, 0, 300)?.into());
    let seed = Random::seed();
    announce(&format!("three instances on one PostgreSQL, {N_ACCOUNTS} accounts, kills for {lasts:?}, seed {seed}"));
    let rig = Rig::start()?;
    let cluster = Cluster::start()?;
    let relay = Relay::start(rig.dovecot.imaps, DELAY)?;
    let posthorn = |name| Ok(rig.posthorn(name)?.unhurried(32).with("POSTHORN_DATABASE_URL", &cluster.url));
    let posthorns = ["one", "two", "three"].map(posthorn).into_iter().collect::<Result<Vec<_>>>()?;
    let interval_s = u32::try_from(INTERVAL.as_secs())?;
    let account = |it| {
        let account = Account::imap(&format!("chaos{it}"), &rig.dovecot).every(interval_s);
        Account { port: relay.port, ..account }
    };
    posthorns[0].import(&(0..N_ACCOUNTS).map(account).collect::<Vec<_>>())?;
    let mut served = posthorns.iter().map(|it| Served::start(it, &cluster)).collect::<Result<Vec<_>>>()?;
    let n_kills = storm(&cluster, &posthorns, &mut served, lasts, seed)?;
    // What the last kill hit comes up again when its lease has ended.
    thread::sleep(LEASE + INTERVAL);
    for it in &mut served {
        ensure!(it.instance.is_running()?, "an instance ended by itself");
    }
    let proven = prove(&cluster, n_kills);
    served.into_iter().try_for_each(|it| it.instance.stop())?;
    proven
}

/// An instance and the moment by which the store knows it.
struct Served {
    instance: Instance,
    started_at: i64,
}

impl Served {
    fn start(posthorn: &Posthorn, cluster: &Cluster) -> Result<Served> {
        let newest =
            || anyhow::Ok(database::postgres(cluster, "SELECT COALESCE(MAX(started_at), 0) FROM instances")?[0][0]);
        // The database of the first has no tables yet.
        let before = newest().unwrap_or_default();
        let instance = posthorn.serve()?;
        wait_until("an instance to announce itself", START_DEADLINE, || Ok(newest()? > before))?;
        Ok(Served { instance, started_at: newest()? })
    }
}

/// Kills one after the other and starts it again; answers with how many. Every second kill is aimed at a check: on a machine
/// that is fast enough chance alone would hit none.
fn storm(cluster: &Cluster, posthorns: &[Posthorn], served: &mut [Served], lasts: Duration, seed: u64) -> Result<u32> {
    // Two kills in a row for one account are two leases in a row, which is more than is promised: those wait a little.
    let hit_before = format!(
        "SELECT COUNT(*) FROM check_runs r JOIN check_runs p ON p.account_id = r.account_id
         WHERE r.finished_at IS NULL AND p.finished_at = r.started_at AND p.error_message = '{WENT_AWAY}'"
    );
    let at_work = "SELECT i.started_at FROM check_runs r JOIN accounts a ON a.id = r.account_id
         JOIN instances i ON i.id = a.lease_owner WHERE r.finished_at IS NULL ORDER BY r.id DESC LIMIT 1";
    let mut random = Random::new(seed);
    let began = Instant::now();
    let mut n_kills = 0_u32;
    while began.elapsed() < lasts {
        thread::sleep(random.between(BETWEEN_KILLS[0], BETWEEN_KILLS[1]));
        let mut nth = random.below(served.len());
        let is_aimed = n_kills.is_multiple_of(2);
        wait_until("a moment to kill", INTERVAL, || {
            if database::postgres(cluster, &hit_before)?[0][0] > 0 {
                return Ok(false);
            }
            let running = database::postgres(cluster, at_work)?.first().map(|it| it[0]);
            let holder = served.iter().position(|it| Some(it.started_at) == running);
            nth = holder.filter(|_| is_aimed).unwrap_or(nth);
            Ok(holder.is_some() || !is_aimed)
        })?;
        ensure!(served[nth].instance.is_running()?, "an instance ended by itself");
        served[nth].instance.kill()?;
        n_kills += 1;
        thread::sleep(random.between(DOWN_FOR[0], DOWN_FOR[1]));
        served[nth] = Served::start(&posthorns[nth], cluster)?;
    }
    Ok(n_kills)
}

/// Reads from the runs what happened.
fn prove(cluster: &Cluster, n_kills: u32) -> Result<()> {
    let one = |select: &str| database::postgres(cluster, select)?.pop().context("a row");
    let runs = one(&format!(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE error_message = '{WENT_AWAY}'),
             COUNT(*) FILTER (WHERE outcome = 'failed' AND error_message <> '{WENT_AWAY}'),
             COALESCE(MAX(started_at - due_at), 0), COUNT(DISTINCT account_id)
         FROM check_runs"
    ))?;
    // An account that nobody takes any more is in no run.
    let waiting =
        one("SELECT COALESCE(MAX((EXTRACT(EPOCH FROM now()) * 1000000)::BIGINT - next_check_at), 0) FROM accounts
         WHERE next_check_at IS NOT NULL")?[0];
    let no_schedule = one("SELECT COUNT(*) FROM accounts WHERE next_check_at IS NULL")?[0];
    // A run that was cut short is ended by the next one, in its name: that one must have waited for the lease.
    let overlaps = one(&format!(
        "SELECT COUNT(*) FILTER (WHERE NOT was_cut AND finished_at > next_started_at),
             COUNT(*) FILTER (WHERE was_cut AND next_started_at - started_at < {})
         FROM (SELECT started_at, COALESCE(finished_at, 9223372036854775807) AS finished_at,
                 COALESCE(error_message, '') = '{WENT_AWAY}' AS was_cut,
                 LEAD(started_at) OVER (PARTITION BY account_id ORDER BY id) AS next_started_at
             FROM check_runs) AS pairs
         WHERE next_started_at IS NOT NULL",
        LEASE_OF_RUN.as_micros()
    ))?;
    let latest = Duration::from_micros(runs[3].max(waiting).max(0).unsigned_abs());
    eprintln!(
        "{n_kills} kills; {} runs, of which {} were cut short and {} failed otherwise",
        runs[0], runs[1], runs[2]
    );
    eprintln!(
        "latest start: {latest:.1?} after it was due; overlaps: {}, within a lease: {}",
        overlaps[0], overlaps[1]
    );
    ensure!(runs[1] > 0, "no kill hit a check: nothing is proven");
    ensure!(runs[4] == i64::from(N_ACCOUNTS) && no_schedule == 0, "accounts were left out");
    ensure!(latest <= 2 * INTERVAL, "an account was late by more than two intervals");
    ensure!(overlaps == [0, 0], "two runs of one account overlap");
    Ok(())
}
