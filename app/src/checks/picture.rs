//! How the checks are going, as HTML: numbers, causes, what runs, which instances are there, incidents.

use domain::{
    account::{AccountFilter, AccountQuery, HealthState},
    check::ErrorKind,
    incident::{Cause, Incident, Instance, Overview, Role, Running},
    time::Timestamp,
};
use leptos::prelude::*;

use crate::{
    accounts::{PATH as ACCOUNTS, health::state_label, report},
    context,
    error::UserError,
    inbox::{
        text::{When, plain},
        wording,
    },
    ui::{table::Plain, when::ago},
};

/// As it is now.
pub async fn load() -> Result<AnyView, UserError> {
    let service = context::service()?;
    let overview = service.watch().overview(&context::actor()?).await?;
    Ok(picture(overview, service.now()))
}

/// The report of the accounts in a state.
fn accounts_that_are(state: HealthState) -> String {
    let filter = AccountFilter { health: Some(state), ..AccountFilter::default() };
    report::address(&AccountQuery { filter, ..AccountQuery::default() })
}

fn picture(overview: Overview, now: Timestamp) -> AnyView {
    let words = context::words();
    let own = &words.checks;
    let Overview { n_running, n_due, n_late, n_failing, n_stopped, n_quarantined, .. } = overview;
    let by_state = |state, n| (state_label(state, words), n, Some(accounts_that_are(state)));
    let tiles = [
        (own.outcome_running, n_running, None),
        (own.due, n_due, None),
        by_state(HealthState::Late, n_late),
        by_state(HealthState::Failing, n_failing),
        by_state(HealthState::Stopped, n_stopped),
        (own.quarantined, n_quarantined, None),
    ];
    view! {
        <ul class="tiles" aria-label=own.numbers>{tiles.map(tile).into_iter().collect_view()}</ul>
        <section class="part">
            <h2>{own.causes}</h2>
            {or_none(own.no_causes, overview.causes, |it| view! { <ul class="causes">{it}</ul> }.into_any(), |it| cause(it, now))}
        </section>
        <section class="part">
            <h2>{own.running_now}</h2>
            {or_none(
                own.none_running,
                overview.running,
                |it| table(own.running_now, vec![own.account, own.started], it),
                |it| running(it, now),
            )}
        </section>
        <section class="part">
            <h2>{own.instances}</h2>
            {or_none(
                own.no_instances,
                overview.instances,
                |it| table(own.instances, vec![own.instance, own.role, own.host, own.started, own.last_seen], it),
                |it| instance(it, now),
            )}
        </section>
        <section class="part">
            <h2>{own.incidents}</h2>
            {or_none(
                own.no_incidents,
                overview.incidents,
                |it| table(own.incidents, vec![own.incident, own.opened_at, own.told_at, own.over_at, own.detail], it),
                incident,
            )}
        </section>
    }
    .into_any()
}

