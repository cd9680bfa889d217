//! The server functions of scheduled reports. Forms post to plain routes, so these only read. Sentences and times of a schedule's
//! zone are made on the server, which has the calendar.

use domain::{ids::ScheduleId, schedule::ScheduleForm};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::Json, error::UserError, posted::Posted};

/// What the form needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormAnswer {
    pub posted: Posted<ScheduleForm>,
    /// `None` for a new one.
    pub id: Option<ScheduleId>,
    /// The version that is stored now.
    pub version: String,
    /// What is stored now, in words.
    pub stored: String,
    /// Which accounts, in words and as the report's address has it.
    pub accounts: (String, String),
    /// Accounts that the filter gives at this moment.
    pub n_accounts: u64,
    pub zones: Vec<String>,
    /// Whether there is an SMTP configuration to send by.
    pub can_send: bool,
    pub next_runs: Vec<String>,
}

/// A stored schedule, or a new one of the report that `query` asks for.
#[server(endpoint = "schedules/load", input = Json, output = Json)]
pub async fn load_schedule(id: Option<ScheduleId>, query: String) -> Result<FormAnswer, UserError> {
    use domain::account::AccountQuery;

    use super::wording;
    use crate::context::{actor, locale, service, words};

    let (service, actor, words) = (service()?, actor()?, words());
    let schedules = service.schedules();
    let schedule = match id {
        Some(id) => Some(schedules.load(&actor, id).await?),
        None => None,
    };
    let fresh = || {
        let new = || ScheduleForm::new_record(&AccountQuery::from_query_string(&query), locale().tag());
        Posted { form: schedule.as_ref().map_or_else(new, ScheduleForm::of), ..Posted::default() }
    };
    let posted = use_context::<Posted<ScheduleForm>>().unwrap_or_else(fresh);
    let accounts = posted.form.account_query();
    let draft = schedule.as_ref().map(|it| &it.draft);
    Ok(FormAnswer {
        id,
        version: schedule.as_ref().map(|it| it.version.to_string()).unwrap_or_default(),
        stored: draft
            .map(|it| words.schedules.conflict(&it.name, wording::timing(&it.timing, words)))
            .unwrap_or_default(),
        n_accounts: schedules.count(&actor, &accounts).await?,
        accounts: (wording::query(&accounts, words), accounts.to_query_string()),
        can_send: schedules.can_send(&actor).await?,
        zones: schedules.zones(),
        // What is wrong is said when it is saved; until then there is nothing to show.
        next_runs: schedules.preview(&actor, &posted.form).unwrap_or_default(),
        posted,
    })
}

/// The next runs of a form that is being filled in.
#[server(endpoint = "schedules/preview", input = Json, output = Json)]
pub async fn preview_runs(form: ScheduleForm) -> Result<Vec<String>, UserError> {
    use crate::context::{actor, service};

    Ok(std::future::ready(service()?.schedules().preview(&actor()?, &form)).await?)
}
