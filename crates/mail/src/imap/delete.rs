//! Deleting what was asked for and nothing else.

use std::collections::HashSet;

use domain::check::{ErrorKind, Stage};
use service::ports::{MailError, RemoteKey};

use super::{mailbox::Inbox, response::Response, set::set_of};

/// UIDs that a command names at most.
const AT_ONCE: usize = 500;

impl Inbox {
    /// Answers with what is gone, as the server says when it is asked.
    pub(super) async fn delete_all(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError> {
        let uids: Vec<u32> = keys.iter().filter_map(|it| self.uid(it)).collect();
        let has_uidplus = self.session.has("UIDPLUS");
        let mut gone = Vec::new();
        for chunk in uids.chunks(AT_ONCE) {
            let set = set_of(chunk);
            if !has_uidplus && self.foreign_deletions(chunk).await? > 0 {
                return Err(refused());
            }
            self.session.ask(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)")).await?;
            if has_uidplus {
                self.session.ask(&format!("UID EXPUNGE {set}")).await?;
            } else {
                // Somebody may have marked others since: as late as can be, look again.
                if self.foreign_deletions(chunk).await? > 0 {
                    self.session.ask(&format!("UID STORE {set} -FLAGS.SILENT (\\Deleted)")).await?;
                    return Err(refused());
                }
                self.session.ask("EXPUNGE").await?;
            }
            let left = self.search(&format!("UID {set}")).await?;
            gone.extend(chunk.iter().filter(|it| !left.contains(it)).map(|it| self.key(*it)));
        }
        Ok(gone)
    }

    /// Without UIDPLUS (RFC 4315) an EXPUNGE removes whatever carries `\Deleted`: not while others' messages do.
    async fn foreign_deletions(&mut self, ours: &[u32]) -> Result<usize, MailError> {
        let marked = self.search("DELETED").await?;
        Ok(marked.into_iter().filter(|it| !ours.contains(it)).count())
    }

    /// Commands in one write would be answered from before the EXPUNGE: Dovecot looks at the mailbox anew between writes only.
    async fn search(&mut self, what: &str) -> Result<HashSet<u32>, MailError> {
        let mut found = HashSet::new();
        let take = |response: Response| {
            if response.is(1, "SEARCH") {
                found.extend(response.numbers_from(2));
            }
        };
        self.session.ask_all(&[&format!("UID SEARCH {what}")], take).await?;
        Ok(found)
    }
}

fn refused() -> MailError {
    let message =
        "the server lacks UIDPLUS, and messages that somebody else marked as deleted would go too; nothing was deleted";
    MailError::new(ErrorKind::Mailbox, Stage::Delete, message)
}
