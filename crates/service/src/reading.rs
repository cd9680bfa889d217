//! What one process remembers of people's reading: who has a message open, which one is too complex, how many are at work.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{
    ids::{MessageId, UserId},
    time::Timestamp,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Error;

/// So many washings at once: each may take a processor for seconds, and cannot be stopped.
const WASHERS: usize = 2;
/// So long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);
/// Who looks at a part of a message so long after opening it still looks at the same.
const OPEN_FOR: Duration = Duration::from_mins(5);
/// So many openings, and so many refusals, are remembered.
const REMEMBERED: usize = 1_000;

/// Cheap to make; forgotten when the process ends, which costs an entry in the audit log too many, or a second look.
pub struct Reading {
    washers: Arc<Semaphore>,
    opened: Mutex<VecDeque<(UserId, MessageId, Timestamp)>>,
    refused: Mutex<VecDeque<MessageId>>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { washers: Arc::new(Semaphore::new(WASHERS)), opened: Mutex::default(), refused: Mutex::default() }
    }
}

impl Reading {
    /// Waits for a turn to wash, which lasts until what comes back is dropped.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        match tokio::time::timeout(PATIENCE, Arc::clone(&self.washers).acquire_owned()).await {
            Ok(turn) => turn.map_err(|it| Error::internal(&it)),
            Err(_) => Err(Error::TooManyAttempts { retry_after_s: PATIENCE.as_secs() }),
        }
    }

    pub(crate) fn open(&self, user: UserId, message: MessageId, now: Timestamp) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.retain(|it| (it.0, it.1) != (user, message));
        remember(&mut opened, (user, message, now));
    }

    pub(crate) fn is_open(&self, user: UserId, message: MessageId, now: Timestamp) -> bool {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.iter().any(|it| (it.0, it.1) == (user, message) && now.since(it.2) <= OPEN_FOR)
    }

    pub(crate) fn refuse(&self, message: MessageId) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        remember(&mut refused, message);
    }

    pub(crate) fn is_refused(&self, message: MessageId) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(&message)
    }
}

fn remember<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() == REMEMBERED {
        all.pop_front();
    }
    all.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_counts_for_minutes_and_for_that_person() {
        let (reading, at) = (Reading::default(), Timestamp::from_seconds);
        reading.open(UserId(1), MessageId(7), at(1_000));
        assert!(reading.is_open(UserId(1), MessageId(7), at(1_300)));
        assert!(!reading.is_open(UserId(1), MessageId(7), at(1_301)));
        assert!(!reading.is_open(UserId(2), MessageId(7), at(1_000)));
        assert!(!reading.is_open(UserId(1), MessageId(8), at(1_000)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let reading = Reading::default();
        for n in 0..=1_000 {
            reading.open(UserId(1), MessageId(n), Timestamp(0));
            reading.refuse(MessageId(n));
        }
        assert_eq!(reading.opened.lock().unwrap().len(), REMEMBERED);
        assert!(!reading.is_refused(MessageId(0)) && reading.is_refused(MessageId(1_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_third_washing_waits_and_is_told_when_to_come_again() {
        let reading = Reading::default();
        let (first, _second) = (reading.turn().await.unwrap(), reading.turn().await.unwrap());
        assert_eq!(reading.turn().await.unwrap_err(), Error::TooManyAttempts { retry_after_s: 20 });
        drop(first);
        assert!(reading.turn().await.is_ok());
    }
}
