//! Random lives of an account: mail comes, goes and gets other names, checks break and instances die. Whatever happens, each
//! message is stored as often as it was delivered, and leaves the server only after that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use domain::{account::Protocol, check::Outcome, time::Timestamp};
use proptest::{
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use service::ports::{Clock as _, Lease, RemoteState};

use crate::{
    faults::{At, Fault},
    stored::{Hash, count, hash},
    world::{Ended, Instance, Subject, World, large, settings, small},
};

/// Lives that are tried for each protocol; the same ones each time.
const CASES: u32 = 1_000;

#[derive(Clone, Debug)]
enum Event {
    /// Some equal messages. There are few contents, so that equal ones meet often.
    Deliver {
        content: u32,
        n: u32,
    },
    /// Somebody else deletes one.
    Remove(usize),
    /// A new UIDVALIDITY, or new UIDLs.
    Rename,
    /// POP3: one loses its UIDL, or has another one's.
    Unname(usize),
    Confuse(usize, usize),
    /// The server refuses this message for a while.
    Refuse {
        which: usize,
        n_times: u32,
    },
    Check,
    Break {
        at: u32,
        fault: Fault,
    },
    Change {
        keep_copy: bool,
        hold_days: u32,
    },
    Wait {
        hours: u64,
    },
}

#[derive(Clone, Debug)]
struct Life {
    keep_copy: bool,
    hold_days: u32,
    events: Vec<Event>,
}

fn event() -> impl Strategy<Value = Event> {
    let which = || 0..8_usize;
    let fault = prop_oneof![
        Just(Fault::Hang),
        Just(Fault::HangAfter),
        Just(Fault::DiskFull),
        Just(Fault::AnswerLost),
        Just(Fault::Cut),
        Just(Fault::Timeout),
        Just(Fault::No),
    ];
    prop_oneof![
        6 => (0..6_u32, 1..3_u32).prop_map(|(content, n)| Event::Deliver { content, n }),
        2 => which().prop_map(Event::Remove),
        2 => Just(Event::Rename),
        1 => which().prop_map(Event::Unname),
        1 => (which(), which()).prop_map(|(a, b)| Event::Confuse(a, b)),
        1 => (which(), 1..7_u32).prop_map(|(which, n_times)| Event::Refuse { which, n_times }),
        4 => Just(Event::Check),
        8 => (1..45_u32, fault).prop_map(|(at, fault)| Event::Break { at, fault }),
        1 => (any::<bool>(), 0..3_u32).prop_map(|(keep_copy, hold_days)| Event::Change { keep_copy, hold_days }),
        1 => (1..60_u64).prop_map(|hours| Event::Wait { hours }),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    let events = proptest::collection::vec(event(), 2..14);
    let first = (any::<bool>(), prop_oneof![2 => Just(0), 1 => 1..3_u32]);
    (first, events).prop_map(|((keep_copy, hold_days), events)| Life { keep_copy, hold_days, events })
}

/// What is known of the messages of one life, and how many of each content have to be stored.
#[derive(Default)]
struct Books {
    hash_of: HashMap<u64, Hash>,
    /// Was on the server through a check that ended well.
    owed: BTreeSet<u64>,
    was_refused: BTreeSet<u64>,
    /// Since the last good check.
    removed: BTreeMap<Hash, usize>,
    delivered: BTreeMap<Hash, usize>,
    was_renamed: bool,
    removed_ever: BTreeMap<Hash, usize>,
    /// Contents that were refused or had no name of their own: whether one that goes and one that comes are the same cannot be
    /// told from a distance in time either.
    doubtful: BTreeSet<Hash>,
    /// One that went and an equal one that came, where names mean nothing: they pass for one message.
    slack: BTreeMap<Hash, usize>,
    /// Those that got another name while it was unknown whether they were deleted: they may be stored again.
    extra: BTreeMap<Hash, usize>,
    copies_kept: Vec<(Timestamp, bool)>,
}

fn of(counts: &BTreeMap<Hash, usize>, hash: &Hash) -> usize {
    counts.get(hash).copied().unwrap_or(0)
}

impl Books {
    fn good_check(&mut self, protocol: Protocol, listed: &[u64]) {
        self.owed.extend(listed.iter().filter(|it| !self.was_refused.contains(it)));
        let (removed, delivered) = (std::mem::take(&mut self.removed), std::mem::take(&mut self.delivered));
        if std::mem::take(&mut self.was_renamed) || protocol == Protocol::Pop3 {
            for (hash, n_removed) in removed {
                *self.slack.entry(hash).or_default() += n_removed.min(of(&delivered, &hash));
            }
        }
    }

    fn check(&self, stored: &BTreeMap<Hash, usize>) -> Result<(), String> {
        let delivered = count(self.hash_of.values().copied());
        let owed = count(self.owed.iter().map(|it| self.hash_of[it]));
        for (hash, n_delivered) in &delivered {
            let slack = if self.doubtful.contains(hash) { &self.removed_ever } else { &self.slack };
            let least = of(&owed, hash).saturating_sub(of(slack, hash));
            let most = n_delivered + of(&self.extra, hash);
            let n_stored = of(stored, hash);
            if n_stored < least || n_stored > most {
                return Err(format!("{n_stored} stored, {least} to {most} expected of one content"));
            }
        }
        if stored.keys().all(|it| delivered.contains_key(it)) {
            Ok(())
        } else {
            Err("what is stored was never delivered".to_owned())
        }
    }

    fn kept_copies(&self, at: Timestamp) -> bool {
        self.copies_kept.iter().rev().find(|it| it.0 <= at).is_some_and(|it| it.1)
    }
}

fn content(n: u32) -> Vec<u8> {
    if n < 4 { small(n) } else { large(n) }
}

struct Trial<'a> {
    world: &'a World,
    subject: Subject,
    instance: Instance,
    books: Books,
}

impl Trial<'_> {
    async fn apply(&mut self, event: &Event) {
        // Longer than a lease, so that nobody stands in the way of the next check.
        self.world.clock.advance(Duration::from_mins(3));
        let n = self.subject.maildrop().messages.len();
        let is_pop3 = self.subject.maildrop().protocol == Protocol::Pop3;
        match *event {
            Event::Deliver { content: which, n } => {
                for _ in 0..n {
                    let raw = content(which);
                    let id = self.subject.deliver(&raw);
                    self.books.hash_of.insert(id, hash(&raw));
                    *self.books.delivered.entry(hash(&raw)).or_default() += 1;
                }
            }
            Event::Remove(at) if at < n => {
                let id = self.subject.maildrop().messages[at].id;
                self.subject.maildrop().remove(id);
                let hash = self.books.hash_of[&id];
                *self.books.removed.entry(hash).or_default() += 1;
                *self.books.removed_ever.entry(hash).or_default() += 1;
            }
            Event::Rename => {
                self.note_asked(None).await;
                self.subject.maildrop().rename();
                self.books.was_renamed = true;
            }
            Event::Unname(at) if is_pop3 && at < n => {
                self.note_asked(Some(at)).await;
                self.doubt(at);
                self.subject.maildrop().unname(at);
            }
            Event::Confuse(at, other) if is_pop3 && at < n && other < n && at != other => {
                for which in [at, other] {
                    self.note_asked(Some(which)).await;
                    self.doubt(which);
                }
                self.subject.maildrop().confuse(at, other);
            }
            Event::Refuse { which, n_times } if which < n => {
                self.doubt(which);
                let mut maildrop = self.subject.maildrop();
                maildrop.messages[which].n_refusals = n_times;
                self.books.was_refused.insert(maildrop.messages[which].id);
            }
            Event::Check => self.visit().await,
            Event::Break { at, fault } => {
                self.instance.faults.plan(At::Nth(at), fault);
                self.visit().await;
                self.instance.faults.forget();
            }
            Event::Change { keep_copy, hold_days } => {
                self.books.copies_kept.push((self.world.clock.now(), keep_copy));
                self.world.change(&self.subject, |it| (it.keep_copy, it.hold_days) = (keep_copy, hold_days)).await;
            }
            Event::Wait { hours } => self.world.clock.advance(Duration::from_hours(hours)),
            _ => {}
        }
    }

    fn doubt(&mut self, at: usize) {
        let id = self.subject.maildrop().messages[at].id;
        self.books.doubtful.insert(self.books.hash_of[&id]);
    }

    /// Those of which it is unknown whether they were deleted, and that are about to get another name.
    async fn note_asked(&mut self, at: Option<usize>) {
        let lease = Lease { account_id: self.subject.id, fence: 0, setup: 0, epoch: 0, due_at: None };
        let known = self.world.store.known_remotes(lease, &[]).await.unwrap();
        let asked: BTreeSet<_> = known
            .rows
            .into_iter()
            .filter(|it| it.is_delete_asked && it.state == RemoteState::Stored)
            .map(|it| it.key)
            .collect();
        let names = self.subject.maildrop().names();
        let chosen = names.into_iter().enumerate().filter(|it| at.is_none_or(|at| at == it.0)).map(|it| it.1);
        for (_, id) in chosen.filter(|it| asked.contains(&it.0)) {
            *self.books.extra.entry(self.books.hash_of[&id]).or_default() += 1;
        }
    }

    async fn visit(&mut self) {
        self.subject.maildrop().last_listed.clear();
        match self.instance.check(&self.subject).await {
            Ended::Run(run) if run.outcome == Outcome::Ok => {
                let maildrop = self.subject.maildrop();
                self.books.good_check(maildrop.protocol, &maildrop.last_listed);
            }
            Ended::Run(_) | Ended::NotStarted => {}
            Ended::Hung => {
                self.instance.faults.kill();
                self.instance = self.world.instance(settings());
            }
        }
    }

    /// The trouble is over: everything that is on the server is fetched.
    async fn recover(&mut self) {
        self.world.clock.advance(Duration::from_mins(3));
        self.subject.maildrop().messages.iter_mut().for_each(|it| it.n_refusals = 0);
        self.world.store.retry_trouble(self.subject.id, None, &[]).await.unwrap();
        self.world.until_quiet(&self.instance, &self.subject).await;
        self.books.was_refused.clear();
        let maildrop = self.subject.maildrop();
        let present: Vec<u64> = maildrop.messages.iter().map(|it| it.id).collect();
        self.books.good_check(maildrop.protocol, &present);
    }

    /// What is on the server although no copies are kept, and its time is over.
    async fn leftovers(&self) -> Result<(), String> {
        let account = self.world.store.find_account(self.subject.id).await.unwrap().unwrap();
        if account.draft.keep_copy {
            return Ok(());
        }
        self.world.clock.advance(account.draft.hold() + Duration::from_hours(1));
        self.world.until_quiet(&self.instance, &self.subject).await;
        let names = self.subject.maildrop().names();
        let left = count(names.iter().filter(|it| it.0.is_given()).map(|it| self.books.hash_of[&it.1]));
        let stored = self.world.archive.stored(self.subject.id).await;
        let before = count(stored.into_iter().filter(|it| self.books.kept_copies(it.at)).map(|it| it.hash));
        match left.iter().find(|it| *it.1 > of(&before, it.0)) {
            Some(_) => Err("messages are left on the server that should be deleted".to_owned()),
            None => Ok(()),
        }
    }
}