fn tile((label, n, href): (&'static str, u64, Option<String>)) -> AnyView {
    let number = context::locale().number(n);
    let number = match href {
        Some(href) => {
            let name = format!("{label}: {number}");
            view! { <a href=href aria-label=name>{number}</a> }.into_any()
        }
        None => number.into_any(),
    };
    view! { <li><span>{label}</span><strong>{number}</strong></li> }.into_any()
}

/// The lines in their frame, or the sentence that there is none.
fn or_none<T>(
    none: &'static str,
    items: Vec<T>,
    frame: impl FnOnce(Vec<AnyView>) -> AnyView,
    line: impl Fn(T) -> AnyView,
) -> AnyView {
    if items.is_empty() {
        return view! { <p>{none}</p> }.into_any();
    }
    frame(items.into_iter().map(line).collect())
}

fn table(caption: &'static str, heads: Vec<&'static str>, rows: Vec<AnyView>) -> AnyView {
    view! { <Plain caption heads>{rows}</Plain> }.into_any()
}

fn kind(kind: Option<ErrorKind>) -> (&'static str, &'static str) {
    let words = context::words();
    match kind {
        Some(kind) => (wording::kind(kind, words), wording::next_step(kind, words)),
        None => (words.checks.kind_silent, words.checks.next_silent),
    }
}

/// `Connection refused, mail.example.org: 287 accounts`.
fn headline(cause: &Cause) -> String {
    let words = context::words();
    words.checks.cause(kind(cause.kind).0, plain(cause.subject.name()), words.accounts.count(cause.n_accounts))
}

fn cause(it: Cause, now: Timestamp) -> AnyView {
    let words = context::words();
    let own = &words.checks;
    let state = match it.kind {
        None => HealthState::Late,
        Some(_) if it.n_stopped == it.n_accounts => HealthState::Stopped,
        Some(_) => HealthState::Failing,
    };
    let mut facts = vec![own.since(it.since.to_minute(), ago(it.since, now))];
    facts.extend((it.n_late > 0).then(|| own.n_late(it.n_late)));
    facts.extend((it.n_stopped > 0).then(|| own.n_stopped(it.n_stopped)));
    let message = plain(&it.message);
    let detail = (!message.is_empty()).then(|| view! { <p class="hint"><bdi>{own.details(message)}</bdi></p> });
    view! {
        <li class="cause">
            <h3><bdi>{headline(&it)}</bdi></h3>
            <p>{kind(it.kind).1}</p>
            <p class="hint">{facts.join(". ")}"."</p>
            {detail}
            <p>
                {own.example}" "<a href=format!("{ACCOUNTS}/{}/inbox", it.example)><bdi>{plain(&it.example_name)}</bdi></a>". "
                <a href=accounts_that_are(state)>{words.schedules.show_accounts}</a>
            </p>
        </li>
    }
    .into_any()
}

fn running(it: Running, now: Timestamp) -> AnyView {
    view! {
        <tr>
            <th scope="row"><a href=format!("{ACCOUNTS}/{}/inbox", it.account_id)><bdi>{plain(&it.account_name)}</bdi></a></th>
            <td>{moment(it.started_at, now)}</td>
        </tr>
    }
    .into_any()
}

fn instance(it: Instance, now: Timestamp) -> AnyView {
    let words = &context::words().checks;
    let role = match it.role {
        Role::Web => words.role_web,
        Role::Worker => words.role_worker,
        Role::All => words.role_all,
    };
    view! {
        <tr>
            <th scope="row" class="mono">{plain(&it.id)}</th>
            <td>{role}</td>
            <td><bdi>{plain(&it.host)}</bdi></td>
            <td>{moment(it.started_at, now)}</td>
            <td>{ago(it.seen_at, now)}</td>
        </tr>
    }
    .into_any()
}

fn incident(it: Incident) -> AnyView {
    let words = &context::words().checks;
    let told = it.noticed_at.map_or_else(|| words.not_told.into_any(), |at| view! { <When at/> }.into_any());
    let over = it.over_at.map_or_else(|| words.still_open.into_any(), |at| view! { <When at/> }.into_any());
    view! {
        <tr>
            <th scope="row"><bdi>{headline(&it.cause)}</bdi></th>
            <td><When at=it.opened_at/></td>
            <td>{told}</td>
            <td>{over}</td>
            <td class="prose"><bdi>{plain(&it.detail)}</bdi></td>
        </tr>
    }
    .into_any()
}

fn moment(at: Timestamp, now: Timestamp) -> AnyView {
    view! { <When at/>", "{ago(at, now)} }.into_any()
}

#[cfg(test)]
mod tests {
    use domain::{
        ids::{AccountId, IncidentId},
        incident::Subject,
    };

    use super::*;

    fn shown(overview: Overview) -> String {
        Owner::new().with(|| picture(overview, Timestamp::from_seconds(3_600)).to_html())
    }

    #[test]
    fn many_accounts_of_one_cause_are_one_line_and_nothing_from_outside_is_markup() {
        let hostile = "<b>\u{202e}".to_owned();
        let cause = Cause {
            kind: Some(ErrorKind::Refused),
            subject: Subject::Host("mail.example.org".to_owned()),
            n_accounts: 287,
            n_late: 3,
            n_stopped: 0,
            since: Timestamp(0),
            example: AccountId(4),
            example_name: hostile.clone(),
            message: hostile.clone(),
        };
        let incident = Incident {
            id: IncidentId(1),
            cause: cause.clone(),
            opened_at: Timestamp(0),
            noticed_at: None,
            over_at: None,
            detail: hostile,
        };
        let overview =
            Overview { n_failing: 287, causes: vec![cause], incidents: vec![incident], ..Overview::default() };
        let html = shown(overview);
        assert!(html.contains("Connection refused, mail.example.org: 287 accounts"), "{html}");
        assert!(html.contains("imap-pop3?health=failing") && html.contains("1 h ago"), "{html}");
        assert!(!html.contains("<b>") && !html.contains('\u{202e}'), "{html}");
    }

    #[test]
    fn a_quiet_installation_says_so_in_every_part() {
        let html = shown(Overview::default());
        for sentence in ["Nothing holds checks up.", "No check is running.", "No incident so far."] {
            assert!(html.contains(sentence), "{html}");
        }
    }
}
