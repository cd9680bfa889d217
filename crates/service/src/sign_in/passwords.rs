//! Argon2 over users' passwords: so many at once as there are processors, four at most, since each takes 19 MiB.

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use tokio::sync::Semaphore;

use crate::{Error, secret::Secret};

/// The most that are worked on at once.
const AT_ONCE_MAX: usize = 4;
/// The most that wait for their turn.
const WAITING_MAX: usize = 64;
/// What whoever finds no place to wait is told, in seconds.
const BUSY: u64 = 2;

/// Turns at hashing and comparing.
pub struct Passwords {
    /// For those who wait and those who have their turn.
    places: Semaphore,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new(available_parallelism().map_or(1, NonZero::get).min(AT_ONCE_MAX), WAITING_MAX)
    }
}

impl Passwords {
    fn new(n_at_once: usize, n_waiting: usize) -> Self {
        Self { places: Semaphore::new(n_at_once + n_waiting), turns: Arc::new(Semaphore::new(n_at_once)) }
    }

    pub(super) async fn hash(&self, password: Secret) -> Result<String, Error> {
        self.in_turn(move || hash(&password)).await?
    }

    /// Compares; without a hash it takes as long and is false.
    pub(super) async fn verify(&self, hash: Option<String>, password: Secret) -> Result<bool, Error> {
        self.in_turn(move || verify(hash.as_deref(), &password)).await
    }

    /// Fails with [`Error::TooManyAttempts`] if too many wait already.
    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let busy = |_| Error::TooManyAttempts { retry_after_s: BUSY };
        let _place = self.places.try_acquire().map_err(busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|it| Error::internal(&it))?;
        // The turn goes along: the work ends later than a caller that has gone.
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|it| Error::internal(&it))
    }
}

fn hash(password: &Secret) -> Result<String, Error> {
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.expose().as_bytes(), &salt);
    hash.map(|it| it.to_string()).map_err(|it| Error::internal(&it))
}

fn verify(hash: Option<&str>, password: &Secret) -> bool {
    let argon2 = Argon2::default();
    if let Some(hash) = hash.and_then(|it| PasswordHash::new(it).ok()) {
        return argon2.verify_password(password.expose().as_bytes(), &hash).is_ok();
    }
    let salt = SaltString::generate(&mut OsRng);
    // The result does not matter, the time does.
    _ = argon2.hash_password(password.expose().as_bytes(), &salt);
    false
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let hash = hash(&Secret::new("correct horse".to_owned())).unwrap();
        assert!(verify(Some(&hash), &Secret::new("correct horse".to_owned())));
        assert!(!verify(Some(&hash), &Secret::new("battery staple".to_owned())));
        assert!(!verify(None, &Secret::new("correct horse".to_owned())));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn so_many_are_worked_on_so_many_wait_and_the_rest_is_told_to_come_back() {
        let passwords = Arc::new(Passwords::new(2, 3));
        let (n_working, n_most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(std::sync::Mutex::new(released));
        let begin = || {
            let (passwords, n_working, n_most) = (Arc::clone(&passwords), Arc::clone(&n_working), Arc::clone(&n_most));
            let released = Arc::clone(&released);
            let work = move || {
                n_most.fetch_max(n_working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                released.lock().unwrap().recv().unwrap();
                n_working.fetch_sub(1, Ordering::SeqCst);
            };
            tokio::spawn(async move { passwords.in_turn(work).await })
        };
        let taken: Vec<_> = (0..5).map(|_| begin()).collect();
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begin().await.unwrap(), Err(Error::TooManyAttempts { retry_after_s: BUSY }));
        (0..5).for_each(|_| release.send(()).unwrap());
        for it in taken {
            assert_eq!(it.await.unwrap(), Ok(()));
        }
        assert!(n_most.load(Ordering::SeqCst) <= 2);
        assert_eq!((passwords.places.available_permits(), passwords.turns.available_permits()), (5, 2));
    }
}
