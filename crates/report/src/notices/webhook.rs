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

#[cfg(test)]
mod tests {
    use domain::{
        ids::{ConnectorId, CredentialId},
        incident::Cause,
        time::Timestamp,
    };

    use super::*;
    use crate::notices::samples::incident;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn programs_read_every_field_at_every_event() {
        let it = incident(3);
        let expected = concat!(
            r#"{"event":"incident.opened","id":3,"kind":"timeout","#,
            r#""subject":{"type":"host","name":"mail.example.org"},"accounts":287,"late":12,"stopped":1,"#,
            r#""since":"2026-01-31T14:30:05Z","opened_at":"2026-01-31T14:31:00Z","over_at":null,"#,
            r#""example":{"id":7,"name":"Billing"},"message":"the server says: «go away»"}"#
        );
        assert_eq!(text(body(&it, Event::Opened)), expected);
        let it = Incident { over_at: Some(Timestamp::from_seconds(1_769_873_400)), ..it };
        let over = expected.replace("incident.opened", "incident.over");
        let over = over.replace("\"over_at\":null", "\"over_at\":\"2026-01-31T15:30:00Z\"");
        assert_eq!(text(body(&it, Event::of(&it))), over);
    }

    #[test]
    fn what_nothing_failed_for_is_silent_and_a_subject_says_what_it_is() {
        for (kind, subject, expected) in [
            (None, Subject::Posthorn, r#""kind":"silent","subject":{"type":"posthorn","name":"Posthorn"}"#),
            (
                Some(ErrorKind::Expired),
                Subject::Credential(CredentialId(1), "a \"b\"".to_owned()),
                r#""kind":"expired","subject":{"type":"credential","name":"a \"b\""}"#,
            ),
            (
                Some(ErrorKind::Connector),
                Subject::Connector(ConnectorId(1), "c".to_owned()),
                r#""kind":"connector","subject":{"type":"connector","name":"c"}"#,
            ),
        ] {
            let it = incident(1);
            let it = Incident { cause: Cause { kind, subject, ..it.cause }, ..it };
            let json = text(body(&it, Event::Opened));
            assert!(json.contains(expected), "{json}");
        }
        assert_eq!(text(test("hello")), r#"{"event":"test","message":"hello"}"#);
    }
}
