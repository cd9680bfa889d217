//! Sends a notice by every way that is set, again if need be.
//!
//! An attempt that may succeed later is repeated, three attempts in all, with pauses of 5 and 20 seconds, until the notice's
//! deadline of three minutes. What the other side will never take is not tried again. A mail of which nobody knows whether it
//! arrived goes again under the same Message-ID: told twice is better than not at all.

use std::{sync::Arc, time::Duration};

use domain::{
    check::{ErrorKind, Stage, StageRecord},
    email::EmailAddress,
    incident::Incident,
    notices::{Notices, Webhook},
    time::Timestamp,
};
use service::ports::{Fate, MailError, Outbox, SendError, StageLog};
use tokio::time::{sleep, timeout};
use words::Locale;

use super::{
    Event, Inner,
    board::{NoWay, WayOut},
    text::{self, Letter},
    webhook,
};
use crate::message::{self, Envelope};

/// The most characters of what came of telling.
const DETAIL_MAX: usize = 1000;

/// What is told, to people and to programs.
pub(super) struct Notice {
    locale: Locale,
    letter: Letter,
    body: Vec<u8>,
    /// What tells it from every other notice.
    key: String,
    /// The key of the notice that it follows.
    answers: Option<String>,
}

impl Notice {
    pub(super) fn of(incident: &Incident, event: Event, locale: Locale) -> Self {
        // The number alone may come again in another database.
        let key =
            |it: Event| format!("{} {} {} {}", incident.id, incident.opened_at.0, incident.cause.key(), it.as_str());
        Self {
            locale,
            letter: text::letter(incident, event, locale),
            body: webhook::body(incident, event),
            key: key(event),
            answers: (event == Event::Over).then(|| key(Event::Opened)),
        }
    }

    pub(super) fn test(locale: Locale) -> Self {
        let letter = text::test(locale);
        let body = webhook::test(&letter.text);
        Self { locale, letter, body, key: format!("test {:032x}", rand::random::<u128>()), answers: None }
    }

    /// The mail to one recipient, the same at every attempt but for its date.
    fn mail(&self, way: &WayOut, to: &EmailAddress, at: Timestamp) -> Result<Vec<u8>, SendError> {
        let host = way.smtp.sender.host();
        let envelope = Envelope {
            smtp: &way.smtp,
            to,
            subject: self.letter.subject.clone(),
            message_id: message_id(&self.key, to, host),
            at,
        };
        let answers = self.answers.as_ref().map(|it| message_id(it, to, host));
        message::notice(&envelope, self.letter.text.clone(), answers).map_err(|error| {
            SendError::new(Fate::Never, MailError::new(ErrorKind::Internal, Stage::Send, error.to_string()))
        })
    }
}

/// Known beforehand, so that a mail that goes again is the same one, and the notice of an end can name that of the beginning.
fn message_id(key: &str, to: &EmailAddress, host: &str) -> String {
    let hash = blake3::hash(format!("{key}\n{to}").as_bytes()).to_hex();
    format!("<{}@{host}>", &hash[..32])
}

/// What came of telling one recipient or one program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Came {
    /// Another attempt may reach it.
    Waiting(String),
    Failed(String),
    Reached(String),
}

impl Came {
    fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }

    /// A line for people.
    fn line(&self, to: &str) -> String {
        let (Self::Waiting(what) | Self::Failed(what) | Self::Reached(what)) = self;
        format!("{to}: {what}")
    }

    fn of(error: &SendError) -> Self {
        let why = error.error.message.clone();
        if error.fate == Fate::Never { Self::Failed(why) } else { Self::Waiting(why) }
    }
}

/// A mail to one recipient.
struct Post {
    to: EmailAddress,
    came: Came,
}

/// What came of telling everybody.
pub(super) struct Outcome {
    /// Whether it was reached, and a line for people.
    lines: Vec<(bool, String)>,
    /// What there is to say if nobody is set.
    nobody: &'static str,
}

impl Outcome {
    /// What failed; empty if nothing did.
    pub(super) fn failures(&self) -> String {
        if self.lines.is_empty() { self.nobody.to_owned() } else { self.join(|is_reached| !is_reached) }
    }

    pub(super) fn all(&self) -> String {
        if self.lines.is_empty() { self.nobody.to_owned() } else { self.join(|_| true) }
    }

    fn join(&self, wanted: impl Fn(bool) -> bool) -> String {
        let lines: Vec<_> = self.lines.iter().filter(|it| wanted(it.0)).map(|it| it.1.as_str()).collect();
        text::clean(&lines.join("; "), DETAIL_MAX)
    }
}

/// The stages of a notice are not kept: what failed is in its error.
struct Unheard;

impl StageLog for Unheard {
    fn ended(&self, record: StageRecord) {
        tracing::debug!(?record, "a stage of a notice");
    }
}

