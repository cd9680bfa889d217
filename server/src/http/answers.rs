//! What a person reads when something cannot be done: a page that says why, never raw text, never a falsehood.

use axum::http::{Method, StatusCode, header};
use domain::actor::Role;

use super::{
    ACCOUNTS,
    routes::{Answer, FORM, Walked, root},
};

/// Signed in as an administrator.
struct Browser {
    walked: Walked,
    cookie: String,
}

impl Browser {
    async fn open() -> Self {
        let walked = Walked::open().await;
        let cookie = walked.signed_in("ana", Role::Administrator).await;
        Self { walked, cookie }
    }

    async fn get(&self, path: &str) -> Answer {
        // Only who takes pages is led on.
        let with = [("cookie", self.cookie.as_str()), ("accept", "text/html")];
        self.walked.call(Method::GET, path, &with, String::new()).await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        self.walked.call(Method::POST, path, &[FORM, ("cookie", &self.cookie)], form.to_owned()).await
    }
}

fn location(answer: &Answer) -> &str {
    answer.headers.get(header::LOCATION).and_then(|it| it.to_str().ok()).unwrap_or_default()
}

/// It is a page of ours that says this.
fn says(answer: &Answer, status: StatusCode, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.text.contains("<h1") && answer.text.contains(text), "lacks {text:?}: {}", answer.text);
}

#[tokio::test]
async fn a_page_beyond_the_last_leads_to_the_first_instead_of_saying_that_there_is_nothing() {
    let browser = Browser::open().await;
    let id = browser.walked.account(|_| {}).await;
    browser.walked.system.service.accounts().remove(&root(), id, 1).await.unwrap();
    for (path, first) in [
        ("/settings/audit?page=999", "/settings/audit"),
        ("/settings/audit?actor=ana&page=999", "/settings/audit?actor=ana"),
        (&format!("{ACCOUNTS}/deleted?page=99"), &format!("{ACCOUNTS}/deleted")),
        ("/settings/credentials?page=99", "/settings/credentials"),
        ("/settings/credentials?name=box&page=99", "/settings/credentials?name=box"),
    ] {
        let answer = browser.get(path).await;
        assert!(answer.status.is_redirection(), "{path}: {}", answer.status);
        assert_eq!(location(&answer), first, "{path}");
    }
}

#[tokio::test]
async fn a_check_that_cannot_begin_and_a_deletion_that_must_not_say_why() {
    let browser = Browser::open().await;
    let id = browser.walked.account(|it| "no".clone_into(&mut it.enabled)).await;
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let answer = browser.post(&format!("{ACCOUNTS}/{id}/check"), "").await;
    says(&answer, unprocessable, "The account is disabled, and a disabled account is never contacted.");
    let answer = browser.post(&format!("{ACCOUNTS}/delete-older/{id}"), "").await;
    says(&answer, unprocessable, "A copy is kept on the server, so nothing is deleted there.");
}

#[tokio::test]
async fn a_check_without_script_says_how_it_ended() {
    let browser = Browser::open().await;
    let id = browser.walked.account(|_| {}).await;
    let answer = browser.post(&format!("{ACCOUNTS}/{id}/check"), "").await;
    assert_eq!(location(&answer), format!("{ACCOUNTS}/{id}/inbox?flash=checked&new=0&failure=egress"));
    says(&browser.get(location(&answer)).await, StatusCode::OK, "Failed. Address not permitted. If the destination");
    for (query, text) in [
        ("flash=checked&new=3&failure=", "Check finished: 3 new messages."),
        ("flash=checked&new=0&failure=", "Check finished: nothing new."),
        (
            "flash=checked&new=1&failure=timeout",
            "1 new message arrived, but the check did not finish. No answer in time.",
        ),
        ("flash=checked&new=0&failure=lost", "the check goes on"),
    ] {
        says(&browser.get(&format!("{ACCOUNTS}/{id}/inbox?{query}")).await, StatusCode::OK, text);
    }
}

#[tokio::test]
async fn an_address_without_a_record_is_no_form_for_a_new_one() {
    let browser = Browser::open().await;
    for list in ["credentials", "connectors", "authorities", "email/smtp", "email/schedules", "email/imap-pop3"] {
        says(
            &browser.get(&format!("/settings/{list}/abc")).await,
            StatusCode::NOT_FOUND,
            "There is nothing at this address",
        );
        assert_eq!(browser.get(&format!("/settings/{list}/new")).await.status, StatusCode::OK, "{list}");
    }
    for path in ["/settings", "/settings/email"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, location(&answer)), (StatusCode::SEE_OTHER, ACCOUNTS), "{path}");
    }
}

#[tokio::test]
async fn another_method_gets_a_page_that_says_so() {
    let browser = Browser::open().await;
    let not_allowed = StatusCode::METHOD_NOT_ALLOWED;
    for path in ["delete/1", "1/check", "delete-older/1"] {
        let answer = browser.get(&format!("{ACCOUNTS}/{path}")).await;
        says(&answer, not_allowed, "This address only takes a form.");
        assert!(answer.headers.get(header::ALLOW).is_some_and(|it| it == "POST"), "{path}: {:?}", answer.headers);
    }
    for (method, path) in [(Method::PUT, ACCOUNTS), (Method::DELETE, "/settings/audit"), (Method::POST, "/nothing")] {
        let answer = browser.walked.call(method, path, &[("cookie", &browser.cookie)], String::new()).await;
        says(&answer, not_allowed, "This was not done");
        assert!(answer.headers.contains_key(header::ALLOW), "{path}");
    }
}

#[tokio::test]
async fn a_form_that_is_none_gets_a_page_without_the_parsers_words() {
    let browser = Browser::open().await;
    let paths = ["delete/1", "delete/abc", "save/new"].map(|it| format!("{ACCOUNTS}/{it}"));
    for path in paths.iter().map(String::as_str).chain(["/settings/credentials/save/new", "/preferences", "/sign-in"]) {
        let json = ("content-type", "application/json");
        let answer =
            browser.walked.call(Method::POST, path, &[json, ("cookie", &browser.cookie)], "{}".to_owned()).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        says(&answer, answer.status, "could not be read");
        assert!(!answer.text.contains("deserialize") && !answer.text.contains("Content-Type"), "{}", answer.text);
    }
    says(
        &browser.post(&format!("{ACCOUNTS}/delete/1"), "version=x").await,
        StatusCode::UNPROCESSABLE_ENTITY,
        "could not be read",
    );
    let long = format!("name={}", "x".repeat(3 << 20));
    says(&browser.post("/settings/credentials/save/new", &long).await, StatusCode::PAYLOAD_TOO_LARGE, "too large");
}

#[tokio::test]
async fn whoever_tried_too_often_is_told_when_to_come_back() {
    let walked = Walked::open().await;
    walked.signed_in("ana", Role::Administrator).await;
    for _ in 0..20 {
        let answer =
            walked.call(Method::POST, "/sign-in", &[FORM], "name=ana&password=wrong+password".to_owned()).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = answer.headers.get(header::RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
            assert!(seconds.is_some_and(|it| it > 0), "{:?}", answer.headers);
            return;
        }
    }
    panic!("nobody was refused");
}
