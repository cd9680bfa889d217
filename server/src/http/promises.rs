//! What the server promises beyond who may do what: limits, what comes back, what is shown to whom.

use axum::http::{Method, StatusCode};
use domain::{
    actor::{Actor, Role},
    audit::{AuditAction, AuditQuery, AuditRow},
};
use futures::future::join_all;
use serde_json::{Value, json};
use service::secret::Secret;

use super::routes::{FORM, JSON, PASSWORD, Walked};
use crate::exchange;

const HOOK: &str = "https://hooks.example.org/services/who-knows-this-may-post";

fn root() -> Actor {
    Actor { user_id: None, name: "test".to_owned(), role: Role::Administrator, origin: String::new() }
}

impl Walked {
    async fn administrator(&self) -> String {
        let users = self.system.service.sign_in();
        let password = Secret::new(PASSWORD.to_owned());
        users.add_user(&root(), "ana", password, Role::Administrator).await.unwrap();
        users.add_token(&root(), "ana").await.unwrap()
    }

    async fn ask(&self, token: &str, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let bearer = format!("Bearer {token}");
        let with = [JSON, ("authorization", bearer.as_str())];
        let answer = self.call(method, path, &with, body.to_string()).await;
        (answer.status, serde_json::from_str(&answer.text).unwrap_or_default())
    }

