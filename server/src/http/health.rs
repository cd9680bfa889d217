//! Whether the process lives, whether it can work, and what it counts.

use std::fmt::Write as _;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    account::{AccountFilter, AccountQuery},
    actor::Actor,
    check::ErrorKind,
    incident::{Overview, Role},
    posture::{PostureCount, PostureQuery},
};
use service::Error;

use super::Web;
use crate::api::auth;

/// The process answers.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// The database answers.
pub(super) async fn ready(State(web): State<Web>) -> Response {
    match web.service.sign_in().needs_set_up().await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// How the checks are going, in Prometheus' text format; with a token.
pub(super) async fn metrics(State(web): State<Web>, request: Request) -> Response {
    let actor = match auth::bearer(&web, &request.into_parts().0).await {
        Ok(actor) => actor,
        Err(problem) => return problem.into_response(),
    };
    match read(&web, &actor).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => super::refused::refusal(&error),
    }
}

async fn read(web: &Web, actor: &Actor) -> Result<String, Error> {
    let total = async |enabled| {
        let filter = AccountFilter { enabled: Some(enabled), ..AccountFilter::default() };
        let query = AccountQuery { filter, ..AccountQuery::default() };
        web.service.accounts().list(actor, &query).await.map(|it| it.total)
    };
    let (enabled, disabled) = (total(true).await?, total(false).await?);
    let posture = web.service.posture().counts(actor, &PostureQuery::default()).await?;
    Ok(exposition(enabled, disabled, &web.service.watch().overview(actor).await?, &posture))
}

/// No host and no name is a label: there are as many of them as there are servers. A label's values are few and known, and each
/// has a line even if it counts nothing, so that alerts need not tell nothing from nobody.
fn exposition(enabled: u64, disabled: u64, overview: &Overview, posture: &[PostureCount]) -> String {
    let it = overview;
    let mut text = String::new();
    family(&mut text, "build_info", "What is running.", &[(Some(("version", env!("CARGO_PKG_VERSION"))), 1)]);
    let accounts = [(Some(("status", "enabled")), enabled), (Some(("status", "disabled")), disabled)];
    family(&mut text, "accounts", "Accounts that are not deleted, by status.", &accounts);
    for (name, help, n) in [
        ("accounts_automatic", "Accounts that are checked by themselves.", it.n_automatic),
        ("checks_running", "Checks that are under way, in all instances.", it.n_running),
        ("accounts_due", "Accounts whose check is due and has not begun.", it.n_due),
        ("accounts_late", "Accounts whose check is overdue.", it.n_late),
        ("accounts_stopped", "Accounts that are not checked until somebody acts.", it.n_stopped),
        ("messages_quarantined", "Messages left on their servers until somebody asks for them.", it.n_quarantined),
        ("incidents_open", "Common causes of failing or late accounts.", open_incidents(it)),
    ] {
        family(&mut text, name, help, &[(None, n)]);
    }
    let failing = ErrorKind::ALL.map(|kind| {
        let causes = it.causes.iter().filter(|it| it.kind == Some(kind));
        (Some(("kind", kind.as_str())), causes.map(|it| it.n_accounts).sum())
    });
    family(&mut text, "accounts_failing", "Accounts that are failing, by kind of error.", &failing);
    let instances = [Role::All, Role::Web, Role::Worker]
        .map(|role| (Some(("role", role.as_str())), count(it.instances.iter().filter(|it| it.role == role))));
    family(&mut text, "instances", "Instances that were seen lately, by role.", &instances);
    let posture: Vec<Sample<'_>> = posture.iter().map(|it| (Some(("list", it.list.as_str())), it.n)).collect();
    family(&mut text, "posture", "Records that want a look, by list of the security posture.", &posture);
    text
}

fn count(them: impl Iterator) -> u64 {
    them.fold(0, |n, _| n + 1)
}

