//! Times for people: how long ago, from a `now` that came with the data, so that server and browser say the same.

use domain::time::Timestamp;

use crate::context;

/// `just now`, `5 min ago`, `3 h ago`, `2 days ago`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let words = &context::words().common;
    let minutes = now.since(at).as_secs() / 60;
    match minutes {
        0 => words.just_now.to_owned(),
        1..=59 => words.minutes_ago(minutes),
        60..=1439 => words.hours_ago(minutes / 60),
        _ => words.days_ago(minutes / 1440),
    }
}
