//! `soak kill [KILLS]`: mail keeps coming while posthorn, which is to leave nothing on the server, is killed 200 times at random
//! moments. In the end everything is here once, and nothing is there.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::WENT_AWAY;
use crate::{
    process::{announce, argument},
    rig::{Account, Posthorn, Random, Rest, Rig, wait_until, write_message},
};

/// An account whose check was killed rests until its lease ends: enough of them for others to be at work meanwhile.
const N_ACCOUNTS: usize = 60;
/// Who asks for checks, all the time.
const N_ASKING: usize = 6;
const INTERVAL_S: u32 = 60;
/// Nobody is to wait long for an account that rests.
const HASTE: Duration = Duration::from_secs(2);
/// From listening to the kill.
const LIVES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(2_500)];
/// Between two deliveries.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];
/// Messages of a delivery, at most: enough for a check to be in the middle of something.
const BURST: usize = 10;
/// Longer than a lease and an interval together.
const PATIENCE: Duration = Duration::from_mins(6);

/// A message of an account, byte for byte; then how often it was delivered and how often it is stored.
type Tally = HashMap<(usize, Vec<u8>), [u32; 2]>;

pub(super) fn run(arguments: &[String]) -> Result<()> {
    let n_kills = argument(arguments, 0, 200)?;
    let seed = Random::seed();
    announce(&format!(
        "{n_kills} kills while mail comes in, {N_ACCOUNTS} accounts, IMAP and POP3 by turns, seed {seed}"
    ));
    let rig = Rig::start()?;
    let posthorn = rig.posthorn("posthorn")?.unhurried(2 * N_ASKING);
    let users: Vec<String> = (0..N_ACCOUNTS).map(|it| format!("kill{it}")).collect();
    let account = |(nth, user): (usize, &String)| {
        let make = if nth % 2 == 0 { Account::imap } else { Account::pop3 };
        Account { keep_copy: false, ..make(user, &rig.dovecot).every(INTERVAL_S) }
    };
    posthorn.import(&users.iter().enumerate().map(account).collect::<Vec<_>>())?;
    let token = posthorn.token()?;
    let mailboxes = users.iter().map(|it| rig.dovecot.add_mailbox(it)).collect::<Result<Vec<_>>>()?;
    let mut tally = storm(&posthorn, &token, &mailboxes, n_kills, seed)?;
    let instance = posthorn.serve()?;
    let rest = instance.rest(&token);
    let hasty = Rest { patience: HASTE, ..rest.clone() };
    wait_until("every mailbox to be empty", PATIENCE, || {
        // By themselves they come up once a minute; a check that fails here is tried again.
        mailboxes.iter().enumerate().filter(|(_, it)| !is_empty(it)).for_each(|(nth, _)| ask(&hasty, nth));
        Ok(mailboxes.iter().all(|it| is_empty(it)))
    })?;
    count_stored(&rest, &mut tally)?;
    instance.stop()?;
    let n_cut = format!("SELECT COUNT(*) FROM check_runs WHERE error_message = '{WENT_AWAY}'");
    let n_damaged = "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
    eprintln!("{} checks were cut short", posthorn.rows(&n_cut)?[0][0]);
    ensure!(posthorn.rows(n_damaged)?[0][0] == 0, "the database is damaged");
    report(&tally)
}

/// Delivers, asks and kills, side by side; answers with what was delivered.
fn storm(posthorn: &Posthorn, token: &str, mailboxes: &[PathBuf], n_kills: u32, seed: u64) -> Result<Tally> {
    let running: Mutex<Option<Rest>> = Mutex::default();
    let current = || running.lock().unwrap_or_else(PoisonError::into_inner);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(mailboxes, &is_over, Random::new(seed)));
        for nth in 1..=N_ASKING as u64 {
            let (is_over, current, mut random) = (&is_over, &current, Random::new(seed.wrapping_add(nth)));
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let rest = current().clone();
                    match rest {
                        Some(rest) => ask(&rest, random.below(N_ACCOUNTS)),
                        None => thread::sleep(PAUSES[0]),
                    }
                }
            });
        }
        let mut random = Random::new(!seed);
        let killed = (1..=n_kills).try_for_each(|nth| -> Result<()> {
            let instance = posthorn.serve()?;
            *current() = Some(Rest { patience: HASTE, ..instance.rest(token) });
            thread::sleep(random.between(LIVES[0], LIVES[1]));
            drop(instance);
            *current() = None;
            if nth % 20 == 0 {
                eprintln!("{nth} kills");
            }
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        let fed = feeder.join().unwrap_or_else(|_| bail!("the feeder broke off"));
        killed?;
        fed
    })
}

/// Has an account checked. What comes of it shows in the end.
fn ask(rest: &Rest, nth: usize) {
    _ = rest.post(&format!("/accounts/{}/check", nth + 1));
}

/// Delivers as a mail server does, until it is over: written in `tmp`, then moved to `new`. Several at once, and every
/// eighth comes twice.
fn feed(mailboxes: &[PathBuf], is_over: &AtomicBool, mut random: Random) -> Result<Tally> {
    let mut tally = Tally::new();
    let mut n_files = 0_u32;
    let mut n_messages = 0_u32;
    while !is_over.load(Ordering::Relaxed) {
        let nth = random.below(mailboxes.len());
        for _ in 0..=random.below(BURST) {
            n_messages += 1;
            let size = [300, 2_000, 12_000][random.below(3)];
            let mut message = Vec::new();
            write_message(&mut message, &n_messages.to_string(), size, &mut random)?;
            let copies = if n_messages.is_multiple_of(8) { 2 } else { 1 };
            for _ in 0..copies {
                n_files += 1;
                deliver(&mailboxes[nth], &format!("{}.M{n_files}P1.soak", 1_700_000_000 + n_files), &message)?;
            }
            tally.entry((nth, message)).or_default()[0] += copies;
        }
        thread::sleep(random.between(PAUSES[0], PAUSES[1]));
    }
    Ok(tally)
}

fn deliver(mailbox: &Path, name: &str, message: &[u8]) -> Result<()> {
    let written = mailbox.join("tmp").join(name);
    fs::write(&written, message)?;
    Ok(fs::rename(written, mailbox.join("new").join(name))?)
}

fn is_empty(mailbox: &Path) -> bool {
    ["cur", "new", "tmp"].iter().all(|it| fs::read_dir(mailbox.join(it)).is_ok_and(|mut it| it.next().is_none()))
}

fn count_stored(rest: &Rest, tally: &mut Tally) -> Result<()> {
    for nth in 0..N_ACCOUNTS {
        for message in rest.list(&format!("/accounts/{}/messages", nth + 1))? {
            let raw = rest.bytes(&format!("/messages/{}/raw", message["id"].as_i64().context("id")?))?;
            tally.entry((nth, raw)).or_default()[1] += 1;
        }
    }
    Ok(())
}

fn report(tally: &Tally) -> Result<()> {
    let sum = |of: fn(&[u32; 2]) -> u32| tally.values().map(of).sum::<u32>();
    let (delivered, stored) = (sum(|it| it[0]), sum(|it| it[1]));
    let lost = sum(|it| it[0].saturating_sub(it[1]));
    let doubled = sum(|it| it[1].saturating_sub(it[0]));
    eprintln!(
        "{delivered} messages delivered, {stored} stored: {lost} lost, {doubled} doubled; the mailboxes are empty"
    );
    ensure!(delivered > 0 && lost == 0 && doubled == 0, "what is stored is not what was delivered");
    Ok(())
}
