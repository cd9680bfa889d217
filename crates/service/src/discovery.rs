//! The use case of autodiscovery: from a mail address to settings that are proposed. Nothing is saved, no credential has a part in
//! it, and what is proposed was not signed in to.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::{
    actor::{Actor, Permission},
    audit::AuditAction,
    discovery::{Discovered, Proposal, Standing, propose},
    email::EmailAddress,
    time::Timestamp,
};
use futures::future::join_all;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{Error, Parts, audit::entry, error::need, starts::Starts};

/// Searches that go on at once here.
const AT_ONCE: usize = 4;
/// When somebody may try again while so many do, seconds.
const BUSY_S: u64 = 5;
/// The look-up of one proposed host takes no longer.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(3);

/// The use case of autodiscovery.
pub struct Autodiscovery<'a>(pub(crate) &'a Parts);

/// The searches that go on here, and who began any of late.
pub struct Searches {
    starts: Mutex<Starts>,
    running: Semaphore,
}

impl Default for Searches {
    fn default() -> Self {
        Self { starts: Mutex::default(), running: Semaphore::new(AT_ONCE) }
    }
}

impl Searches {
    /// Counts a search by that actor, which goes on until what this gives is dropped; seconds to wait, if there are too many.
    fn begin(&self, actor: &str, now: Timestamp) -> Result<SemaphorePermit<'_>, u64> {
        let running = self.running.try_acquire().map_err(|_| BUSY_S)?;
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.may_start(actor, now).map(|()| running)
    }
}

impl Autodiscovery<'_> {
    /// Asks everybody who may know the settings of this address. Whoever may add accounts may ask.
    pub async fn discover(&self, actor: &Actor, address: &str) -> Result<Discovered, Error> {
        need(actor, Permission::Write)?;
        let address = EmailAddress::parse(address).map_err(|rule| Error::field("address", rule))?;
        let parts = self.0;
        let now = parts.clock.now();
        let begun = parts.searches.begin(&actor.name, now);
        let _running = begun.map_err(|retry_after_s| Error::TooManyAttempts { retry_after_s })?;
        let subject = format!("settings for {address}");
        parts.store.add_audit(&[entry(actor, now, AuditAction::SettingsSought, subject)]).await?;
        let look_ups = parts.discovery.look_up(&address).await;
        let judged = propose(&address, &look_ups).into_iter().map(|it| self.judge(it));
        let mut proposals = join_all(judged).await;
        // What cannot be used comes last; the order is else as it was.
        proposals.sort_by_key(Proposal::is_forbidden);
        Ok(Discovered { address, proposals, look_ups })
    }

    /// What the egress policy says to the addresses of its host.
    async fn judge(&self, proposal: Proposal) -> Proposal {
        let asked = self.0.egress.try_out(&proposal.address, proposal.port);
        let trials = timeout(RESOLVE_DEADLINE, asked).await.ok().and_then(Result::ok).unwrap_or_default();
        let standing = match trials.iter().find(|it| it.reason.permits()).or(trials.first()) {
            None => Standing::NotFound,
            Some(it) if it.reason.permits() => Standing::Open,
            Some(it) => Standing::Forbidden(it.reason.clone()),
        };
        Proposal { standing, ..proposal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_search_at_once_and_whoever_is_done_makes_room() {
        let searches = Searches::default();
        let names = ["ana", "bo", "cy", "di"];
        let mut running: Vec<_> = names.iter().map(|it| searches.begin(it, Timestamp(0)).unwrap()).collect();
        assert_eq!(running.len(), AT_ONCE);
        assert_eq!(searches.begin("ed", Timestamp(0)).err(), Some(BUSY_S));
        running.pop();
        assert!(searches.begin("ed", Timestamp(0)).is_ok());
    }
}
