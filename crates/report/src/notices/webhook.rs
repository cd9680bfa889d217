//! What a notice says to programs: the JSON of `docs/api.md`.

use domain::{
    check::ErrorKind,
    ids::{AccountId, IncidentId},
    incident::{Incident, Subject},
};
use serde::Serialize;

use super::Event;

#[derive(Serialize)]
struct Told<'a> {
    event: &'static str,
    id: IncidentId,
    kind: &'static str,
    subject: Named<'a>,
    accounts: u64,
    late: u64,
    stopped: u64,
    since: String,
    opened_at: String,
    over_at: Option<String>,
    example: Example<'a>,
    message: &'a str,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
}

#[derive(Serialize)]
struct Example<'a> {
    id: AccountId,
    name: &'a str,
}

#[derive(Serialize)]
struct Test<'a> {
    event: &'static str,
    message: &'a str,
}

pub(super) fn body(incident: &Incident, event: Event) -> Vec<u8> {
    let cause = &incident.cause;
    bytes(&Told {
        event: event.as_str(),
        id: incident.id,
        kind: cause.kind.map_or("silent", ErrorKind::as_str),
        subject: Named { kind: subject_type(&cause.subject), name: cause.subject.name() },
        accounts: cause.n_accounts,
        late: cause.n_late,
        stopped: cause.n_stopped,
        since: cause.since.to_string(),
        opened_at: incident.opened_at.to_string(),
        over_at: incident.over_at.map(|it| it.to_string()),
        example: Example { id: cause.example, name: &cause.example_name },
        message: &cause.message,
    })
}

pub(super) fn test(message: &str) -> Vec<u8> {
    bytes(&Test { event: "test", message })
}

fn subject_type(subject: &Subject) -> &'static str {
    match subject {
        Subject::Host(_) => "host",
        Subject::Connector(..) => "connector",
        Subject::Credential(..) => "credential",
        Subject::Posthorn => "posthorn",
    }
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    // Texts and numbers with keys that are texts: this cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}
