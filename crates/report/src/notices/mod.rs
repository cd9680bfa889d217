//! Watches how the checks are going, opens and ends incidents, and tells people and programs of them.
//!
//! Any number of instances watch at once: the store makes each step happen once. Whoever takes an incident notes it as told in
//! the same transaction, so nobody is told twice by two of them. An instance that dies while it tells may have told nobody: it is
//! not told again, and the incident says so on the screen.

mod board;
#[cfg(test)]
mod samples;
mod tell;
mod text;
mod webhook;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{incident::Incident, notices::Notices};
use service::{
    Tokens,
    ports::{Clock, HookSender, MailSender, Notifier, Store, StoreError},
    vault::Vault,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use words::Locale;

use self::{
    board::{Board, Kept},
    tell::Notice,
};

/// How often, how much at once, and how patiently.
#[derive(Clone, Copy, Debug)]
struct Pace {
    look_every: Duration,
    /// Incidents told of at once. It is the brake too: a look takes no more, so that a network that is down does not send
    /// thousands of mails, and what is over by then is not told of.
    at_once: usize,
    /// Attempts to tell by one way.
    attempts: u32,
    /// The pause after the first attempt; it is four times as long after each further one.
    pause: Duration,
    /// How long telling of one incident may take, all attempts together.
    deadline: Duration,
    /// The same for a test, which is tried once and has somebody waiting for it.
    test_deadline: Duration,
    /// How long a stopping instance waits for the notices under way.
    grace: Duration,
}

const PACE: Pace = Pace {
    look_every: Duration::from_secs(10),
    at_once: 4,
    attempts: 3,
    pause: Duration::from_secs(5),
    deadline: Duration::from_mins(3),
    test_deadline: Duration::from_secs(45),
    grace: Duration::from_secs(10),
};

/// What the watchman is made of.
pub struct WatchmanParts {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub tokens: Tokens,
    pub sender: Arc<dyn MailSender>,
    pub hooks: Arc<dyn HookSender>,
    pub clock: Arc<dyn Clock>,
}

/// Watches and tells. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Watchman(Arc<Inner>);

struct Inner {
    board: Box<dyn Board>,
    sender: Arc<dyn MailSender>,
    hooks: Arc<dyn HookSender>,
    clock: Arc<dyn Clock>,
    pace: Pace,
}

/// What of an incident is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Opened,
    Over,
}

impl Event {
    /// What there is to tell now: what is over before anybody was told is told as over.
    fn of(incident: &Incident) -> Self {
        if incident.over_at.is_some() { Self::Over } else { Self::Opened }
    }

    /// As a webhook reads it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "incident.opened",
            Self::Over => "incident.over",
        }
    }
}

impl Watchman {
    pub fn new(parts: WatchmanParts) -> Self {
        let WatchmanParts { store, vault, tokens, sender, hooks, clock } = parts;
        Self(Arc::new(Inner { board: Box::new(Kept { store, vault, tokens }), sender, hooks, clock, pace: PACE }))
    }

    /// Looks every ten seconds until `shutdown` becomes true; then waits a while for the notices under way.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut telling = JoinSet::new();
        let mut ticks = interval(self.0.pace.look_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*shutdown.borrow() {
            tokio::select! {
                _ = ticks.tick() => if let Err(error) = self.look(&mut telling).await {
                    tracing::error!(%error, "how the checks are going could not be read; trying again");
                },
                _ = telling.join_next(), if !telling.is_empty() => {}
                changed = shutdown.changed() => if changed.is_err() { break },
            }
        }
        let ended = async { while telling.join_next().await.is_some() {} };
        if timeout(self.0.pace.grace, ended).await.is_err() {
            tracing::warn!(n = telling.len(), "stopped while notices were under way; they are not sent again");
        }
    }

