//! One suite for every real server: what is listed, fetched, left alone and deleted is the same whoever serves it.

use domain::{
    account::{Protocol, Security},
    check::{ErrorKind, Stage},
};
use service::{ports::Visit, secret::Secret};

use crate::support::{
    assert_error,
    cyrus::Cyrus,
    dovecot::Dovecot,
    eventually, fetch, open, patient,
    pymap::Pymap,
    server::{Server, USER, USER_PASSWORD},
    visit,
};

/// Messages that are easy to damage: lonely and leading dots, 8 bits, a long line, no body.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let dots = b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.a\r\na.\r\n.\r\n".to_vec();
    let mut bits = b"Subject: bits\r\n\r\n".to_vec();
    bits.extend((1..=255_u8).filter(|it| !b"\r\n".contains(it)));
    bits.extend(b"\r\n");
    let long = format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(1_500_000));
    vec![dots, bits, long.into_bytes(), b"Subject: bare\r\n\r\n".to_vec()]
}

pub(crate) fn account(server: &impl Server, protocol: Protocol, security: Security, user: &str) -> Visit {
    Visit {
        username: user.to_owned(),
        password: Secret::new(USER_PASSWORD.to_owned()),
        ..visit(protocol, security, server.port(protocol, security))
    }
}

/// Lists, fetches byte for byte, deletes two of four, and sees the other two on the next visit.
pub(crate) async fn check_visits(server: &impl Server, visit: &Visit) {
    let (sent, user) = (messages(), &visit.username);
    server.deliver(user, &sent).await;
    let case = format!("{} {:?}", visit.protocol.as_str(), visit.destination.security);
    let (mut mailbox, stages) = open(patient(), visit).await.unwrap_or_else(|it| panic!("{case}: {it:?}"));
    assert_eq!(stages.contains(&Stage::Tls), visit.destination.security.is_secure(), "{case}: {stages:?}");
    assert_eq!(stages.contains(&Stage::Connector), visit.connector.is_some(), "{case}: {stages:?}");

    let listing = mailbox.list().await.unwrap();
    let sizes: Vec<u64> = listing.messages.iter().map(|it| it.size).collect();
    assert_eq!(sizes, sent.iter().map(|it| it.len() as u64).collect::<Vec<_>>(), "{case}");
    assert_eq!(listing.n_unidentified, 0, "{case}");

    let (fetched, result) = fetch(&mut *mailbox, listing.messages.clone()).await;
    result.unwrap();
    assert_eq!(fetched.failed, [], "{case}");
    for (n, (key, raw)) in fetched.messages.iter().enumerate() {
        assert_eq!(*key, listing.messages[n].key, "{case}: message {n}");
        assert!(*raw == sent[n], "{case}: message {n} is not what was sent");
    }
    assert_eq!(fetched.messages.len(), sent.len(), "{case}");

    let doomed = [listing.messages[0].key.clone(), listing.messages[2].key.clone()];
    assert_eq!(mailbox.delete(&doomed).await.unwrap(), doomed, "{case}");
    mailbox.close().await;
    let kept: Vec<_> = server.onlooker(user).await.inbox().await.into_iter().map(|it| it.raw).collect();
    assert!(kept == [sent[1].clone(), sent[3].clone()], "{case}: what was kept");

    let (mut mailbox, _) = open(patient(), visit).await.unwrap();
    assert_eq!(mailbox.list().await.unwrap().messages, [&listing.messages[1..2], &listing.messages[3..]].concat());
    mailbox.close().await;
}

async fn check_every_way<S: Server>() {
    let mut server = S::start().await;
    for (nth, (protocol, security)) in server.served().into_iter().enumerate() {
        if nth > 0 {
            server.renew(USER).await;
        }
        check_visits(&server, &account(&server, protocol, security, USER)).await;
    }
}

/// What is read here is unread for its owner, and what somebody else marked as deleted is not ours to remove.
async fn check_others_marks<S: Server>() {
    let server = S::start().await;
    let sent = messages();
    server.deliver(USER, &sent).await;
    let mut onlooker = server.onlooker(USER).await;
    onlooker.inbox().await;
    onlooker.command("STORE 2 +FLAGS (\\Deleted)").await;
    let visit = account(&server, Protocol::Imap, Security::Plain, USER);
    let (mut mailbox, _) = open(patient(), &visit).await.unwrap();
    let listing = mailbox.list().await.unwrap();
    let (fetched, result) = fetch(&mut *mailbox, listing.messages.clone()).await;
    result.unwrap();
    assert_eq!(fetched.messages.len(), sent.len());
    let doomed = [listing.messages[3].key.clone()];
    assert_eq!(mailbox.delete(&doomed).await.unwrap(), doomed);
    mailbox.close().await;
    let seen = server.onlooker(USER).await.inbox().await;
    assert!(seen.iter().all(|it| !it.is_seen), "somebody's unread mail is read");
    let marks: Vec<_> = seen.iter().map(|it| it.is_deleted).collect();
    assert_eq!(marks, [false, true, false]);
    assert!(seen.into_iter().map(|it| it.raw).eq(sent[..3].iter().cloned()), "other messages are gone");
}

/// The mailbox was made anew: what had a name before has another now, and the old names name nothing.
async fn check_new_uid_validity<S: Server>() {
    let mut server = S::start().await;
    let sent = messages();
    server.deliver(USER, &sent).await;
    let visit = account(&server, Protocol::Imap, Security::Plain, USER);
    let (mut mailbox, _) = open(patient(), &visit).await.unwrap();
    let before: Vec<_> = mailbox.list().await.unwrap().messages.into_iter().map(|it| it.key).collect();
    mailbox.close().await;

    let old = server.onlooker(USER).await.uid_validity().await;
    eventually("another UIDVALIDITY", async || {
        server.renew(USER).await;
        server.deliver(USER, &sent).await;
        server.onlooker(USER).await.uid_validity().await != old
    })
    .await;
    let (mut mailbox, _) = open(patient(), &visit).await.unwrap();
    let after: Vec<_> = mailbox.list().await.unwrap().messages.into_iter().map(|it| it.key).collect();
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|it| !before.contains(it)), "{after:?} were named so before");
    assert_eq!(mailbox.delete(&before).await.unwrap(), []);
    mailbox.close().await;
    let kept: Vec<_> = server.onlooker(USER).await.inbox().await.into_iter().map(|it| it.raw).collect();
    assert!(kept == sent, "old names have deleted something");
}

async fn check_wrong_password<S: Server>() {
    let server = S::start().await;
    for (protocol, security) in server.served() {
        let right = account(&server, protocol, security, USER);
        let wrong = Visit { password: Secret::new("wrong".to_owned()), ..right };
        assert_error(open(patient(), &wrong).await, ErrorKind::Authentication, Stage::Authenticate);
    }
}

macro_rules! suite {
    ($($server:ident: $name:ident),*) => {$(
        mod $name {
            #[tokio::test]
            async fn every_protocol_and_security_lists_fetches_and_deletes() {
                super::check_every_way::<super::$server>().await;
            }

            #[tokio::test]
            async fn unread_stays_unread_and_only_what_was_named_goes() {
                super::check_others_marks::<super::$server>().await;
            }

            #[tokio::test]
            async fn after_a_new_uidvalidity_old_names_name_nothing() {
                super::check_new_uid_validity::<super::$server>().await;
            }

            #[tokio::test]
            async fn a_wrong_password_is_told_from_everything_else() {
                super::check_wrong_password::<super::$server>().await;
            }
        }
    )*};
}

suite!(Dovecot: dovecot, Pymap: pymap, Cyrus: cyrus);
