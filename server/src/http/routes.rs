//! Every route of the server, walked: what is not signed in is refused everywhere, the viewer wherever it must be.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use domain::{
    account::AccountForm,
    actor::{Actor, Role},
    credential::{CredentialForm, SecretInput},
    ids::{AccountId, CredentialId},
};
use serde_json::{Value, json};
use service::secret::Secret;
use tower::ServiceExt as _;

use crate::{
    api,
    config::{Config, Options},
    http,
    parts::System,
};

pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) struct Walked {
    pub(super) router: Router,
    pub(super) system: System,
    pub(super) folder: Arc<tempfile::TempDir>,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: String,
    pub(super) headers: HeaderMap,
    pub(super) cookie: String,
}

impl Walked {
    pub(super) async fn open() -> Self {
        Self::on(Arc::new(tempfile::TempDir::new().unwrap())).await
    }

    /// On what is in the folder.
    pub(super) async fn on(folder: Arc<tempfile::TempDir>) -> Self {
        let options = Options { data: Some(folder.path().to_owned()), ..Options::default() };
        let config = Config::settle(options).unwrap();
        let system = System::open(&config, false).await.unwrap();
        let router = http::router(system.service.clone(), config, system.hub.clone());
        Self { router, system, folder }
    }

    pub(super) async fn call(&self, method: Method, path: &str, with: &[(&str, &str)], body: String) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in with {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let cookies = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|it| it.to_str().ok());
        let cookie = cookies.filter_map(|it| it.split(';').next()).collect::<Vec<_>>().join("; ");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, text: String::from_utf8_lossy(&bytes).into_owned(), headers, cookie }
    }

    /// A viewer's cookie and token.
    pub(super) async fn viewer(&self) -> (String, String) {
        self.user("vera", Role::Viewer).await
    }

    /// A new user's cookie and token.
    pub(super) async fn user(&self, name: &str, role: Role) -> (String, String) {
        let cookie = self.signed_in(name, role).await;
        (cookie, self.system.service.sign_in().add_token(&root(), name).await.unwrap())
    }

    /// An account whose checks go nowhere.
    pub(super) async fn account(&self, change: impl FnOnce(&mut AccountForm)) -> AccountId {
        let service = &self.system.service;
        let text = str::to_owned;
        let credential = CredentialForm {
            name: text("Mailbox"),
            username: text("ana"),
            secret: SecretInput(text("secret")),
            ..CredentialForm::default()
        };
        let CredentialId(credential) = service.credentials().save(&root(), None, &credential).await.unwrap();
        let mut form = AccountForm {
            name: text("Invoices"),
            // The egress policy has something against it, so nothing is waited for.
            address: text("127.0.0.1"),
            protocol: text("imap"),
            automatic_check: text("no"),
            credential_id: credential.to_string(),
            ..AccountForm::new_account()
        };
        change(&mut form);
        service.accounts().save(&root(), None, &form).await.unwrap().id
    }

    /// The cookie of a new user.
    pub(super) async fn signed_in(&self, name: &str, role: Role) -> String {
        let users = self.system.service.sign_in();
        users.add_user(&root(), name, Secret::new(PASSWORD.to_owned()), role).await.unwrap();
        let form = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
        let entered = self.call(Method::POST, "/sign-in", &[FORM], form).await;
        assert_eq!(entered.status, StatusCode::SEE_OTHER, "{}", entered.text);
        entered.cookie
    }
}

pub(super) fn root() -> Actor {
    Actor { user_id: None, name: "test".to_owned(), role: Role::Administrator, origin: String::new() }
}

pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");

