//! The reports of records: whichever it is, one page asks for it.

use domain::actor::Permission;
use leptos::prelude::*;
use leptos_router::params::ParamsMap;
use serde::{Deserialize, Serialize};

use super::{
    api::Part,
    page::{ServedPage, number},
};
use crate::{authorities, connectors, context, credentials, oauth, schedules, smtp};

/// What a report lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Records {
    Authorities,
    Connectors,
    Credentials,
    Schedules,
    Smtp,
}

fn list(of: Records, query: &ParamsMap) -> Part {
    Part::List { of, search: query.get("name").unwrap_or_default().trim().to_owned(), page: number(query, "page", 1) }
}

/// A report, with a way to a new record for whoever may make one.
#[component]
pub fn ListPage(of: Records) -> impl IntoView {
    type OfAddress = fn(&ParamsMap, &ParamsMap) -> Part;
    let words = context::words();
    let (title, path, part): (_, _, OfAddress) = match of {
        Records::Authorities => (words.shell.authorities, authorities::PATH, |_, it| list(Records::Authorities, it)),
        Records::Connectors => (words.connectors.title, connectors::PATH, |_, it| list(Records::Connectors, it)),
        Records::Credentials => (words.credentials.title, credentials::PATH, |_, it| list(Records::Credentials, it)),
        Records::Schedules => (words.shell.schedules, schedules::PATH, |_, it| list(Records::Schedules, it)),
        Records::Smtp => (words.smtp.title, smtp::PATH, |_, it| list(Records::Smtp, it)),
    };
    let is_credentials = of == Records::Credentials;
    let new = move || {
        let (words, may_write) = (context::words(), context::user().is_some_and(|it| it.role.may(Permission::Write)));
        let oauth = format!("{}/new", oauth::PATH);
        may_write.then(|| {
            view! {
                {is_credentials.then(|| view! { <a class="button" href=oauth>{words.credentials.create_oauth}</a> })}
                <a class="button primary" href=format!("{path}/new")>{words.common.new}</a>
            }
        })
    };
    view! { <ServedPage title tools=new part/> }
}
