//! Where a record is used: links to what uses it. Shared with connectors.

use domain::{
    account::{UsedBy, User},
    time::Timestamp,
};
use leptos::prelude::*;

use crate::{accounts, connectors, context, smtp};

/// What uses it, each a link to its form.
#[component]
pub fn UsedByList(used_by: UsedBy) -> impl IntoView {
    let lines = used_by.into_iter().map(|(user, name)| {
        let href = match user {
            User::Account(id) => format!("{}/{id}", accounts::PATH),
            User::Connector(id) => format!("{}/{id}", connectors::PATH),
            User::Smtp(id) => format!("{}/{id}", smtp::PATH),
        };
        view! { <li><a href=href><bdi>{name}</bdi></a></li> }
    });
    view! { <ul>{lines.collect_view()}</ul> }
}

/// `12 Jan 2026`, in the language of the page.
pub fn day(at: Timestamp) -> String {
    let words = &context::words().credentials;
    let text = at.to_minute();
    let parts: Vec<&str> = text.split([' ', '-']).collect();
    let [year, month, day, ..] = parts[..] else {
        return text;
    };
    let nth = month.parse::<usize>().unwrap_or(1).saturating_sub(1);
    let month = words.months.split(' ').nth(nth).unwrap_or_default();
    words.day(day.trim_start_matches('0'), month, year)
}

/// The number of a record in the path; `None` for a new one. What is no number is the number of no record.
pub fn id_in_path<T: std::str::FromStr>(id: Option<String>) -> Option<T> {
    let id = id.filter(|it| it != "new")?;
    id.parse().or_else(|_| "0".parse()).ok()
}

/// A path within Posthorn to go back to after saving; anything else is dropped.
pub fn local_path(path: Option<String>) -> Option<String> {
    path.filter(|it| it.starts_with('/') && !it.starts_with("//") && !it.contains(['\\', '\r', '\n', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_as_people_write_it() {
        assert_eq!(day(Timestamp::from_seconds(1_768_219_200)), "12 Jan 2026");
    }

    #[test]
    fn only_paths_of_this_site_are_gone_back_to() {
        let check = |path: &str| local_path(Some(path.to_owned())).is_some();
        assert!(check("/settings/email/imap-pop3/new"));
        assert!(!check("//evil.example") && !check("https://evil.example") && !check("/\\evil.example"));
    }
}
