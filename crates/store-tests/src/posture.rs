//! The security posture: what each list has, and what is kept of TLS.

use domain::{
    account::{AccountDraft, Destination, Health, KeyPin, Security, Trust},
    check::{CheckError, ErrorKind, Outcome},
    credential::CredentialDraft,
    ids::AccountId,
    page::PageRequest,
    posture::{PostureList, PostureQuery, PostureSubject, TlsSeen},
    time::{Day, Timestamp},
};

use service::ports::{KeptTokens, SealedSecret};

use crate::{
    Subject,
    checks::check_once,
    oauth::settings,
    samples::{at, authority, credential, draft, finished, take},
};

const ALL: i64 = i64::MAX;

async fn names(store: &Subject, list: PostureList, below: i64) -> Vec<String> {
    let page = store.list_posture(list, below, PageRequest::default()).await.unwrap();
    assert_eq!(page.total, store.count_posture(list, below).await.unwrap(), "{list:?}");
    page.items.into_iter().map(|it| it.name).collect()
}

fn secured(draft: AccountDraft, name: &str, security: Security) -> AccountDraft {
    let destination = Destination { security, ..draft.destination };
    AccountDraft { name: name.to_owned(), destination, ..draft }
}

pub async fn what_is_plain_skipped_or_pinned_is_listed(store: Subject) {
    let good = draft("good", credential(&store, "c").await);
    let skip = |day: Option<i64>| Security::Implicit(Trust::SkipCertificate { until: day.map(Day) });
    let mut skipping = secured(good.clone(), "until", skip(Some(20_000)));
    "the vendor is asked".clone_into(&mut skipping.skip_reason);
    let drafts = [
        secured(good.clone(), "plain", Security::Plain),
        skipping,
        secured(good.clone(), "for ever", skip(None)),
        secured(good.clone(), "pinned", Security::StartTls(Trust::Pin(KeyPin([7; 32])))),
        good.clone(),
    ];
    for draft in &drafts {
        store.add_account(draft, None, &[]).await.unwrap();
    }
    let gone = store.add_account(&secured(good, "gone", Security::Plain), None, &[]).await.unwrap();
    store.remove_account(gone, 1, at(0), &[]).await.unwrap();
    let smtp = crate::smtp::draft("sending");
    let destination = Destination { security: Security::Plain, ..smtp.destination.clone() };
    store.add_smtp(&domain::smtp::SmtpDraft { destination, ..smtp }, &[]).await.unwrap();
    assert_eq!(names(&store, PostureList::Plain, ALL).await, ["plain", "sending"]);
    // What never ends is the worst.
    assert_eq!(names(&store, PostureList::Skipped, ALL).await, ["for ever", "until"]);
    assert_eq!(names(&store, PostureList::Pinned, ALL).await, ["pinned"]);
    let skipped = store.list_posture(PostureList::Skipped, ALL, PageRequest::new(2, 1)).await.unwrap();
    let last = &skipped.items[0];
    assert_eq!((skipped.total, last.detail.as_str()), (2, "the vendor is asked"));
    assert_eq!(last.at.unwrap().day(), Day(20_000));
    let pinned = store.list_posture(PostureList::Pinned, ALL, PageRequest::default()).await.unwrap();
    assert_eq!(pinned.items[0].detail, KeyPin([7; 32]).to_string());
}

/// A check that saw this.
async fn see(store: &Subject, id: AccountId, seen: Option<TlsSeen>, seconds: i64) {
    let lease = take(store, id).await;
    let run = store.start_run(lease, at(seconds)).await.unwrap();
    let mut run = store.find_run(run).await.unwrap().unwrap();
    run.finished_at = Some(at(seconds));
    run.outcome = Outcome::Ok;
    let health = Health { last_success_at: Some(at(seconds)), ..Health::default() };
    let finished = service::ports::Finished { tls: seen, ..finished(run, health) };
    store.finish_run(lease, &finished).await.unwrap();
}

