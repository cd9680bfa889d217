//! A stage for the tests of the notices: a board, a mail server and a webhook that do as they are told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    account::Destination,
    check::{ErrorKind, Stage as CheckStage},
    email::EmailAddress,
    ids::{AccountId, IncidentId},
    incident::{Cause, Incident, Subject},
    notices::{Notices, Webhook},
    smtp::{SmtpDraft, SmtpForm},
    time::Timestamp,
};
use service::ports::{
    Clock, Fate, HookSender, MailError, MailSender, Outbox, SendError, StageLog, StoreError, Submission,
};
use tokio::task::JoinSet;

use super::{
    Inner, PACE, Pace, Watchman,
    board::{Board, NoWay, WayOut},
};

pub(super) const NOW: Timestamp = Timestamp(1_769_870_400_000_000);

pub(super) fn incident(id: i64) -> Incident {
    Incident {
        id: IncidentId(id),
        cause: Cause {
            kind: Some(ErrorKind::Timeout),
            subject: Subject::Host("mail.example.org".to_owned()),
            n_accounts: 287,
            n_late: 12,
            n_stopped: 1,
            since: Timestamp::from_seconds(1_769_869_805),
            example: AccountId(7),
            example_name: "Billing".to_owned(),
            message: "the server says: \u{ab}go away\u{bb}".to_owned(),
        },
        opened_at: Timestamp::from_seconds(1_769_869_860),
        noticed_at: None,
        over_at: None,
        detail: String::new(),
    }
}

pub(super) fn notices(recipients: &[&str]) -> Notices {
    Notices {
        enabled: true,
        recipients: recipients.iter().map(|it| EmailAddress::parse(it).unwrap()).collect(),
        webhook: Some(Webhook::parse("https://hooks.example.org/s3cret").unwrap()),
        ..Notices::default()
    }
}

/// Everything that happened, and what is to happen.
#[derive(Default)]
struct Script {
    notices: Notices,
    untold: VecDeque<Incident>,
    opened_before: Option<Timestamp>,
    n_updates: u32,
    details: Vec<String>,
    is_without_smtp: bool,
    /// What the next mails meet; afterwards all are taken.
    fates: VecDeque<Option<Fate>>,
    mails: Vec<(String, String)>,
    /// What the next posts are answered; afterwards 204.
    statuses: VecDeque<u16>,
    is_hanging: bool,
    posts: Vec<String>,
}

#[derive(Clone, Default)]
struct Played(Arc<Mutex<Script>>);

impl Played {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

pub(super) struct Stage {
    pub(super) watchman: Watchman,
    played: Played,
}

impl Stage {
    pub(super) fn new(recipients: &[&str]) -> Self {
        let played = Played::default();
        played.script().notices = notices(recipients);
        let pace = Pace { pause: Duration::ZERO, deadline: Duration::from_secs(1), ..PACE };
        let watchman = Watchman(Arc::new(Inner {
            board: Box::new(played.clone()),
            sender: Arc::new(played.clone()),
            hooks: Arc::new(played.clone()),
            clock: Arc::new(played.clone()),
            pace,
        }));
        Self { watchman, played }
    }

    /// Looks once, and waits until everything is told.
    pub(super) async fn look(&self) {
        let mut telling = JoinSet::new();
        self.watchman.look(&mut telling).await.unwrap();
        telling.join_all().await;
    }

    pub(super) fn set(&self, notices: Notices) {
        self.played.script().notices = notices;
    }

    pub(super) fn untold(&self, incident: Incident) {
        self.played.script().untold.push_back(incident);
    }

    pub(super) fn without_smtp(&self) {
        self.played.script().is_without_smtp = true;
    }

    pub(super) fn fail_mails(&self, fates: &[Option<Fate>]) {
        self.played.script().fates = fates.iter().copied().collect();
    }

    pub(super) fn answer_posts(&self, statuses: &[u16]) {
        self.played.script().statuses = statuses.iter().copied().collect();
    }

