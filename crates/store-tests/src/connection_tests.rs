//! Tests of connections: what is kept, and which one the next is compared with.

use domain::{
    account::{AccountForm, Address, Destination, Protocol, Route, Security, Trust},
    check::ErrorKind,
    connection_test::{ConnectionTest, Fact, KEPT, MailboxFacts, Step, StepRecord, TestEnd, TestFailure, TestRecord},
    ids::{AccountId, ConnectorId},
};
use service::{TestRun, ports::NewTest};

use crate::{
    Subject,
    samples::{at, credential, draft},
};

fn passed(connector: Option<i64>, n_messages: u64) -> ConnectionTest {
    let destination = Destination {
        address: Address::parse("mail.example.org").unwrap(),
        port: 993,
        security: Security::Implicit(Trust::System),
        route: connector.map_or(Route::Direct, |it| Route::Connector(ConnectorId(it))),
    };
    let mut test = ConnectionTest::new(Protocol::Imap, destination);
    test.steps.push(StepRecord { step: Step::Resolve, ok: true, ms: 3, detail: "192.0.2.1 \u{1f4ee}".to_owned() });
    test.evidence.note(Fact::Mailbox(MailboxFacts { n_messages, ..MailboxFacts::default() }));
    test.end = Some(TestEnd::Passed);
    test
}

fn failed(test: ConnectionTest) -> ConnectionTest {
    let failure = TestFailure { step: Step::Tls, kind: ErrorKind::Certificate, message: "expired".to_owned() };
    ConnectionTest { end: Some(TestEnd::Failed(failure)), ..test }
}

async fn add(store: &Subject, account: AccountId, seconds: i64, test: &ConnectionTest) -> TestRecord {
    let new = NewTest { account, at: at(seconds), actor: "ana", test };
    let id = store.add_test(&new).await.unwrap();
    TestRecord { id, account_id: account, at: at(seconds), actor: "ana".to_owned(), test: test.clone() }
}

async fn account(store: &Subject, name: &str) -> AccountId {
    let credential = credential(store, name).await;
    store.add_account(&draft(name, credential), None, &[]).await.unwrap()
}

pub async fn a_test_comes_back_as_it_was_kept(store: Subject) {
    let (one, other) = (account(&store, "one").await, account(&store, "other").await);
    let first = add(&store, one, 1, &failed(passed(None, 1))).await;
    let second = add(&store, one, 2, &passed(Some(7), 2)).await;
    let foreign = add(&store, other, 3, &passed(None, 3)).await;
    assert_eq!(store.list_tests(one, KEPT).await.unwrap(), [second.clone(), first]);
    assert_eq!(store.list_tests(one, 1).await.unwrap(), [second]);
    assert_eq!(store.list_tests(other, KEPT).await.unwrap(), [foreign]);
    assert_eq!(store.list_tests(AccountId(99), KEPT).await.unwrap(), []);
}

pub async fn the_last_good_test_is_of_the_same_way_and_of_what_was_saved(store: Subject) {
    let id = account(&store, "one").await;
    let find = async |connector: Option<i64>, signed_in| {
        store.last_good_test(id, connector.map(ConnectorId), signed_in).await.unwrap()
    };
    assert_eq!(find(None, true).await, None);
    let direct = add(&store, id, 1, &passed(None, 1)).await;
    let behind = add(&store, id, 2, &passed(Some(7), 2)).await;
    let typed = ConnectionTest { is_saved: false, ..passed(None, 3) };
    add(&store, id, 3, &typed).await;
    add(&store, id, 4, &failed(passed(None, 4))).await;
    assert_eq!(find(None, true).await, Some(direct.clone()));
    assert_eq!(find(Some(7), true).await, Some(behind));
    assert_eq!(find(Some(8), true).await, None);
    let greeted = ConnectionTest { signs_in: false, ..passed(None, 5) };
    let greeted = add(&store, id, 5, &greeted).await;
    assert_eq!(find(None, true).await, Some(direct));
    assert_eq!(find(None, false).await, Some(greeted));
}

