//! The page of a schedule's history, and how a run ended.

use domain::{ids::ScheduleId, schedule::RunOutcome};
use leptos::prelude::*;

use super::wording;
use crate::{
    context,
    served::{
        api::Part,
        page::{ServedPage, number},
    },
    ui::icon::Icon,
};

/// Two minutes: a run that goes on is followed, and one that begins by itself shows up too, for a while.
const LOOKS: u32 = 60;

#[component]
pub fn RunsPage() -> impl IntoView {
    let title = context::words().schedules.history;
    view! {
        <ServedPage title looks=LOOKS part=|params, query| Part::Runs {
            id: number(params, "id", ScheduleId(0)),
            page: number(query, "page", 1),
        }/>
    }
}

/// An outcome, never by colour alone.
#[component]
pub fn Outcome(outcome: RunOutcome) -> impl IntoView {
    let (class, icon) = match outcome {
        RunOutcome::Sent | RunOutcome::Unchanged => ("state ok", Some("check")),
        RunOutcome::Partial => ("state warn", Some("alert")),
        RunOutcome::Failed => ("state bad", Some("alert")),
        RunOutcome::Running => ("state", None),
    };
    view! { <span class=class>{icon.map(|name| view! { <Icon name/> })}{wording::outcome(outcome, context::words())}</span> }
}
