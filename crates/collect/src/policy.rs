//! What a check's end means for the account: when the next one is due, and whether there is one at all.

use std::time::Duration;

use domain::{
    account::{AccountDraft, Failure, Health},
    check::{CheckError, ErrorKind},
    time::Timestamp,
};
use rand::Rng;

/// An uncoded refusal stops the account if it comes again after so long; a single one may be the server's trouble.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_mins(5);
/// No back-off is longer, unless the account's own interval is or the server asks for it.
const BACK_OFF_MAX: Duration = Duration::from_hours(1);
/// A server that has enough of us is left alone for at least so long, if it does not say for how long.
const THROTTLED_MIN: Duration = Duration::from_mins(15);
/// Our own store may be well again soon; its trouble is nobody else's.
const STORAGE_FIRST: Duration = Duration::from_secs(30);
const STORAGE_MAX: Duration = Duration::from_mins(10);
/// After a refusal, the others that use the credential wait until the account that was refused has tried once more.
const SIBLINGS_BEHIND: Duration = Duration::from_secs(30);

/// How a check ended, as far as the policy wants to know.
#[derive(Default)]
pub(crate) struct End<'a> {
    pub(crate) error: Option<&'a CheckError>,
    /// The server's code leaves no doubt that the credential is wrong.
    pub(crate) is_certain: bool,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// What follows from the end of a check.
pub(crate) struct Next {
    pub(crate) health: Health,
    /// A success moves it on.
    pub(crate) late_at: Option<Timestamp>,
    /// The others that use the credential are not to try it before this time.
    pub(crate) spare_siblings_until: Option<Timestamp>,
}

/// The account's health after a check that ended at `now`.
pub(crate) fn next(before: &Health, draft: &AccountDraft, end: &End<'_>, now: Timestamp, rng: &mut impl Rng) -> Next {
    let is_automatic = draft.enabled && draft.automatic_check;
    let interval = Duration::from_secs(u64::from(draft.interval_s));
    let Some(error) = end.error else {
        let health = Health {
            last_success_at: Some(now),
            next_check_at: is_automatic.then(|| now.plus(spread(interval, rng))),
            failure: None,
            is_late: false,
        };
        return Next { health, late_at: Some(now.plus(draft.late_after())), spare_siblings_until: None };
    };
    let same_kind = before.failure.as_ref().filter(|it| it.kind == error.kind);
    let since = same_kind.map_or(now, |it| it.since);
    let n_failures = before.failure.as_ref().map_or(0, |it| it.n_failures).saturating_add(1);
    let is_credential = matches!(error.kind, ErrorKind::Authentication | ErrorKind::Expired);
    let is_stopped =
        is_credential && (end.is_certain || (same_kind.is_some() && now.since(since) >= REFUSED_AGAIN_AFTER));
    let wait = back_off(error.kind, interval, n_failures).max(end.retry_after.unwrap_or_default());
    let next_check_at = (is_automatic && !is_stopped).then(|| now.plus(spread(wait, rng)));
    let spare_siblings_until =
        next_check_at.filter(|_| is_credential && !is_stopped).map(|it| it.plus(SIBLINGS_BEHIND));
    let failure = Failure { kind: error.kind, message: error.message.clone(), since, n_failures, is_stopped };
    let health = Health {
        last_success_at: before.last_success_at,
        next_check_at,
        failure: Some(failure),
        is_late: before.is_late,
    };
    Next { health, late_at: None, spare_siblings_until }
}

/// Doubles with every failure up to an hour; patient where haste would make it worse.
fn back_off(kind: ErrorKind, interval: Duration, n_failures: u32) -> Duration {
    let factor = 1 << n_failures.saturating_sub(1).min(10);
    let doubled = interval.saturating_mul(factor).min(BACK_OFF_MAX.max(interval));
    match kind {
        ErrorKind::Authentication | ErrorKind::Expired => doubled.max(REFUSED_AGAIN_AFTER + Duration::from_mins(1)),
        ErrorKind::Throttled => doubled.max(THROTTLED_MIN),
        ErrorKind::Storage => STORAGE_FIRST.saturating_mul(factor).min(STORAGE_MAX),
        _ => doubled,
    }
}