pub async fn old_tests_go_but_the_last_good_ones_stay(store: Subject) {
    let id = account(&store, "one").await;
    let old = add(&store, id, 0, &passed(None, 1)).await;
    let good = add(&store, id, 1, &passed(None, 2)).await;
    let behind = add(&store, id, 2, &passed(Some(7), 3)).await;
    for n in 0..i64::from(KEPT) {
        add(&store, id, 10 + n, &failed(passed(None, 4))).await;
    }
    let all = store.list_tests(id, 1000).await.unwrap();
    let kept = |it: &TestRecord| all.iter().any(|there| there.id == it.id);
    assert_eq!((all.len(), kept(&old), kept(&good), kept(&behind)), (KEPT as usize + 2, false, true, true));
    assert_eq!(store.list_tests(id, KEPT).await.unwrap().len(), KEPT as usize);
    assert_eq!(store.last_good_test(id, None, true).await.unwrap(), Some(good));
}

fn run(id: u8, batch: u8, account: Option<AccountId>, form: Option<AccountForm>) -> TestRun {
    let named = |n: u8| format!("{n:032x}").parse().unwrap();
    let test = ConnectionTest { end: None, under_way: Some(Step::Connector), ..passed(Some(7), 1) };
    TestRun { id: named(id), batch: named(batch), account, started_at: at(i64::from(id)), form, test }
}

pub async fn a_test_that_runs_is_known_to_every_instance(store: Subject) {
    let one = account(&store, "one").await;
    let form = AccountForm { name: "typed \u{1f4ee}".to_owned(), ..AccountForm::default() };
    let (saved, typed) = (run(1, 1, Some(one), None), run(2, 2, None, Some(form)));
    for it in [&saved, &typed] {
        store.add_test_run(it).await.unwrap();
        assert_eq!(store.find_test_run(it.id).await.unwrap().as_ref(), Some(it));
    }
    let ended = TestRun { test: failed(saved.test.clone()), ..saved.clone() };
    assert!(!store.note_test_run(saved.id, &ended.test).await.unwrap());
    assert_eq!(store.find_test_run(saved.id).await.unwrap(), Some(ended));
    assert_eq!(store.find_test_run(run(9, 9, None, None).id).await.unwrap(), None);
}

pub async fn whoever_runs_a_test_learns_that_it_is_to_end(store: Subject) {
    let (wanted, unwanted) = (run(1, 1, None, None), run(2, 2, None, None));
    for it in [&wanted, &unwanted] {
        store.add_test_run(it).await.unwrap();
    }
    assert!(store.cancel_test_run(unwanted.id).await.unwrap());
    for (it, is_cancelled) in [(&wanted, false), (&unwanted, true)] {
        assert_eq!(store.is_test_run_cancelled(it.id).await.unwrap(), is_cancelled);
        assert_eq!(store.note_test_run(it.id, &it.test).await.unwrap(), is_cancelled);
    }
    // What is not there any more is not wanted.
    let gone = run(9, 9, None, None);
    assert!(!store.cancel_test_run(gone.id).await.unwrap());
    assert!(store.is_test_run_cancelled(gone.id).await.unwrap());
    assert!(store.note_test_run(gone.id, &gone.test).await.unwrap());
}

pub async fn the_tests_of_an_account_that_were_begun_together_last_are_listed(store: Subject) {
    let (one, other) = (account(&store, "one").await, account(&store, "other").await);
    let all = [
        run(1, 1, Some(one), None),
        run(2, 2, Some(one), None),
        run(3, 2, Some(one), None),
        run(4, 4, Some(other), None),
        run(5, 5, Some(one), Some(AccountForm::default())),
    ];
    for it in &all {
        store.add_test_run(it).await.unwrap();
    }
    assert_eq!(store.last_test_runs(one).await.unwrap(), all[1..3]);
    assert_eq!(store.last_test_runs(other).await.unwrap(), all[3..4]);
    store.forget_test_runs(at(3)).await.unwrap();
    assert_eq!(store.last_test_runs(one).await.unwrap(), all[2..3]);
    assert_eq!(store.find_test_run(all[0].id).await.unwrap(), None);
    assert_eq!(store.find_test_run(all[4].id).await.unwrap().as_ref(), Some(&all[4]));
}
