//! IDLE (RFC 2177): the server tells of changes, and the connection holds next to no memory meanwhile.

use std::time::Duration;

use domain::check::Stage;
use service::ports::MailError;
use tokio::time::Instant;

use super::{
    mailbox::Inbox,
    session::{REPLY_MAX, Session},
};
use crate::protocol;

/// A server may end a connection that is idle for half an hour (RFC 2177).
const IDLE_MAX: Duration = Duration::from_mins(28);

impl Inbox {
    /// Waits until messages have come or gone, or so long. Flags of messages do not count: nothing is done with them.
    pub(super) async fn wait_for_change(&mut self, at_most: Duration) -> Result<bool, MailError> {
        let deadline = Instant::now() + at_most.min(IDLE_MAX);
        let session = &mut self.session;
        let n_changes = session.n_changes;
        let tag = session.tag();
        session.wire.allow(REPLY_MAX);
        session.wire.send(format!("{tag} IDLE\r\n").as_bytes()).await?;
        let reply = session.next_reply(|it| it == tag, |_| ()).await?;
        if reply.tag() != "+" {
            return Err(protocol(Stage::List, format!("the server does not wait (IDLE); {}", reply.words())));
        }
        session.is_idle = true;
        let is_over = session.wait(&tag, n_changes, deadline).await?;
        session.is_idle = false;
        if !is_over {
            session.wire.send(b"DONE\r\n").await?;
            let reply = session.reply(&tag).await?;
            session.expect_ok(&reply)?;
        }
        Ok(session.n_changes != n_changes)
    }
}

impl Session {
    /// Reads what the server says until that is a change or the time is up; answers with whether the server itself ended it.
    async fn wait(&mut self, tag: &str, n_changes: u64, deadline: Instant) -> Result<bool, MailError> {
        while self.n_changes == n_changes {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.wire.wait(left).await? {
                return Ok(false);
            }
            self.wire.allow(REPLY_MAX);
            // Boxed: its state would be a part of every connection that waits.
            let response = Box::pin(self.next_response()).await?;
            match response.tag() {
                // "* OK Still here", "+ idling": signs of life.
                "*" | "+" => {}
                found if found == tag => return self.expect_ok(&response).map(|()| true),
                _ => return Err(protocol(Stage::List, "the server answers a command that was not given")),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use domain::check::ErrorKind;
    use service::ports::Mailbox as _;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

    use super::*;
    use crate::wire::Wire;

    fn inbox() -> (Inbox, BufReader<DuplexStream>) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let mut session = Session::new(Wire::new(Box::new(ours), Duration::from_secs(5), 1 << 20));
        session.state.n_messages = 3;
        session.state.uid_next = Some(4);
        (Inbox { session, uid_validity: 7, is_fresh: true }, BufReader::new(theirs))
    }

    async fn answer(theirs: &mut BufReader<DuplexStream>, line: &str, reply: &str) {
        let mut found = String::new();
        theirs.read_line(&mut found).await.unwrap();
        assert_eq!(found, format!("{line}\r\n"));
        theirs.write_all(reply.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn a_change_is_told_and_the_mailbox_can_be_listed_at_once() {
        let (mut inbox, mut theirs) = inbox();
        let server = tokio::spawn(async move {
            answer(&mut theirs, "P1 IDLE", "* 3 EXISTS\r\n+ idling\r\n* OK Still here\r\n* 1 FETCH (FLAGS ())\r\n")
                .await;
            theirs.write_all(b"* 4 EXISTS\r\n").await.unwrap();
            answer(&mut theirs, "DONE", "P1 OK done\r\n").await;
            answer(&mut theirs, "P2 UID FETCH 1:* (UID RFC822.SIZE)", "* 4 FETCH (UID 9 RFC822.SIZE 5)\r\nP2 OK\r\n")
                .await;
            answer(&mut theirs, "P3 NOOP", "P3 OK\r\n").await;
            answer(&mut theirs, "P4 UID FETCH 1:* (UID RFC822.SIZE)", "P4 OK\r\n").await;
        });
        assert!(inbox.idle(Duration::from_mins(1)).await.unwrap());
        assert_eq!(inbox.list().await.unwrap().messages.len(), 1);
        assert_eq!((inbox.state().n_messages, inbox.state().uid_next), (4, Some(10)));
        inbox.list().await.unwrap();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn time_that_is_up_ends_the_wait_quietly() {
        let (mut inbox, mut theirs) = inbox();
        let server = tokio::spawn(async move {
            answer(&mut theirs, "P1 IDLE", "+ idling\r\n").await;
            answer(&mut theirs, "DONE", "P1 OK done\r\n").await;
        });
        assert!(!inbox.idle(Duration::from_millis(50)).await.unwrap());
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_does_not_wait_or_goes_is_an_error() {
        for (reply, kind) in [
            ("P1 NO [UNAVAILABLE] not now\r\n", ErrorKind::Protocol),
            ("P1 BAD\r\n", ErrorKind::Protocol),
            ("+\r\n* BYE Session expired, please login again.\r\n", ErrorKind::Protocol),
            ("+\r\n* BYE [UNAVAILABLE] going down\r\n", ErrorKind::Throttled),
            ("+\r\nP1 BAD timeout\r\n", ErrorKind::Protocol),
            ("+\r\nP9 OK\r\n", ErrorKind::Protocol),
        ] {
            let (mut inbox, mut theirs) = inbox();
            let server = tokio::spawn(async move {
                answer(&mut theirs, "P1 IDLE", reply).await;
                theirs
            });
            assert_eq!(inbox.idle(Duration::from_mins(1)).await.unwrap_err().kind, kind, "{reply}");
            server.await.unwrap();
        }
    }
}