    /// Brings the incidents up to date, and begins to tell of those of which nobody was told.
    async fn look(&self, telling: &mut JoinSet<()>) -> Result<(), StoreError> {
        let Inner { board, clock, pace, .. } = &*self.0;
        let now = clock.now();
        let n_late = board.mark_late(now).await?;
        if n_late > 0 {
            tracing::warn!(n_late, "accounts are newly late");
        }
        let causes = board.causes().await?;
        board.update(&causes, now).await?;
        let notices = board.notices().await?;
        if !notices.enabled {
            return Ok(());
        }
        let patience = Duration::from_secs(u64::from(notices.after_minutes) * 60);
        while telling.len() < pace.at_once {
            let Some(incident) = board.take(now.minus(patience), now).await? else { break };
            let (inner, notices) = (Arc::clone(&self.0), notices.clone());
            telling.spawn(async move { inner.tell(&incident, &notices).await });
        }
        Ok(())
    }
}

impl Inner {
    /// Tells of an incident, by every way that is set, and keeps what came of it if that failed.
    async fn tell(&self, incident: &Incident, notices: &Notices) {
        let event = Event::of(incident);
        let locale = Locale::parse(&notices.language).unwrap_or_default();
        let outcome =
            self.send(&Notice::of(incident, event, locale), notices, self.pace.attempts, self.pace.deadline).await;
        let detail = outcome.failures();
        if detail.is_empty() {
            tracing::info!(incident = %incident.id, event = event.as_str(), "told of an incident");
        } else {
            tracing::error!(incident = %incident.id, event = event.as_str(), detail, "a notice did not reach everybody");
        }
        self.record(incident, &detail).await;
    }

    /// A store that does not take this is no reason not to tell.
    async fn record(&self, incident: &Incident, detail: &str) {
        if let Err(error) = self.board.record(incident.id, detail).await {
            tracing::error!(%error, incident = %incident.id, "what came of a notice could not be kept");
        }
    }
}

