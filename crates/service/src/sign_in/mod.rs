//! Signing in and out, the first administrator, users and tokens of the command line.

mod attempts;
mod passwords;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    actor::{Actor, Role},
    audit::{AuditAction, AuditEntry},
    problem::{Problem, Rule},
    time::Timestamp,
};
use subtle::ConstantTimeEq as _;

use self::attempts::Attempt;
pub use self::{
    attempts::{Attempts, Limits},
    passwords::Passwords,
};
use crate::{
    Error, Parts,
    audit::entry,
    ports::{StoreError, User},
    secret::Secret,
};

/// The most characters of a user's name.
const NAME_MAX: u32 = 120;
/// The fewest characters of a user's password.
const PASSWORD_MIN: u32 = 10;
/// The most.
const PASSWORD_MAX: u32 = 1024;
/// A session that nobody used for so long is over.
const IDLE: Duration = Duration::from_hours(2);
/// A session that is so old is over, used or not.
const ABSOLUTE: Duration = Duration::from_hours(12);
/// A use is written down at most so often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);
/// Whose attempts those at the set-up page are: no user has this name.
const SET_UP: &str = "\0set-up";

/// Signing in, and what is near it.
pub struct SignIn<'a>(pub(crate) &'a Parts);

impl SignIn<'_> {
    /// Whether there is no user yet, so that the set-up page is open.
    pub async fn needs_set_up(&self) -> Result<bool, Error> {
        Ok(self.0.store.count_users().await? == 0)
    }

    /// Makes the first administrator, for whoever knows the code that the server printed, and signs him in.
    pub async fn set_up(&self, code: &str, name: &str, password: Secret, origin: &str) -> Result<String, Error> {
        let attempt = self.begin(SET_UP, origin, self.0.clock.now())?;
        if !bool::from(code.trim().as_bytes().ct_eq(self.0.set_up_code.expose().as_bytes())) {
            return Err(Error::field("code", Rule::Refused));
        }
        self.0.attempts.give_back(&attempt);
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
        let name = name.trim();
        // Nobody has such a name or such a password, and neither may cost anything.
        if is_longer(name, NAME_MAX) || is_longer(password.expose(), PASSWORD_MAX) {
            return Err(Error::Refused);
        }
        let now = self.0.clock.now();
        let attempt = self.begin(name, origin, now)?;
        let found = match self.look_up(name, password).await {
            Ok(found) => found,
            Err(error) => {
                self.0.attempts.give_back(&attempt);
                return Err(error);
            }
        };
        if let Some(user) = found {
            self.0.attempts.succeeded(&attempt);
            return self.begin_session(&user, origin).await;
        }
        let shown: String = name.chars().filter(|it| !it.is_control()).collect();
        let actor = Actor { user_id: None, name: shown, role: Role::Viewer, origin: origin.to_owned() };
        let entry = entry(&actor, now, AuditAction::SignInFailed, "session".to_owned());
        self.0.store.add_audit(&[entry]).await?;
        Err(Error::Refused)
    }

    fn begin(&self, name: &str, origin: &str, now: Timestamp) -> Result<Attempt, Error> {
        let attempt = self.0.attempts.begin(name, origin, now);
        attempt.map_err(|retry_after_s| Error::TooManyAttempts { retry_after_s })
    }

    /// Whose name and password these are.
    async fn look_up(&self, name: &str, password: Secret) -> Result<Option<User>, Error> {
        let user = self.0.store.find_user(name).await?;
        let hash = user.as_ref().map(|it| it.password_hash.clone());
        let matches = self.0.passwords.verify(hash, password).await?;
        Ok(user.filter(|_| matches))
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
        } else if is_longer(&name, NAME_MAX) {
            problems.push(Problem::new("name", Rule::TooLong { max: NAME_MAX }));
        } else if domain::text::has_control(&name) {
            problems.push(Problem::new("name", Rule::Control));
        }
        if password.expose().chars().count() < PASSWORD_MIN as usize {
            problems.push(Problem::new("password", Rule::TooShort { min: PASSWORD_MIN }));
        } else if is_longer(password.expose(), PASSWORD_MAX) {
            problems.push(Problem::new("password", Rule::TooLong { max: PASSWORD_MAX }));
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let password_hash = self.0.passwords.hash(password).await?;
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

fn is_longer(text: &str, max: u32) -> bool {
    text.chars().nth(max as usize).is_some()
}