    pub(super) fn hang_posts(&self) {
        self.played.script().is_hanging = true;
    }

    /// To whom, and the whole mail.
    pub(super) fn mails(&self) -> Vec<(String, String)> {
        self.played.script().mails.clone()
    }

    pub(super) fn posts(&self) -> Vec<String> {
        self.played.script().posts.clone()
    }

    /// What was kept last.
    pub(super) fn detail(&self) -> String {
        self.played.script().details.last().cloned().unwrap()
    }

    pub(super) fn opened_before(&self) -> Option<Timestamp> {
        self.played.script().opened_before
    }

    pub(super) fn n_updates(&self) -> u32 {
        self.played.script().n_updates
    }
}

impl Clock for Played {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[async_trait]
impl Board for Played {
    async fn mark_late(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn causes(&self) -> Result<Vec<Cause>, StoreError> {
        Ok(Vec::new())
    }

    async fn update(&self, _: &[Cause], _: Timestamp) -> Result<(), StoreError> {
        self.script().n_updates += 1;
        Ok(())
    }

    async fn notices(&self) -> Result<Notices, StoreError> {
        Ok(self.script().notices.clone())
    }

    async fn take(&self, opened_before: Timestamp, _: Timestamp) -> Result<Option<Incident>, StoreError> {
        let mut script = self.script();
        script.opened_before = Some(opened_before);
        Ok(script.untold.pop_front())
    }

    async fn record(&self, _: IncidentId, detail: &str) -> Result<(), StoreError> {
        self.script().details.push(detail.to_owned());
        Ok(())
    }

    async fn way_out(&self) -> Result<WayOut, NoWay> {
        if self.script().is_without_smtp {
            return Err(NoWay::Unset);
        }
        let form = SmtpForm {
            name: "Relay".to_owned(),
            sender: "posthorn@example.org".to_owned(),
            address: "smtp.example.org".to_owned(),
            ..SmtpForm::new_record()
        };
        let smtp = SmtpDraft::try_from(&form).unwrap();
        let destination: Destination = smtp.destination.clone();
        let submission = Submission {
            destination,
            connector: None,
            authority: None,
            credential: None,
            credential_id: None,
            sender: smtp.sender.clone(),
        };
        Ok(WayOut { smtp, submission })
    }
}

#[async_trait]
impl MailSender for Played {
    async fn open(&self, _: &Submission, _: Arc<dyn StageLog>) -> Result<Box<dyn Outbox>, SendError> {
        Ok(Box::new(Open { played: self.clone(), to: String::new() }))
    }
}

struct Open {
    played: Played,
    to: String,
}

#[async_trait]
impl Outbox for Open {
    async fn address(&mut self, to: &EmailAddress) -> Result<(), SendError> {
        to.as_str().clone_into(&mut self.to);
        Ok(())
    }

    async fn transmit(&mut self, message: &[u8]) -> Result<String, SendError> {
        let mut script = self.played.script();
        let text = String::from_utf8(message.to_vec()).unwrap();
        assert!(text.is_ascii(), "{text}");
        script.mails.push((self.to.clone(), text));
        match script.fates.pop_front().flatten() {
            None => Ok("250 OK".to_owned()),
            Some(fate) => Err(SendError::new(fate, MailError::new(ErrorKind::Protocol, CheckStage::Send, "it broke"))),
        }
    }

    async fn close(self: Box<Self>) {}
}

#[async_trait]
impl HookSender for Played {
    async fn post(&self, _: &Webhook, body: &[u8]) -> Result<u16, MailError> {
        let (is_hanging, status) = {
            let mut script = self.script();
            script.posts.push(String::from_utf8(body.to_vec()).unwrap());
            (script.is_hanging, script.statuses.pop_front())
        };
        if is_hanging {
            std::future::pending::<()>().await;
        }
        Ok(status.unwrap_or(204))
    }
}
