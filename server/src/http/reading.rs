//! Mail as people read it: stored mail through the routes, with the reader as it is.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use domain::{
    actor::Role,
    audit::{AuditAction, AuditQuery},
    ids::AccountId,
    message::MessageQuery,
};
use mail::Reader;
use service::ports::{Arrival, MessageReader as _, Store};
use store_sqlite::SqliteStore;
use store_tests::samples::{at, listed, take, uid};

use super::routes::Walked;

struct Shelf {
    walked: Walked,
    store: Arc<dyn Store>,
    account: AccountId,
    cookie: String,
    token: String,
}

impl Shelf {
    async fn open() -> Self {
        let walked = Walked::open().await;
        let (cookie, token) = walked.user("ana", Role::Administrator).await;
        let store = store(&walked).await;
        let account = walked.account(|_| {}).await;
        Self { walked, store, account, cookie, token }
    }

    /// Stores a message and answers with its id.
    async fn put(&self, raw: Vec<u8>) -> i64 {
        let lease = take(&self.store, self.account).await;
        self.store.add_listed(lease, &[listed(uid(1))], at(0)).await.unwrap();
        let arrival = Arrival { key: uid(1), hash: [7; 32], index: Reader.index(&raw), raw };
        self.store.store_arrivals(lease, vec![arrival], false, at(0)).await.unwrap();
        let page = self.store.list_messages(self.account, None, &MessageQuery::default()).await.unwrap();
        page.items[0].id.0
    }

    async fn frame(&self, message: i64) -> (StatusCode, String) {
        let path = format!("/settings/email/imap-pop3/{}/inbox/messages/{message}/html", self.account.0);
        let answer = self.walked.call(Method::GET, &path, &[("cookie", &self.cookie)], String::new()).await;
        (answer.status, answer.text)
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let bearer = format!("Bearer {}", self.token);
        let path = format!("/api/v1/{path}");
        let answer = self.walked.call(Method::GET, &path, &[("authorization", &bearer)], String::new()).await;
        (answer.status, answer.text)
    }

    async fn n_openings(&self) -> u64 {
        let query = AuditQuery { action: Some(AuditAction::MessageOpened), ..AuditQuery::default() };
        self.store.list_audit(&query).await.unwrap().total
    }
}

async fn store(walked: &Walked) -> Arc<dyn Store> {
    let url = format!("sqlite://{}", walked.folder.path().join("posthorn.db").display());
    Arc::new(SqliteStore::open(&url).await.unwrap())
}

const HTML: &str = "Subject: x\r\nContent-Type: text/html\r\n\r\n";

/// A frame that loads while its message is open is no opening of its own; whoever comes back another day opens it again.
#[tokio::test]
async fn html_by_its_url_leaves_an_entry_unless_the_message_is_open() {
    let mut shelf = Shelf::open().await;
    let id = shelf.put(format!("{HTML}<p>Hello</p>").into_bytes()).await;
    for _ in 0..2 {
        let (status, text) = shelf.frame(id).await;
        assert!(status == StatusCode::OK && text.contains("<p>Hello</p>"), "{status} {text}");
    }
    assert_eq!(shelf.n_openings().await, 1);
    // A fresh process remembers of the opening no more than that there was one, as any does after some minutes.
    shelf.walked = Walked::on(Arc::clone(&shelf.walked.folder)).await;
    assert_eq!(shelf.frame(id).await.0, StatusCode::OK);
    assert_eq!(shelf.n_openings().await, 2);
}

#[tokio::test]
async fn html_that_is_too_complex_says_so_and_the_rest_is_there() {
    let shelf = Shelf::open().await;
    let id = shelf.put(format!("{HTML}{}Hello", "<div></x>".repeat(20_000)).into_bytes()).await;
    for _ in 0..2 {
        let (status, text) = shelf.frame(id).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(text.contains("too complex to be shown"), "{text}");
    }
    let (status, text) = shelf.get(&format!("messages/{id}")).await;
    assert!(status == StatusCode::OK && text.contains("Hello"), "{status}");
}

#[tokio::test]
async fn of_too_many_header_fields_the_first_are_shown() {
    let shelf = Shelf::open().await;
    let mut raw = b"Subject: first\r\n".to_vec();
    raw.extend(b"a:\n".repeat(400_000));
    let id = shelf.put(raw).await;
    let (status, text) = shelf.get(&format!("messages/{id}")).await;
    let message: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(message["headers"].as_array().map(Vec::len), Some(300));
    assert_eq!((&message["n_more_headers"], &message["is_too_large"]), (&399_701.into(), &true.into()));
    assert_eq!(message["subject"], "first");
}

#[tokio::test]
async fn the_mail_of_a_deleted_account_is_not_found() {
    let shelf = Shelf::open().await;
    let id = shelf.put(format!("{HTML}<p>Hello</p>").into_bytes()).await;
    let account = shelf.account.0;
    let paths = [
        format!("accounts/{account}/messages"),
        format!("messages/{id}"),
        format!("messages/{id}/raw"),
        format!("messages/{id}/attachments/0"),
    ];
    for path in &paths[..3] {
        assert_eq!(shelf.get(path).await.0, StatusCode::OK, "{path}");
    }
    let version = shelf.store.find_account(shelf.account).await.unwrap().unwrap().version;
    shelf.store.remove_account(shelf.account, version, at(1), &[]).await.unwrap();
    for path in &paths {
        assert_eq!(shelf.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(shelf.frame(id).await.0, StatusCode::NOT_FOUND);
}