/// The overview ends after so many incidents, the open ones first; of causes it has all, and each has its incident within seconds.
fn open_incidents(overview: &Overview) -> u64 {
    let n_open = count(overview.incidents.iter().filter(|it| it.over_at.is_none()));
    let is_cut = n_open == count(overview.incidents.iter());
    if is_cut { n_open.max(count(overview.causes.iter())) } else { n_open }
}

/// A label, if there is one, and the value.
type Sample<'a> = (Option<(&'a str, &'a str)>, u64);

/// One gauge with its samples.
fn family(text: &mut String, name: &str, help: &str, samples: &[Sample<'_>]) {
    // Writing to a text cannot fail.
    _ = write!(text, "# HELP posthorn_{name} {help}\n# TYPE posthorn_{name} gauge\n");
    for (label, n) in samples {
        let label = label.map(|(label, value)| format!("{{{label}=\"{}\"}}", escaped(value))).unwrap_or_default();
        _ = writeln!(text, "posthorn_{name}{label} {n}");
    }
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use domain::{
        ids::{AccountId, IncidentId},
        incident::{Cause, Incident, Instance, Subject},
        posture::PostureList,
        time::Timestamp,
    };

    use super::*;

    fn cause(kind: Option<ErrorKind>, host: &str, n_accounts: u64) -> Cause {
        Cause {
            kind,
            subject: Subject::Host(host.to_owned()),
            n_accounts,
            n_late: 0,
            n_stopped: 0,
            since: Timestamp(0),
            example: AccountId(1),
            example_name: String::new(),
            message: String::new(),
        }
    }

    #[test]
    fn every_family_has_its_help_and_hosts_of_one_kind_are_one_line() {
        let overview = Overview {
            n_automatic: 9,
            n_running: 1,
            n_late: 2,
            causes: vec![
                cause(Some(ErrorKind::Timeout), "a.example.org", 3),
                cause(Some(ErrorKind::Timeout), "b.example.org", 4),
                cause(None, "", 2),
            ],
            instances: vec![Instance {
                id: "1".to_owned(),
                role: Role::Worker,
                host: "host".to_owned(),
                started_at: Timestamp(0),
                seen_at: Timestamp(0),
            }],
            ..Overview::default()
        };
        let posture = [PostureCount { list: PostureList::WeakTls, n: 4 }];
        let text = exposition(10, 1, &overview, &posture);
        for expected in [
            "# HELP posthorn_accounts Accounts that are not deleted, by status.\n# TYPE posthorn_accounts gauge\n\
             posthorn_accounts{status=\"enabled\"} 10\nposthorn_accounts{status=\"disabled\"} 1\n",
            "posthorn_accounts_automatic 9\n",
            "posthorn_checks_running 1\n",
            "posthorn_accounts_late 2\n",
            "posthorn_accounts_failing{kind=\"timeout\"} 7\n",
            "posthorn_accounts_failing{kind=\"refused\"} 0\n",
            "posthorn_incidents_open 3\n",
            "posthorn_instances{role=\"all\"} 0\n",
            "posthorn_instances{role=\"worker\"} 1\n",
            "posthorn_posture{list=\"weak_tls\"} 4\n",
            concat!("posthorn_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"),
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("example.org"), "{text}");
        assert_eq!(text.matches("# HELP ").count(), text.matches("# TYPE ").count());
    }

    #[test]
    fn incidents_that_are_over_are_not_open() {
        let incident = |id, over_at| Incident {
            id: IncidentId(id),
            cause: cause(None, "", 1),
            opened_at: Timestamp(0),
            noticed_at: None,
            over_at,
            detail: String::new(),
        };
        let incidents = vec![incident(1, None), incident(2, Some(Timestamp(1)))];
        assert_eq!(open_incidents(&Overview { incidents, ..Overview::default() }), 1);
    }

    #[test]
    fn a_label_stays_between_its_quotes() {
        let mut text = String::new();
        family(&mut text, "x", "Help.", &[(Some(("a", "1\\2\"3\n4")), 6)]);
        assert!(text.ends_with("posthorn_x{a=\"1\\\\2\\\"3\\n4\"} 6\n"), "{text}");
    }
}
