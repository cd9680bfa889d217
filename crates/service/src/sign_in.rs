//! Signing in and out, the first administrator, users and tokens of the command line.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{SaltString, rand_core::OsRng},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    actor::{Actor, Role},
    audit::{AuditAction, AuditEntry},
    problem::{Problem, Rule},
    time::Timestamp,
};
use subtle::ConstantTimeEq as _;

use crate::{
    Error, Parts,
    audit::entry,
    ports::{StoreError, User},
    secret::Secret,
};

/// The fewest characters of a user's password.
const PASSWORD_MIN: u32 = 10;
/// A session that nobody used for so long is over.
const IDLE: Duration = Duration::from_hours(2);
/// A session that is so old is over, used or not.
const ABSOLUTE: Duration = Duration::from_hours(12);
/// A use is written down at most so often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// How many failed attempts are let through within the window.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub by_user: u32,
    pub by_address: u32,
    pub window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { by_user: 8, by_address: 30, window: Duration::from_mins(15) }
    }
}

/// Failed attempts of late, by user name and by address. A name that does not exist counts like one that does.
#[derive(Default)]
pub struct Attempts {
    limits: Limits,
    failures: Mutex<HashMap<String, Vec<Timestamp>>>,
}

impl Attempts {
    pub fn new(limits: Limits) -> Self {
        Self { limits, failures: Mutex::default() }
    }

    /// Seconds to wait, if there were too many.
    fn blocked(&self, name: &str, origin: &str, now: Timestamp) -> Option<u64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, times| {
            times.retain(|it| now.since(*it) < self.limits.window);
            !times.is_empty()
        });
        let keys = [(user_key(name), self.limits.by_user), (address_key(origin), self.limits.by_address)];
        let waits = keys.iter().filter_map(|(key, limit)| {
            let times = failures.get(key).filter(|it| it.len() >= *limit as usize)?;
            let oldest = times.first()?;
            Some(self.limits.window.saturating_sub(now.since(*oldest)).as_secs() + 1)
        });
        waits.max()
    }

    fn note(&self, name: &str, origin: &str, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in [user_key(name), address_key(origin)] {
            failures.entry(key).or_default().push(now);
        }
    }

    fn forget(&self, name: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&user_key(name));
    }
}

fn user_key(name: &str) -> String {
    format!("user {}", domain::text::fold(name))
}

fn address_key(origin: &str) -> String {
    format!("address {origin}")
}

/// Signing in, and what is near it.
pub struct SignIn<'a>(pub(crate) &'a Parts);