/// Each server function with an argument that it understands, and what the viewer gets.
fn functions() -> Vec<(&'static str, Value, StatusCode)> {
    let list = |of: &str| json!({"part": {"list": {"of": of, "search": "", "page": 1}}});
    let accounts = domain::account::AccountQuery::default();
    let schedule = domain::schedule::ScheduleForm::new_record(&accounts, "en");
    let messages = domain::message::MessageQuery::default();
    let (good, forbidden, missing) = (StatusCode::OK, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND);
    vec![
        ("/api/accounts/list", json!({"query": accounts}), good),
        ("/api/accounts/form", json!({"id": null}), good),
        ("/api/credentials/load", json!({"id": 1}), missing),
        ("/api/connectors/load", json!({"id": 1}), missing),
        ("/api/connectors/test-page", json!({"id": 1}), missing),
        ("/api/connectors/test", json!({"id": 1, "form": {}}), forbidden),
        ("/api/smtp/load", json!({"id": 1}), missing),
        ("/api/smtp/test-page", json!({"id": 1}), missing),
        ("/api/smtp/test", json!({"id": 1, "recipient": "ana@example.org"}), forbidden),
        ("/api/schedules/load", json!({"id": 1, "query": ""}), missing),
        ("/api/schedules/preview", json!({"form": schedule}), good),
        ("/api/inbox/list", json!({"account": 1, "query": messages}), missing),
        ("/api/inbox/open", json!({"account": 1, "message": 1}), forbidden),
        ("/api/inbox/source", json!({"account": 1, "message": 1}), forbidden),
        ("/api/inbox/checks", json!({"account": 1}), missing),
        ("/api/inbox/check", json!({"account": 1, "transcript": false}), forbidden),
        ("/api/parts/load", json!({"part": "checks"}), good),
        ("/api/parts/load", json!({"part": {"quarantine": {"account": 1, "page": 1}}}), missing),
        ("/api/parts/load", json!({"part": {"deletions": {"account": 1, "planned": 1, "page": 1}}}), missing),
        ("/api/parts/load", json!({"part": {"sample": {"account": 1, "remote": 1}}}), forbidden),
        ("/api/parts/load", json!({"part": {"deleted": {"page": 1}}}), good),
        ("/api/parts/load", list("authorities"), good),
        ("/api/parts/load", list("connectors"), good),
        ("/api/parts/load", list("credentials"), good),
        ("/api/parts/load", list("schedules"), good),
        ("/api/parts/load", list("smtp"), good),
        ("/api/parts/load", json!({"part": {"authority": {"id": null}}}), good),
        ("/api/parts/load", json!({"part": {"authority": {"id": 1}}}), missing),
        ("/api/parts/load", json!({"part": {"egress": {"address": "", "port": ""}}}), good),
        ("/api/parts/load", json!({"part": {"egress": {"address": "127.0.0.1", "port": "993"}}}), forbidden),
        ("/api/parts/load", json!({"part": {"agents": {"connector": 1}}}), missing),
        ("/api/parts/load", json!({"part": {"posture": {"query": ""}}}), good),
        ("/api/parts/load", json!({"part": {"rotation": {"id": 1}}}), missing),
        ("/api/parts/load", json!({"part": {"discovery": {"address": ""}}}), forbidden),
        ("/api/parts/load", json!({"part": {"o_auth": {"id": null}}}), good),
        ("/api/parts/load", json!({"part": {"o_auth": {"id": 1}}}), missing),
        ("/api/parts/load", json!({"part": {"device": {"id": 1}}}), missing),
        ("/api/parts/load", json!({"part": {"audit": {"query": ""}}}), forbidden),
        ("/api/parts/load", json!({"part": {"connection_tests": {"account": 1, "shown": null}}}), forbidden),
        ("/api/parts/load", json!({"part": {"connection_test": {"run": "1"}}}), forbidden),
        ("/api/parts/load", json!({"part": {"runs": {"id": 1, "page": 1}}}), missing),
        ("/api/parts/load", json!({"part": {"transcript": {"account": 1, "run": 1}}}), forbidden),
        ("/api/notices/load", json!({}), good),
        // What the sign-in page itself asks.
        ("/api/sign-in/attempt", json!({}), good),
    ]
}

#[tokio::test]
async fn every_server_function_refuses_strangers_and_the_viewer_where_it_must() {
    let walked = Walked::open().await;
    let listed: BTreeSet<&str> = functions().iter().map(|it| it.0).collect();
    let existing: BTreeSet<&str> = leptos::server_fn::axum::server_fn_paths().map(|it| it.0).collect();
    assert_eq!(listed, existing, "a server function that nobody walks");
    let (cookie, _) = walked.viewer().await;
    for (path, argument, expected) in functions() {
        let kind = if path == "/api/sign-in/attempt" { FORM } else { JSON };
        let body = if kind == FORM { String::new() } else { argument.to_string() };
        let stranger = walked.call(Method::POST, path, &[kind], body.clone()).await;
        let open = if kind == FORM { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(stranger.status, open, "{path}: {}", stranger.text);
        let viewer = walked.call(Method::POST, path, &[kind, ("cookie", &cookie)], body).await;
        assert_eq!(viewer.status, expected, "{path}: {}", viewer.text);
    }
}

#[tokio::test]
async fn every_route_of_the_interface_refuses_strangers_and_the_viewer_where_it_must() {
    let walked = Walked::open().await;
    let (cookie, token) = walked.viewer().await;
    let bearer = format!("Bearer {token}");
    let description = serde_json::to_value(api::description()).unwrap();
    let mut n_routes = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "1").replace("{nth}", "0").replace("{run}", "1").replace("{delivery}", "1");
        let path = path.replace("{remote}", "1").replace("{agent}", "1").replace("{list}", "plain");
        for method in operations.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            n_routes += 1;
            for stranger in
                [vec![JSON], vec![JSON, ("cookie", cookie.as_str())], vec![JSON, ("authorization", "Bearer x")]]
            {
                let answer = walked.call(method.clone(), &path, &stranger, "{}".to_owned()).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            }
            let answer = walked.call(method.clone(), &path, &[JSON, ("authorization", &bearer)], "{}".to_owned()).await;
            let is_mail = path.contains("messages") || path.ends_with("transcript") || path.ends_with("/tests");
            let expected: &[StatusCode] = match method {
                Method::GET if is_mail => &[StatusCode::FORBIDDEN],
                Method::GET => &[StatusCode::OK, StatusCode::NOT_FOUND],
                // What is not there is not there, whoever asks.
                Method::DELETE => &[StatusCode::FORBIDDEN, StatusCode::NOT_FOUND],
                _ => &[StatusCode::FORBIDDEN],
            };
            assert!(expected.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
        }
    }
    assert!(n_routes >= 50, "{n_routes} routes are described");
}