fn tls(version: &str, suite: &str, ends: i64) -> TlsSeen {
    TlsSeen {
        version: version.to_owned(),
        suite: suite.to_owned(),
        not_after: Some(at(ends)),
        issuer: "CN=Ours\0".to_owned(),
        fingerprint: format!("SHA256:{ends}"),
    }
}

pub async fn what_was_seen_of_tls_lasts_until_something_else_is_seen(store: Subject) {
    let id = crate::samples::account(&store, "seen").await;
    let below = at(1_000).0;
    see(&store, id, Some(tls("TLSv1.3", "TLS13_AES_128_GCM_SHA256", 900)), 1).await;
    let page = store.list_posture(PostureList::Certificates, below, PageRequest::default()).await.unwrap();
    assert_eq!(page.items[0].subject, PostureSubject::Account(id));
    assert_eq!((page.items[0].at, page.items[0].detail.as_str()), (Some(at(900)), "CN=Ours\u{fffd}"));
    // A check over a connection that was kept sees nothing anew, and one that sees the same writes nothing.
    see(&store, id, None, 2).await;
    see(&store, id, Some(tls("TLSv1.3", "TLS13_AES_128_GCM_SHA256", 900)), 3).await;
    assert_eq!(names(&store, PostureList::Certificates, below).await, ["seen"]);
    assert_eq!(names(&store, PostureList::Certificates, at(900).0).await, [""; 0]);
    // Renewed, but with an old suite.
    see(&store, id, Some(tls("TLSv1.2", "TLS_RSA_WITH_AES_128_CBC_SHA", 5_000)), 4).await;
    assert_eq!(names(&store, PostureList::Certificates, below).await, [""; 0]);
    let weak = store.list_posture(PostureList::WeakTls, ALL, PageRequest::default()).await.unwrap();
    assert_eq!(weak.items[0].detail, "TLSv1.2 TLS_RSA_WITH_AES_128_CBC_SHA");
    // Of another server nothing was seen yet; what is seen there counts, even if it is the same.
    let account = store.find_account(id).await.unwrap().unwrap();
    let destination = Destination { port: 1993, ..account.draft.destination.clone() };
    let moved = AccountDraft { destination, ..account.draft };
    store.change_account(id, account.version, &moved, Some(at(5)), &[]).await.unwrap();
    assert_eq!(names(&store, PostureList::WeakTls, ALL).await, [""; 0]);
    see(&store, id, Some(tls("TLSv1.2", "TLS_RSA_WITH_AES_128_CBC_SHA", 5_000)), 6).await;
    assert_eq!(names(&store, PostureList::WeakTls, ALL).await, ["seen"]);
}

pub async fn a_handshake_that_fails_is_weak_tls(store: Subject) {
    let id = crate::samples::account(&store, "old").await;
    let lease = take(&store, id).await;
    let run = store.start_run(lease, at(0)).await.unwrap();
    let mut run = store.find_run(run).await.unwrap().unwrap();
    run.outcome = Outcome::Failed;
    run.finished_at = Some(at(1));
    run.error = Some(CheckError { kind: ErrorKind::Tls, message: "no TLS connection".to_owned() });
    let failure = domain::account::Failure {
        kind: ErrorKind::Tls,
        message: "no TLS connection".to_owned(),
        since: at(1),
        n_failures: 1,
        is_stopped: false,
    };
    let health = Health { failure: Some(failure), ..Health::default() };
    store.finish_run(lease, &finished(run, health)).await.unwrap();
    let page = store.list_posture(PostureList::WeakTls, ALL, PageRequest::default()).await.unwrap();
    assert_eq!((page.items[0].detail.as_str(), page.items[0].at), ("no TLS connection", Some(at(1))));
}

