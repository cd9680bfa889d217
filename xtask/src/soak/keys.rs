//! `soak keys [SECRETS]`: the master key is changed under 10,000 passwords while posthorn checks accounts; the command that does it
//! is killed at random moments and called again. In the end the new key alone opens what was stored.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use crate::{
    process::{announce, argument},
    rig::{Account, Random, Rest, Rig},
};

/// How often the command is killed before it may end.
const N_KILLS: u32 = 5;
/// From its first words to the kill.
const LIVES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];
/// The accounts that are checked are so many, and of those some each time.
const N_CHECKED: usize = 100;
const N_AT_ONCE: usize = 10;
/// What the command may hold in memory, KiB, however many secrets there are.
const PEAK_KIB_MAX: u64 = 128 * 1024;

pub(super) fn run(arguments: &[String]) -> Result<()> {
    let n_secrets = argument(arguments, 0, 10_000)?;
    let seed = Random::seed();
    announce(&format!("another master key for {n_secrets} passwords, {N_KILLS} kills, seed {seed}"));
    let mut random = Random::new(seed);
    let rig = Rig::start()?;
    let posthorn = rig.posthorn("posthorn")?.unhurried(N_AT_ONCE);
    let users: Vec<String> = (0..n_secrets).map(|it| format!("key{it}")).collect();
    posthorn.import(&users.iter().map(|it| Account::imap(it, &rig.dovecot)).collect::<Vec<_>>())?;
    let checked: Vec<usize> = (0..users.len()).step_by((users.len() / N_CHECKED).max(1)).collect();
    checked.iter().try_for_each(|it| rig.dovecot.add_mailbox(&users[*it]).map(drop))?;
    let token = posthorn.token()?;
    let (old, new) = (posthorn.key_file(), posthorn.make_key("new")?);
    let posthorn = posthorn
        .with("POSTHORN_MASTER_KEY_FILE", new.display())
        .with("POSTHORN_MASTER_KEY_PREVIOUS_FILES", old.display());
    let instance = posthorn.serve()?;
    let rest = instance.rest(&token);
    let mut check_some = || (0..N_AT_ONCE).try_for_each(|_| check(&rest, checked[random.below(checked.len())]));
    let mut lives = Random::new(!seed);
    for nth in 1..=N_KILLS {
        if posthorn.rotate(Some(lives.between(LIVES[0], LIVES[1])))?.is_some() {
            bail!("it ended before kill {nth}: there are too few secrets");
        }
        check_some()?;
    }
    let began = Instant::now();
    let Some(peak_kib) = posthorn.rotate(None)? else { bail!("nobody killed the command") };
    let took = began.elapsed();
    check_some()?;
    instance.stop()?;
    fs::remove_file(&old)?;
    let instance = posthorn.with("POSTHORN_MASTER_KEY_PREVIOUS_FILES", "").serve()?;
    let rest = instance.rest(&token);
    checked.iter().try_for_each(|it| check(&rest, *it))?;
    instance.stop()?;
    eprintln!("the last call took {took:.1?} and held at most {} MiB", peak_kib / 1024);
    ensure!(peak_kib < PEAK_KIB_MAX, "it held {peak_kib} KiB");
    Ok(())
}

/// Dovecot takes one password only: the one that was sealed.
fn check(rest: &Rest, nth: usize) -> Result<()> {
    let run = rest.post(&format!("/accounts/{}/check", nth + 1))?;
    ensure!(run["outcome"] == "ok", "{run}");
    Ok(())
}