#[tokio::test]
async fn what_the_interface_does_not_have_is_a_problem_like_any_other() {
    let walked = Walked::open().await;
    let (_, token) = walked.viewer().await;
    let bearer = format!("Bearer {token}");
    let (missing, not_allowed) = (StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED);
    for (method, path, expected) in [
        (Method::GET, "accounts/abc", missing),
        (Method::GET, "messages/1/attachments/x", missing),
        (Method::GET, "nothing", missing),
        (Method::POST, "nothing/at/all", missing),
        (Method::PATCH, "accounts/1", not_allowed),
    ] {
        let path = format!("/api/v1/{path}");
        let answer = walked.call(method, &path, &[("authorization", &bearer)], String::new()).await;
        assert_eq!(answer.status, expected, "{path}: {}", answer.text);
        let problem: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(problem["status"], json!(expected.as_u16()), "{path}");
    }
    let title = serde_json::to_value(api::description()).unwrap()["info"]["title"].clone();
    assert_eq!(title, json!("Posthorn"));
}

#[tokio::test]
async fn every_form_refuses_the_viewer_with_a_page() {
    let walked = Walked::open().await;
    let (cookie, _) = walked.viewer().await;
    let accounts = [
        "save/new",
        "discover",
        "delete/1",
        "restore/1",
        "delete-older/1",
        "delete-older/1/cancel",
        "1/check",
        "1/test",
        "1/test/each",
        "test/1/cancel",
        "1/quarantine/retry",
        "1/quarantine/1/retry",
    ];
    let accounts = accounts.map(|it| format!("/settings/email/imap-pop3/{it}"));
    let others = [
        "credentials/save/new",
        "credentials/delete/1",
        "credentials/rotate/1",
        "credentials/oauth/new",
        "credentials/oauth/1/start",
        "credentials/oauth/1/fetch",
        "credentials/oauth/1/device",
        "credentials/oauth/1/device/cancel",
        "connectors/save/new",
        "connectors/delete/1",
        "connectors/1/test",
        "connectors/host-key/1",
        "connectors/1/agents/code",
        "connectors/1/agents/1/approve",
        "connectors/1/agents/1/remove",
        "authorities/new",
        "authorities/delete/1",
    ];
    let others = others.map(|it| format!("/settings/{it}"));
    let outgoing = [
        "notices",
        "notices/test",
        "smtp/save/new",
        "smtp/delete/1",
        "schedules/save/new",
        "schedules/delete/1",
        "schedules/pause/1",
        "schedules/resume/1",
        "schedules/run/1",
        "schedules/runs/1/deliveries/1/repeat",
    ];
    let outgoing = outgoing.map(|it| format!("/settings/email/{it}"));
    for path in accounts.iter().chain(&others).chain(&outgoing) {
        let form = "version=1&host_key=x".to_owned();
        let answer = walked.call(Method::POST, path, &[FORM, ("cookie", &cookie)], form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text);
        assert!(answer.text.contains("You may not do this") && answer.text.contains("<h1"), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_form_that_was_posted_after_the_session_ended_can_be_sent_again() {
    let walked = Walked::open().await;
    let form = "name=M%26M+%3Cb%3E&username=ana&secret=hunter2".to_owned();
    let answer = walked.call(Method::POST, "/settings/credentials/save/new", &[FORM], form).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text.contains(r#"name="name" value="M&amp;M &lt;b&gt;""#), "{}", answer.text);
    assert!(answer.text.contains(r#"action="/settings/credentials/save/new""#) && !answer.text.contains("hunter2"));
}

#[tokio::test]
async fn what_is_not_there_has_the_status_of_it() {
    let walked = Walked::open().await;
    let (cookie, _) = walked.viewer().await;
    for path in ["/settings/email/imap-pop3/99", "/settings/credentials/99", "/nothing"] {
        let answer = walked.call(Method::GET, path, &[("cookie", &cookie)], String::new()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}