impl Inner {
    /// Tells everybody, in so many attempts and within the deadline.
    pub(super) async fn send(&self, notice: &Notice, notices: &Notices, attempts: u32, deadline: Duration) -> Outcome {
        let words = &notice.locale.words().notice;
        let silent = || Came::Waiting(words.no_answer(deadline.as_secs()));
        let mut posts: Vec<_> = notices.recipients.iter().map(|to| Post { to: to.clone(), came: silent() }).collect();
        let mut hook = notices.webhook.as_ref().map(|hook| (hook, silent()));
        // What was reached before the deadline stays so: each attempt notes at once what came of it.
        let by_mail = async {
            for nth in 1..=attempts {
                self.pause_before(nth).await;
                if !self.mail(notice, &mut posts).await {
                    break;
                }
            }
        };
        let by_hook = async {
            let Some((hook, came)) = &mut hook else { return };
            for nth in 1..=attempts {
                self.pause_before(nth).await;
                *came = self.post(notice, hook).await;
                if !came.is_waiting() {
                    break;
                }
            }
        };
        _ = timeout(deadline, async { tokio::join!(by_mail, by_hook) }).await;
        let is_reached = |it: &Came| matches!(it, Came::Reached(_));
        let mut lines: Vec<_> = posts.iter().map(|it| (is_reached(&it.came), it.came.line(it.to.as_str()))).collect();
        // Of a webhook only the authority is named: whoever knows the rest may post.
        lines.extend(hook.map(|(hook, came)| (is_reached(&came), came.line(&hook.authority()))));
        Outcome { lines, nobody: words.nobody }
    }

    async fn pause_before(&self, nth: u32) {
        if let Some(repeated) = nth.checked_sub(2) {
            sleep(self.pace.pause.saturating_mul(4_u32.saturating_pow(repeated))).await;
        }
    }

    /// One attempt at every mail that waits, over one connection as long as it holds. Answers with whether one still waits.
    async fn mail(&self, notice: &Notice, posts: &mut [Post]) -> bool {
        let is_waiting = |it: &Post| it.came.is_waiting();
        if !posts.iter().any(is_waiting) {
            return false;
        }
        let way = match self.board.way_out().await {
            Ok(way) => way,
            Err(error) => {
                let came = match error {
                    NoWay::Unset => Came::Failed(notice.locale.words().report.no_smtp.to_owned()),
                    NoWay::Store(error) => Came::Waiting(error.to_string()),
                    NoWay::Mail(error) => Came::of(&SendError::before(error)),
                };
                posts.iter_mut().filter(|it| is_waiting(it)).for_each(|it| it.came = came.clone());
                return posts.iter().any(is_waiting);
            }
        };
        let mut connection = None;
        for nth in 0..posts.len() {
            if !is_waiting(&posts[nth]) {
                continue;
            }
            let mut open = match connection.take() {
                Some(open) => open,
                None => match self.sender.open(&way.submission, Arc::new(Unheard)).await {
                    Ok(open) => open,
                    Err(error) => {
                        // The others would wait for the same server, one after the other.
                        let came = Came::of(&error);
                        posts[nth..].iter_mut().filter(|it| is_waiting(it)).for_each(|it| it.came = came.clone());
                        break;
                    }
                },
            };
            let post = &mut posts[nth];
            match self.submit(notice, &way, &post.to, &mut *open).await {
                Ok(()) => {
                    post.came = Came::Reached(notice.locale.words().notice.taken.to_owned());
                    connection = Some(open);
                }
                Err(error) => post.came = Came::of(&error),
            }
        }
        if let Some(connection) = connection {
            connection.close().await;
        }
        posts.iter().any(is_waiting)
    }

    async fn submit(
        &self,
        notice: &Notice,
        way: &WayOut,
        to: &EmailAddress,
        open: &mut dyn Outbox,
    ) -> Result<(), SendError> {
        let mail = notice.mail(way, to, self.clock.now())?;
        open.address(to).await?;
        open.transmit(&mail).await?;
        Ok(())
    }

    /// One attempt at the webhook. A server that is ill or asks to be left alone is tried again (RFC 9110 section 15.6,
    /// RFC 6585 section 4); any other answer is its last word.
    async fn post(&self, notice: &Notice, hook: &Webhook) -> Came {
        let words = &notice.locale.words().notice;
        match self.hooks.post(hook, &notice.body).await {
            Ok(status @ 200..=299) => Came::Reached(words.answered(status)),
            Ok(status @ 300..=399) => Came::Failed(words.redirected(status)),
            Ok(status @ (408 | 429 | 500..=599)) => Came::Waiting(words.answered(status)),
            Ok(status) => Came::Failed(words.answered(status)),
            Err(error) => Came::of(&SendError::before(error)),
        }
    }
}