    async fn audit(&self, action: AuditAction) -> Vec<AuditRow> {
        let query = AuditQuery { action: Some(action), ..AuditQuery::default() };
        self.system.service.audit().list(&root(), &query).await.unwrap().items
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_at_once_are_looked_at_no_more_often_than_one_after_the_other() {
    let walked = Walked::open().await;
    let token = walked.administrator().await;
    let wrong = || walked.call(Method::POST, "/sign-in", &[FORM], "name=ana&password=wrong".to_owned());
    let answers = join_all((0..40).map(|_| wrong())).await;
    let n_with = |status| answers.iter().filter(|it| it.status == status).count();
    assert_eq!((n_with(StatusCode::UNPROCESSABLE_ENTITY), n_with(StatusCode::TOO_MANY_REQUESTS)), (8, 32));
    assert_eq!(walked.audit(AuditAction::SignInFailed).await.len(), 8);
    let right = walked.call(Method::POST, "/sign-in", &[FORM], form("ana", PASSWORD)).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "from this address, for a while");
    let elsewhere = walked.system.service.sign_in();
    let entered = elsewhere.sign_in("ana", Secret::new(PASSWORD.to_owned()), "192.0.2.7").await;
    assert!(entered.is_ok(), "she is not locked out elsewhere: {entered:?}");
    let (status, _) = walked.ask(&token, Method::GET, "/api/v1/notices", &Value::Null).await;
    assert_eq!(status, StatusCode::OK, "and tokens are no passwords");
}

#[tokio::test]
async fn a_name_or_a_password_that_nobody_can_have_costs_nothing() {
    let walked = Walked::open().await;
    walked.administrator().await;
    for (name, password) in [("x".repeat(121), "wrong".to_owned()), ("ana".to_owned(), "x".repeat(1025))] {
        for _ in 0..40 {
            let answer = walked.call(Method::POST, "/sign-in", &[FORM], form(&name, &password)).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
    assert!(walked.audit(AuditAction::SignInFailed).await.is_empty());
    let right = walked.call(Method::POST, "/sign-in", &[FORM], form("ana", PASSWORD)).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER);
}

fn form(name: &str, password: &str) -> String {
    format!("name={name}&password={}", password.replace(' ', "+"))
}

#[tokio::test]
async fn what_is_read_of_notices_can_be_put_back() {
    let walked = Walked::open().await;
    let token = walked.administrator().await;
    for recipients in [json!([]), json!(["ana@example.org", "bo@example.org"])] {
        let settings = json!({"enabled": true, "recipients": recipients, "webhook": HOOK});
        let (status, put) = walked.ask(&token, Method::PUT, "/api/v1/notices", &settings).await;
        assert_eq!((status, &put["recipients"]), (StatusCode::OK, &recipients), "{put}");
        let (_, read) = walked.ask(&token, Method::GET, "/api/v1/notices", &Value::Null).await;
        assert_eq!(walked.ask(&token, Method::PUT, "/api/v1/notices", &read).await, (StatusCode::OK, read));
    }
    let wrong = json!({"recipients": [7]});
    let (status, problem) = walked.ask(&token, Method::PUT, "/api/v1/notices", &wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
}

#[tokio::test]
async fn who_may_not_post_to_the_webhook_does_not_see_how() {
    let walked = Walked::open().await;
    let token = walked.administrator().await;
    let settings = json!({"enabled": true, "recipients": [], "webhook": HOOK});
    walked.ask(&token, Method::PUT, "/api/v1/notices", &settings).await;
    let (_, read) = walked.ask(&token, Method::GET, "/api/v1/notices", &Value::Null).await;
    assert_eq!(read["webhook"], HOOK);
    let (cookie, token) = walked.viewer().await;
    let (_, read) = walked.ask(&token, Method::GET, "/api/v1/notices", &Value::Null).await;
    assert_eq!(read["webhook"], "https://hooks.example.org");
    let cookie = [("cookie", cookie.as_str())];
    let page = walked.call(Method::GET, "/settings/email/notices", &cookie, String::new()).await;
    assert!(page.text.contains("https://hooks.example.org") && !page.text.contains("who-knows-this"), "{}", page.text);
    let [entry] = walked.audit(AuditAction::NoticesChanged).await.try_into().unwrap();
    let after = entry.entry.after.unwrap_or_default();
    assert!(after.contains("hooks.example.org") && after.contains("replaced") && !after.contains("who-knows-this"));
}

#[tokio::test]
async fn a_document_with_a_host_key_that_cannot_be_approved_changes_nothing() {
    let walked = Walked::open().await;
    let good = format!("SHA256:{}", "a".repeat(43));
    let document = |kind: &str, host_key: &str| {
        let document = json!({
            "posthorn": 1,
            "credentials": [{"name": "jump login", "username": "jump", "secret": "secret"}],
            "connectors": [{"name": "jump", "kind": kind, "address": "ssh.example.org", "port": 22,
                "credential": "jump login", "host_key": host_key}],
        });
        serde_json::from_value(document).unwrap()
    };
    let service = &walked.system.service;
    for (kind, host_key) in [("ssh", "SHA256:short"), ("socks5", good.as_str())] {
        let refused =
            exchange::import(service, &root(), document(kind, host_key), false).await.unwrap_err().to_string();
        assert!(refused.starts_with("nothing was imported: connector \"jump\""), "{refused}");
        assert!(service.accounts().choices(&root()).await.unwrap().credentials.is_empty(), "{refused}");
    }
    let imported = exchange::import(service, &root(), document("ssh", &good), false).await.unwrap();
    assert_eq!((imported.added, imported.changed), (2, 0));
}

#[tokio::test]
async fn connectors_are_tested_ten_times_a_minute_by_one() {
    let walked = Walked::open().await;
    let token = walked.administrator().await;
    let connector = json!({"name": "proxy", "kind": "socks5", "address": "127.0.0.1", "port": 1080});
    let (_, made) = walked.ask(&token, Method::POST, "/api/v1/connectors", &connector).await;
    let path = format!("/api/v1/connectors/{}/test", made["id"]);
    for port in 1..=10 {
        let target = json!({"address": "10.0.0.1", "port": port});
        assert_eq!(walked.ask(&token, Method::POST, &path, &target).await.0, StatusCode::OK);
    }
    let target = json!({"address": "10.0.0.1", "port": 11});
    assert_eq!(walked.ask(&token, Method::POST, &path, &target).await.0, StatusCode::TOO_MANY_REQUESTS);
}
