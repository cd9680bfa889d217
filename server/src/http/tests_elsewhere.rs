//! A test of a connection that one instance runs, as another one on the same database sees it, and stops it.

use std::time::Duration;

use domain::{
    account::AccountForm,
    actor::{Actor, Role},
    connection_test::{Step, TestEnd},
    credential::{CredentialForm, SecretInput},
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};

use crate::{
    config::{Config, Options},
    parts::System,
};

/// Long enough that only a hang reaches it.
const HANG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_test_is_followed_and_stopped_where_it_does_not_run() {
    let folder = tempfile::TempDir::new().unwrap();
    let options = || Options {
        data: Some(folder.path().to_owned()),
        egress_allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..Options::default()
    };
    let here = System::open(&Config::settle(options()).unwrap(), false).await.unwrap().service;
    let elsewhere = System::open(&Config::settle(options()).unwrap(), false).await.unwrap().service;
    let ana = Actor { user_id: None, name: "ana".to_owned(), role: Role::Administrator, origin: String::new() };
    let credential = CredentialForm {
        name: "mailbox".to_owned(),
        username: "ana".to_owned(),
        secret: SecretInput("pass".to_owned()),
        ..CredentialForm::default()
    };
    let credential = here.credentials().save(&ana, None, &credential).await.unwrap();
    // It takes connections and never greets.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let form = AccountForm {
        name: "typed".to_owned(),
        address: "127.0.0.1".to_owned(),
        port: silent.local_addr().unwrap().port().to_string(),
        protocol: "imap".to_owned(),
        secure_connection: "no".to_owned(),
        credential_id: credential.to_string(),
        ..AccountForm::new_account()
    };
    let id = here.connection_tests().start_draft(&ana, None, &form).await.unwrap();

    let tests = elsewhere.connection_tests();
    let began = Instant::now();
    let seen = loop {
        let seen = tests.run(&ana, id).await.unwrap();
        if seen.test.under_way() == Step::Greeting {
            break seen;
        }
        assert!(began.elapsed() < HANG, "it never came so far: {:?}", seen.test.steps);
        sleep(Duration::from_millis(10)).await;
    };
    assert!(seen.test.steps.iter().any(|it| it.step == Step::Connect && it.ok), "{:?}", seen.test.steps);
    assert_eq!((seen.test.end, seen.form.as_ref()), (None, Some(&form)));

    tests.cancel(&ana, id).await.unwrap();
    for service in [&elsewhere, &here] {
        let tests = service.connection_tests();
        let ended = timeout(HANG, tests.finished(&ana, id)).await.expect("it goes on").unwrap();
        assert_eq!((ended.test.end, ended.test.under_way), (Some(TestEnd::Cancelled), None));
        assert_eq!(tests.run(&ana, id).await.unwrap().form.as_ref(), Some(&form), "what was typed is kept");
    }
}