#[async_trait]
impl Notifier for Watchman {
    async fn test(&self, notices: &Notices) -> String {
        let locale = Locale::parse(&notices.language).unwrap_or_default();
        self.0.send(&Notice::test(locale), notices, 1, self.0.pace.test_deadline).await.all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notices::samples::{NOW, Stage, incident, notices};

    #[tokio::test]
    async fn an_incident_is_told_once_by_every_way_and_so_is_its_end() {
        let stage = Stage::new(&["ana@example.org", "bo@example.org"]);
        stage.untold(incident(1));
        stage.look().await;
        let mails = stage.mails();
        assert_eq!(mails.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["ana@example.org", "bo@example.org"]);
        assert!(mails[0].1.contains("Subject: Posthorn: 287 accounts late or failing:"), "{}", mails[0].1);
        assert_eq!(stage.posts().len(), 1);
        assert_eq!(stage.detail(), "");

        stage.look().await;
        assert_eq!((stage.mails().len(), stage.posts().len()), (2, 1));

        stage.untold(Incident { over_at: Some(NOW), ..incident(1) });
        stage.look().await;
        let mails = stage.mails();
        let field = |mail: &str, name: &str| {
            let line = mail.lines().find_map(|it| it.strip_prefix(name)).map(str::to_owned);
            line.unwrap_or_else(|| panic!("{name}: {mail}"))
        };
        assert_eq!(field(&mails[2].1, "In-Reply-To: "), field(&mails[0].1, "Message-ID: "));
        assert_ne!(field(&mails[2].1, "Message-ID: "), field(&mails[0].1, "Message-ID: "));
        assert_ne!(field(&mails[0].1, "Message-ID: "), field(&mails[1].1, "Message-ID: "));
        assert!(stage.posts()[1].contains("\"event\":\"incident.over\""), "{:?}", stage.posts());
    }

    #[tokio::test]
    async fn without_notices_incidents_are_kept_up_to_date_and_nobody_is_told() {
        let stage = Stage::new(&["ana@example.org"]);
        stage.set(Notices { enabled: false, ..notices(&["ana@example.org"]) });
        stage.untold(incident(1));
        stage.look().await;
        assert_eq!(stage.n_updates(), 1);
        assert_eq!((stage.mails().len(), stage.posts().len()), (0, 0));
        assert!(stage.opened_before().is_none());
    }

    #[tokio::test]
    async fn what_is_younger_than_the_patience_is_not_asked_for() {
        let stage = Stage::new(&["ana@example.org"]);
        stage.look().await;
        assert_eq!(stage.opened_before(), Some(NOW.minus(Duration::from_mins(5))));
    }

    #[tokio::test]
    async fn a_look_takes_no_more_than_are_told_at_once() {
        let stage = Stage::new(&["ana@example.org"]);
        for id in 1..=9 {
            stage.untold(incident(id));
        }
        stage.look().await;
        assert_eq!(stage.mails().len(), PACE.at_once);
    }

    #[tokio::test]
    async fn a_mail_that_fails_for_now_goes_again_under_the_same_name() {
        let stage = Stage::new(&["ana@example.org", "bo@example.org"]);
        stage.fail_mails(&[None, Some(service::ports::Fate::Unknown)]);
        stage.untold(incident(1));
        stage.look().await;
        let to: Vec<_> = stage.mails().into_iter().map(|it| it.0).collect();
        assert_eq!(to, ["ana@example.org", "bo@example.org", "bo@example.org"]);
        assert_eq!(stage.mails()[1].1, stage.mails()[2].1);
        assert_eq!(stage.detail(), "");
    }

    #[tokio::test]
    async fn what_failed_in_the_end_stands_with_the_incident() {
        use service::ports::Fate::{Later, Never};
        let stage = Stage::new(&["ana@example.org", "bo@example.org"]);
        stage.fail_mails(&[Some(Never), Some(Later), Some(Later), Some(Later)]);
        stage.answer_posts(&[503, 503, 503]);
        stage.untold(incident(1));
        stage.look().await;
        assert_eq!(stage.mails().len(), 4);
        assert_eq!(stage.posts().len(), 3);
        let expected = "ana@example.org: it broke; bo@example.org: it broke; hooks.example.org: answered 503";
        assert_eq!(stage.detail(), expected);
    }

    #[tokio::test]
    async fn a_redirect_and_a_refusal_are_last_words() {
        for (status, expected) in [
            (302, "hooks.example.org: answered 302; redirects are not followed"),
            (404, "hooks.example.org: answered 404"),
        ] {
            let stage = Stage::new(&["ana@example.org"]);
            stage.answer_posts(&[status]);
            stage.untold(incident(1));
            stage.look().await;
            assert_eq!((stage.posts().len(), stage.detail()), (1, expected.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_server_that_hangs_does_not_outlast_the_deadline_nor_hide_who_was_reached() {
        let stage = Stage::new(&["ana@example.org"]);
        stage.hang_posts();
        stage.untold(incident(1));
        stage.look().await;
        assert_eq!(stage.mails().len(), 1);
        assert_eq!(stage.detail(), "hooks.example.org: no answer within 1 s");
    }

    #[tokio::test]
    async fn without_a_way_to_send_mail_the_webhook_is_still_told() {
        let stage = Stage::new(&["ana@example.org"]);
        stage.without_smtp();
        stage.untold(incident(1));
        stage.look().await;
        assert_eq!((stage.mails().len(), stage.posts().len()), (0, 1));
        assert_eq!(stage.detail(), "ana@example.org: No SMTP configuration is enabled and the default.");
    }

    #[tokio::test]
    async fn a_test_says_what_came_of_every_way() {
        let stage = Stage::new(&[]);
        stage.fail_mails(&[None, Some(service::ports::Fate::Later)]);
        let settings = notices(&["ana@example.org", "bo@example.org"]);
        let came = stage.watchman.test(&settings).await;
        assert_eq!(came, "ana@example.org: sent; bo@example.org: it broke; hooks.example.org: answered 204");
        assert!(stage.mails()[0].1.contains("Subject: Posthorn: test of the notices"));
        assert!(stage.posts()[0].starts_with("{\"event\":\"test\""));
        let came = stage.watchman.test(&Notices::default()).await;
        assert_eq!(came, "No recipient and no webhook is set.");
    }

    #[tokio::test]
    async fn it_looks_until_it_is_told_to_stop() {
        let stage = Stage::new(&["ana@example.org"]);
        stage.untold(incident(1));
        let (stop, shutdown) = watch::channel(false);
        let running = tokio::spawn(stage.watchman.clone().run(shutdown));
        while stage.mails().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.send(true).unwrap();
        running.await.unwrap();
        assert!(stage.n_updates() >= 1);
    }
}