pub async fn what_is_shared_by_many_or_silent_for_long_is_listed(store: Subject) {
    let shared = credential(&store, "shared").await;
    for name in ["one", "two", "three"] {
        store.add_account(&draft(name, shared), None, &[]).await.unwrap();
    }
    let heard = crate::samples::account(&store, "heard").await;
    let health = Health { last_success_at: Some(at(500)), ..Health::default() };
    check_once(&store, heard, health).await;
    authority(&store, "Ours").await;
    let below = |n| PostureQuery { shared_from: n, ..PostureQuery::default() }.rank_below(PostureList::Shared, at(0));
    assert_eq!(names(&store, PostureList::Shared, below(3)).await, ["shared"]);
    assert_eq!(names(&store, PostureList::Shared, below(4)).await, [""; 0]);
    let page = store.list_posture(PostureList::Shared, below(2), PageRequest::default()).await.unwrap();
    assert_eq!((page.items[0].n_uses, page.items[0].subject), (Some(3), PostureSubject::Credential(shared)));
    // Who is well and checked by itself is not silent, however long ago that was.
    assert_eq!(names(&store, PostureList::Silent, at(600).0).await, ["one", "three", "two"]);
    // The sample authority ends at 1,000,000 s.
    assert_eq!(names(&store, PostureList::Authorities, at(1_000_001).0).await, ["Ours"]);
    assert_eq!(names(&store, PostureList::Authorities, at(1_000_000).0).await, [""; 0]);
}

pub async fn what_ends_of_a_credential_is_listed_and_leads_to_its_page(store: Subject) {
    let day = |n: i64| Some(Timestamp::from_seconds(n * 86_400));
    // Refused, its consent ends, its secret ends, a password that ends, and one of which nothing is known.
    let mut oauth = Vec::new();
    for name in ["refused", "consent", "dated"] {
        let id = store.next_credential_id().await.unwrap();
        let secret_ends_on = Day::parse("1970-01-03").filter(|_| name == "dated");
        let draft =
            CredentialDraft { name: name.to_owned(), secret_ends_on, ..crate::oauth::draft(Some(settings(name))) };
        store.add_credential(id, &draft, &SealedSecret(vec![1]), &[]).await.unwrap();
        oauth.push(id);
    }
    let fence = crate::oauth::take(&store, oauth[0], 0).await.unwrap();
    store.refuse_tokens(oauth[0], fence, "invalid_grant").await.unwrap();
    let fence = crate::oauth::take(&store, oauth[1], 0).await.unwrap();
    let kept = KeptTokens { consent_ends_at: day(1), ..crate::oauth::tokens(1, 0) };
    store.keep_tokens(oauth[1], fence, &kept, &[]).await.unwrap();
    credential(&store, "unknown").await;
    let password = store.next_credential_id().await.unwrap();
    let ends = CredentialDraft {
        name: "password".to_owned(),
        secret_ends_on: Day::parse("1970-01-04"),
        ..crate::oauth::draft(None)
    };
    store.add_credential(password, &ends, &SealedSecret(vec![1]), &[]).await.unwrap();
    let page = store.list_posture(PostureList::Secrets, ALL, PageRequest::default()).await.unwrap();
    let rows: Vec<_> = page.items.into_iter().map(|it| (it.subject, it.detail, it.at)).collect();
    assert_eq!(
        rows,
        [
            (PostureSubject::OAuth(oauth[0]), "refused invalid_grant".to_owned(), None),
            (PostureSubject::OAuth(oauth[1]), "consent".to_owned(), day(1)),
            (PostureSubject::OAuth(oauth[2]), "secret".to_owned(), day(2)),
            (PostureSubject::Credential(password), "secret".to_owned(), day(3)),
        ]
    );
    let within = |n: i64| n * 86_400_000_000;
    assert_eq!(names(&store, PostureList::Secrets, within(2)).await, ["refused", "consent"]);
    assert_eq!(store.count_posture(PostureList::Secrets, within(3)).await.unwrap(), 3);
    // Where many share one, the row leads to the page of its kind as well.
    store.add_account(&draft("one", oauth[2]), None, &[]).await.unwrap();
    let shared = store.list_posture(PostureList::Shared, 0, PageRequest::default()).await.unwrap();
    assert_eq!(shared.items[0].subject, PostureSubject::OAuth(oauth[2]));
}