impl SignIn<'_> {
    /// Whether there is no user yet, so that the set-up page is open.
    pub async fn needs_set_up(&self) -> Result<bool, Error> {
        Ok(self.0.store.count_users().await? == 0)
    }

    /// Makes the first administrator, for whoever knows the code that the server printed, and signs him in.
    pub async fn set_up(&self, code: &str, name: &str, password: Secret, origin: &str) -> Result<String, Error> {
        let now = self.0.clock.now();
        if let Some(retry_after_s) = self.0.attempts.blocked("set-up", origin, now) {
            return Err(Error::TooManyAttempts { retry_after_s });
        }
        if !bool::from(code.trim().as_bytes().ct_eq(self.0.set_up_code.expose().as_bytes())) {
            self.0.attempts.note("set-up", origin, now);
            return Err(Error::field("code", Rule::Refused));
        }
        let actor =
            Actor { user_id: None, name: "set-up".to_owned(), role: Role::Administrator, origin: origin.to_owned() };
        self.add(&actor, name, password, Role::Administrator, true).await?;
        let user = self.0.store.find_user(name.trim()).await?.ok_or(Error::NotFound)?;
        self.begin_session(&user, origin).await
    }

    /// Checks name and password and begins a session; answers with the token for the cookie.
    ///
    /// An unknown name takes as long as a wrong password and gets the same answer.
    pub async fn sign_in(&self, name: &str, password: Secret, origin: &str) -> Result<String, Error> {
        let now = self.0.clock.now();
        if let Some(retry_after_s) = self.0.attempts.blocked(name, origin, now) {
            return Err(Error::TooManyAttempts { retry_after_s });
        }
        let user = self.0.store.find_user(name.trim()).await?;
        let hash = user.as_ref().map(|it| it.password_hash.clone());
        let matches = off_thread(move || verify(hash.as_deref(), &password)).await?;
        if let Some(user) = user.filter(|_| matches) {
            self.0.attempts.forget(name);
            return self.begin_session(&user, origin).await;
        }
        self.0.attempts.note(name, origin, now);
        let shown: String = name.chars().filter(|it| !it.is_control()).take(120).collect();
        let actor = Actor { user_id: None, name: shown, role: Role::Viewer, origin: origin.to_owned() };
        let entry = entry(&actor, now, AuditAction::SignInFailed, "session".to_owned());
        self.0.store.add_audit(&[entry]).await?;
        Err(Error::Refused)
    }

    async fn begin_session(&self, user: &User, origin: &str) -> Result<String, Error> {
        let now = self.0.clock.now();
        let actor = actor_of(user, origin);
        let token = fresh_token();
        let entry = entry(&actor, now, AuditAction::SignIn, "session".to_owned());
        self.0.store.add_session(&hash(&token), user.id, now, &[entry]).await?;
        self.0.store.remove_expired_sessions(now.minus(ABSOLUTE), now.minus(IDLE)).await?;
        Ok(token)
    }

    /// Who holds the session, if it is still good.
    pub async fn session(&self, token: &str, origin: &str) -> Result<Option<Actor>, Error> {
        let now = self.0.clock.now();
        let Some(session) = self.0.store.find_session(&hash(token)).await? else { return Ok(None) };
        let idle = now.since(session.last_used_at);
        if idle >= IDLE || now.since(session.created_at) >= ABSOLUTE {
            return Ok(None);
        }
        if idle >= TOUCH_EVERY {
            self.0.store.touch_session(&hash(token), now).await?;
        }
        Ok(Some(actor_of(&session.user, origin)))
    }

    pub async fn sign_out(&self, actor: &Actor, token: &str) -> Result<(), Error> {
        let entry = entry(actor, self.0.clock.now(), AuditAction::SignOut, "session".to_owned());
        Ok(self.0.store.remove_session(&hash(token), &[entry]).await?)
    }

    /// Who holds the token of the REST interface.
    pub async fn bearer(&self, token: &str, origin: &str) -> Result<Option<Actor>, Error> {
        Ok(self.0.store.find_token(&hash(token)).await?.map(|it| actor_of(&it, origin)))
    }

    /// Adds a user from the command line.
    pub async fn add_user(&self, actor: &Actor, name: &str, password: Secret, role: Role) -> Result<(), Error> {
        crate::error::need(actor, domain::actor::Permission::Write)?;
        self.add(actor, name, password, role, false).await
    }

    /// Makes a token for a user and answers with it, once.
    pub async fn add_token(&self, actor: &Actor, name: &str) -> Result<String, Error> {
        crate::error::need(actor, domain::actor::Permission::Write)?;
        let user = self.0.store.find_user(name.trim()).await?.ok_or(Error::NotFound)?;
        let now = self.0.clock.now();
        let token = fresh_token();
        let entry = entry(actor, now, AuditAction::TokenCreated, format!("user \"{}\"", user.name));
        self.0.store.add_token(&hash(&token), user.id, now, &[entry]).await?;
        Ok(token)
    }

    async fn add(
        &self,
        actor: &Actor,
        name: &str,
        password: Secret,
        role: Role,
        only_first: bool,
    ) -> Result<(), Error> {
        let name = name.trim().to_owned();
        let mut problems = Vec::new();
        if !domain::text::is_visible(&name) {
            problems.push(Problem::new("name", Rule::Missing));
        } else if name.chars().count() > 120 {
            problems.push(Problem::new("name", Rule::TooLong { max: 120 }));
        } else if domain::text::has_control(&name) {
            problems.push(Problem::new("name", Rule::Control));
        }
        if password.expose().chars().count() < PASSWORD_MIN as usize {
            problems.push(Problem::new("password", Rule::TooShort { min: PASSWORD_MIN }));
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let password_hash = off_thread(move || hash_password(&password)).await??;
        let subject = format!("user \"{name}\"");
        let after = Some(format!("{{\"role\":\"{}\"}}", role.as_str()));
        let entry = AuditEntry { after, ..entry(actor, self.0.clock.now(), AuditAction::UserAdded, subject) };
        match self.0.store.add_user(&name, role, &password_hash, only_first, &[entry]).await {
            Ok(_) => Ok(()),
            Err(StoreError::Taken { .. }) => Err(Error::field("name", Rule::Taken)),
            Err(error) => Err(error.into()),
        }
    }
}

fn actor_of(user: &User, origin: &str) -> Actor {
    Actor { user_id: Some(user.id), name: user.name.clone(), role: user.role, origin: origin.to_owned() }
}

fn fresh_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What is stored of a token: it has 256 random bits, so one round of a fast hash is enough.
fn hash(token: &str) -> [u8; 32] {
    blake3::derive_key("posthorn 2026 session and token", token.as_bytes())
}

fn hash_password(password: &Secret) -> Result<String, Error> {
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.expose().as_bytes(), &salt);
    hash.map(|it| it.to_string()).map_err(|it| Error::internal(&it))
}

/// Compares; without a hash it takes as long and is false.
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

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|it| Error::internal(&it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_limited_by_user_and_by_address_and_forgotten_in_time() {
        let limits = Limits { by_user: 2, by_address: 3, window: Duration::from_mins(15) };
        let attempts = Attempts::new(limits);
        let start = Timestamp::from_seconds(1_000_000);
        attempts.note("ana", "192.0.2.1", start);
        assert_eq!(attempts.blocked("ana", "192.0.2.1", start), None);
        attempts.note("Ana", "192.0.2.2", start);
        assert!(attempts.blocked("ANA", "192.0.2.9", start).is_some());
        attempts.note("bob", "192.0.2.1", start);
        attempts.note("eve", "192.0.2.1", start);
        assert!(attempts.blocked("new", "192.0.2.1", start).is_some());
        assert_eq!(attempts.blocked("ana", "192.0.2.1", start.plus(Duration::from_mins(15))), None);
    }

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let hash = hash_password(&Secret::new("correct horse".to_owned())).unwrap();
        assert!(verify(Some(&hash), &Secret::new("correct horse".to_owned())));
        assert!(!verify(Some(&hash), &Secret::new("battery staple".to_owned())));
        assert!(!verify(None, &Secret::new("correct horse".to_owned())));
    }
}