/// Up to a tenth more, so that accounts that met once do not meet for ever.
fn spread(wait: Duration, rng: &mut impl Rng) -> Duration {
    wait.mul_f64(rng.random_range(1.0..1.1))
}

#[cfg(test)]
mod tests {
    use domain::account::{AccountDraft, AccountForm};
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn draft() -> AccountDraft {
        let form = AccountForm {
            name: "a".to_owned(),
            address: "mail.example".to_owned(),
            protocol: "imap".to_owned(),
            credential_id: "1".to_owned(),
            ..AccountForm::new_account()
        };
        AccountDraft::try_from(&form).unwrap()
    }

    fn after(before: &Health, kind: Option<ErrorKind>, is_certain: bool, minute: i64) -> Health {
        let error = kind.map(|kind| CheckError { kind, message: String::new() });
        let end = End { error: error.as_ref(), is_certain, retry_after: None };
        let now = Timestamp::from_seconds(minute * 60);
        next(before, &draft(), &end, now, &mut StdRng::seed_from_u64(1)).health
    }

    #[test]
    fn a_server_that_says_when_is_taken_at_its_word() {
        let error = CheckError { kind: ErrorKind::Throttled, message: String::new() };
        let hours = Duration::from_hours(5);
        let end = End { error: Some(&error), is_certain: false, retry_after: Some(hours) };
        let after = next(&Health::default(), &draft(), &end, Timestamp(0), &mut StdRng::seed_from_u64(1));
        assert!(after.health.next_check_at >= Some(Timestamp(0).plus(hours)));
        assert_eq!(after.spare_siblings_until, None);
    }

    #[test]
    fn whoever_shares_a_refused_credential_waits_for_its_next_attempt() {
        let error = CheckError { kind: ErrorKind::Authentication, message: String::new() };
        let end = End { error: Some(&error), ..End::default() };
        let after = next(&Health::default(), &draft(), &end, Timestamp(0), &mut StdRng::seed_from_u64(1));
        assert!(after.spare_siblings_until > after.health.next_check_at);
    }

    #[test]
    fn trouble_with_our_own_store_is_tried_again_soon() {
        let health = after(&Health::default(), Some(ErrorKind::Storage), false, 0);
        assert!(health.next_check_at < Some(Timestamp::from_seconds(60)));
    }

    #[test]
    fn a_password_that_is_surely_wrong_stops_at_once() {
        let health = after(&Health::default(), Some(ErrorKind::Authentication), true, 0);
        assert!(health.failure.is_some_and(|it| it.is_stopped));
        assert_eq!(health.next_check_at, None);
    }

    #[test]
    fn an_uncoded_refusal_stops_only_when_it_comes_again_five_minutes_later() {
        let once = after(&Health::default(), Some(ErrorKind::Authentication), false, 0);
        assert!(once.failure.as_ref().is_some_and(|it| !it.is_stopped));
        assert!(once.next_check_at > Some(Timestamp::from_seconds(300)));
        let soon = after(&once, Some(ErrorKind::Authentication), false, 1);
        assert!(soon.failure.as_ref().is_some_and(|it| !it.is_stopped));
        let again = after(&once, Some(ErrorKind::Authentication), false, 6);
        assert!(again.failure.is_some_and(|it| it.is_stopped));
        let good = after(&once, None, false, 1);
        let later = after(&good, Some(ErrorKind::Authentication), false, 10);
        assert!(later.failure.is_some_and(|it| !it.is_stopped));
    }

    #[test]
    fn failures_back_off_to_an_hour_and_are_forgotten_by_a_success() {
        let mut health = Health::default();
        let mut wait = Duration::ZERO;
        for _ in 0..12 {
            health = after(&health, Some(ErrorKind::Timeout), false, 0);
            let next = health.next_check_at.unwrap().since(Timestamp(0));
            assert!(next >= wait || next >= Duration::from_hours(1), "{next:?} after {wait:?}");
            wait = next;
        }
        assert!((Duration::from_hours(1)..Duration::from_mins(66)).contains(&wait), "{wait:?}");
        assert_eq!(after(&health, None, false, 0).failure, None);
    }
}