async fn live(world: &World, protocol: Protocol, life: &Life) -> Result<(), String> {
    let (keep_copy, hold_days) = (life.keep_copy, life.hold_days);
    let subject = world.account(protocol, |it| (it.keep_copy, it.hold_days) = (keep_copy, hold_days)).await;
    let books = Books { copies_kept: vec![(world.clock.now(), keep_copy)], ..Books::default() };
    let mut trial = Trial { world, subject, instance: world.instance(settings()), books };
    for event in &life.events {
        trial.apply(event).await;
    }
    trial.recover().await;
    trial.books.check(&world.stored(&trial.subject).await)?;
    trial.leftovers().await?;
    trial.books.check(&world.stored(&trial.subject).await)?;
    let violations = world.servers.take_violations();
    if violations.is_empty() { Ok(()) } else { Err(violations.join("; ")) }
}

fn try_lives(protocol: Protocol) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result =
        runner.run(&life(), |life| runtime.block_on(live(&world, protocol, &life)).map_err(TestCaseError::fail));
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn whatever_happens_to_an_imap_mailbox_each_message_is_stored_once() {
    try_lives(Protocol::Imap);
}

#[test]
fn whatever_happens_to_a_pop3_maildrop_each_message_is_stored_once() {
    try_lives(Protocol::Pop3);
}
