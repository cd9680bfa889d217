//! What goes wrong, and where: every call of the store and every step of the mail server passes here.

use std::{
    collections::HashMap,
    future::pending,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Never comes back, so that the process dies here: before the step took effect, or after.
    Hang,
    HangAfter,
    /// Waits until the test lets it go on.
    Pause,
    /// The database refuses.
    DiskFull,
    Busy,
    /// Committed, and the answer is lost.
    AnswerLost,
    /// The connection to the mail server ends; what was complete arrived.
    Cut,
    Timeout,
    /// The server refuses this one message.
    No,
    /// The connector to the server panics.
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The nth time that this step is reached, from 1.
    Step(&'static str, u32),
    /// The nth step of whatever kind, from 1.
    Nth(u32),
}

/// The life of one instance.
#[derive(Default)]
pub(crate) struct Faults {
    plan: Mutex<Option<(At, Fault)>>,
    n_times: Mutex<HashMap<String, u32>>,
    has_fired: AtomicBool,
    is_dead: AtomicBool,
    /// Told when a step hangs or pauses.
    pub(crate) hung: Notify,
    pub(crate) resumed: Notify,
}

impl Faults {
    pub(crate) fn plan(&self, at: At, fault: Fault) {
        self.has_fired.store(false, Ordering::SeqCst);
        *self.plan.lock().unwrap() = Some((at, fault));
    }

    pub(crate) fn forget(&self) {
        *self.plan.lock().unwrap() = None;
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.has_fired.load(Ordering::SeqCst)
    }

    /// How often this step was reached.
    pub(crate) fn n_times(&self, name: &str) -> u32 {
        self.n_times.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    pub(crate) fn note(&self, name: &str) {
        *self.n_times.lock().unwrap().entry(name.to_owned()).or_default() += 1;
    }

    /// Nothing that this instance does from now on reaches anybody.
    pub(crate) fn kill(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// Before a step takes effect: the fault that happens there, unless that is to hang.
    pub(crate) async fn step(&self, name: &str) -> Option<Fault> {
        self.alive().await;
        self.note(name);
        let fault = self.take(name)?;
        self.has_fired.store(true, Ordering::SeqCst);
        match fault {
            Fault::Hang => self.hang().await,
            Fault::Pause => {
                self.hung.notify_one();
                self.resumed.notified().await;
                return None;
            }
            _ => {}
        }
        Some(fault)
    }

    pub(crate) async fn hang(&self) {
        self.hung.notify_one();
        pending::<()>().await;
    }

    /// The dead do nothing.
    pub(crate) async fn alive(&self) {
        if self.is_dead() {
            pending::<()>().await;
        }
    }

    fn take(&self, name: &str) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
        let (at, fault) = plan.as_mut()?;
        let left = match at {
            At::Step(step, left) if *step == name => left,
            At::Nth(left) => left,
            At::Step(..) => return None,
        };
        *left -= 1;
        let fault = *fault;
        if *left > 0 {
            return None;
        }
        *plan = None;
        Some(fault)
    }
}
