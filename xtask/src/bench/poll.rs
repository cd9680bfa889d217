//! Accounts with nothing new: how many a second one `posthorn serve` checks, and at what cost, beside a bare client that logs
//! in, looks and logs out on the same Dovecot.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    process::{announce, argument},
    rig::{Account, Posthorn, Rig, client::Client, usage, wait_until},
};

const N_ACCOUNTS: u32 = 400;
/// Messages in each mailbox, which the first round fetches.
const N_MESSAGES: u32 = 3;
const AT_ONCE: usize = 32;
/// Rounds with nothing new.
const N_ROUNDS: u32 = 3;
/// The shortest that an account may have; the server adds up to a tenth.
const INTERVAL_S: u32 = 60;
const ALL_DUE_AFTER: Duration = Duration::from_secs(70);
const PATIENCE: Duration = Duration::from_mins(5);

pub(super) fn run(sizes: &[String]) -> Result<()> {
    let n_accounts = argument(sizes, 0, N_ACCOUNTS)?;
    announce(&format!("{n_accounts} accounts with nothing new, by IMAP over TLS, {AT_ONCE} at once"));
    let rig = Rig::start()?;
    let users: Vec<String> = (0..n_accounts).map(|it| format!("poll{it}")).collect();
    for user in &users {
        rig.dovecot.fill(user, N_MESSAGES, 2_000)?;
    }
    let client = Client::new(&rig.dovecot.certificate(), rig.dovecot.imaps)?;
    let posthorn = rig.posthorn("posthorn")?.unhurried(AT_ONCE);
    let accounts: Vec<_> = users.iter().map(|it| Account::imap(it, &rig.dovecot).every(INTERVAL_S)).collect();
    posthorn.import(&accounts)?;
    let first = round(&posthorn, n_accounts)?;
    eprintln!("posthorn, first round, {} messages: {:.0} accounts/s", first.n_messages, first.rate);
    let mut rounds = Vec::new();
    for nth in 1..=N_ROUNDS {
        let ended = Instant::now();
        let floor = bare_round(&client, &users)?;
        // Everything falls due while nobody looks.
        thread::sleep(ALL_DUE_AFTER.saturating_sub(ended.elapsed()));
        let ours = round(&posthorn, n_accounts)?;
        ensure!(ours.n_messages == 0, "{} messages were new", ours.n_messages);
        let Round { rate, milliseconds_each, .. } = ours;
        eprintln!("round {nth}: posthorn {rate:.0} accounts/s, {milliseconds_each:.2} ms of processor time a check;");
        eprintln!("         bare client {floor:.0} accounts/s; posthorn has {:.2} of its rate", rate / floor);
        rounds.push(rate / floor);
    }
    rounds.sort_by(f64::total_cmp);
    eprintln!("median: {:.2} of the bare client's rate", rounds.get(rounds.len() / 2).context("no rounds")?);
    Ok(())
}

struct Round {
    /// Accounts a second, from the first start to the last end.
    rate: f64,
    milliseconds_each: f64,
    n_messages: i64,
}

/// Serves until every account was checked once.
fn round(posthorn: &Posthorn, n_accounts: u32) -> Result<Round> {
    let last = posthorn.rows("SELECT COALESCE(MAX(id), 0) FROM check_runs").map_or(0, |it| it[0][0]);
    let instance = posthorn.serve()?;
    let before = usage::processor_time(instance.id())?;
    let select = format!(
        "SELECT COUNT(finished_at), COALESCE(MIN(started_at), 0), COALESCE(MAX(finished_at), 0),
             COALESCE(SUM(new_messages), 0), COALESCE(SUM(outcome = 'failed'), 0)
         FROM check_runs WHERE id > {last}"
    );
    let mut row = Vec::new();
    wait_until("every account to be checked", PATIENCE, || {
        row = posthorn.rows(&select)?.pop().context("a row")?;
        Ok(row[0] >= i64::from(n_accounts))
    })?;
    let spent = usage::processor_time(instance.id())?.saturating_sub(before);
    instance.stop()?;
    let &[n, began, ended, n_messages, n_failed] = row.as_slice() else { bail!("{row:?}") };
    ensure!(n_failed == 0, "{n_failed} checks failed");
    let (n, took) = (f64::from(u32::try_from(n)?), Duration::from_micros(u64::try_from(ended - began)?));
    Ok(Round { rate: n / took.as_secs_f64(), milliseconds_each: spent.as_secs_f64() * 1e3 / n, n_messages })
}

/// Accounts a second that the bare client manages.
fn bare_round(client: &Client, users: &[String]) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        let poll = || -> Result<()> {
            while let Some(user) = users.get(next.fetch_add(1, Ordering::Relaxed)) {
                client.poll(user)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(poll)).collect();
        workers.into_iter().try_for_each(|it| it.join().unwrap_or_else(|_| bail!("a worker broke off")))
    })?;
    Ok(f64::from(u32::try_from(users.len())?) / began.elapsed().as_secs_f64())
}
