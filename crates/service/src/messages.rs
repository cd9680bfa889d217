//! The use cases of collected mail: list, open, read. Looking never changes the server, and every look is in the audit log.

use std::sync::Arc;

use domain::{
    account::Account,
    actor::{Actor, Permission},
    audit::AuditAction,
    ids::{AccountId, MessageId},
    message::{Attachment, MessageContent, MessageQuery, MessageRow},
    page::Page,
};

use crate::{
    Error, Parts,
    audit::entry,
    error::need,
    ports::{MessageReader, ReadError, ReadMessage, Store},
};

/// Of a larger message only the header fields are read; bytes.
const TAKEN_APART_MAX: u64 = 50 * 1024 * 1024;

/// The use cases of messages.
pub struct Messages<'a>(pub(crate) &'a Parts);

/// A message's HTML.
#[derive(Debug)]
pub enum Html {
    /// A washed document of its own.
    Washed(String),
    /// Washing it would take more than is borne; its text and its source can be read.
    TooComplex,
}

/// The bytes of a message as the server gave them, part by part.
pub struct RawMessage {
    store: Arc<dyn Store>,
    id: MessageId,
    next: u32,
    /// Bytes in all.
    pub size: u64,
}

impl RawMessage {
    /// The next part, at most a few MiB unless the message is smaller than that; `None` after the last.
    pub async fn part(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let part = self.store.raw_part(self.id, self.next).await?;
        self.next += 1;
        Ok(part)
    }

    /// All of it.
    pub async fn whole(mut self) -> Result<Vec<u8>, Error> {
        let mut whole = self.part().await?.ok_or(Error::NotFound)?;
        while let Some(part) = self.part().await? {
            whole.extend(part);
        }
        Ok(whole)
    }
}

impl Messages<'_> {
    pub async fn list(
        &self,
        actor: &Actor,
        account: AccountId,
        query: &MessageQuery,
    ) -> Result<Page<MessageRow>, Error> {
        need(actor, Permission::Query)?;
        self.account(account).await?;
        Ok(self.0.store.list_messages(account, actor.user_id, query).await?)
    }

    /// Opens a message: it counts as read by the actor from now on. A message of another account than `within` is not found.
    pub async fn open(&self, actor: &Actor, within: Option<AccountId>, id: MessageId) -> Result<MessageContent, Error> {
        let mut raw = self.raw(actor, within, id).await?;
        let row = self.row(actor, within, id).await?;
        let is_too_large = raw.size > TAKEN_APART_MAX;
        let bytes = if is_too_large { header(raw.part().await?.unwrap_or_default()) } else { raw.whole().await? };
        let read = self.off_thread(move |reader| reader.read(&bytes)).await?;
        let is_unreadable = read.is_err();
        let ReadMessage { to, cc, text, has_html, headers, n_more_headers, attachments, is_header_only } =
            read.unwrap_or_default();
        let is_too_large = is_too_large || is_header_only;
        Ok(MessageContent {
            row,
            to,
            cc,
            text,
            has_html,
            headers,
            n_more_headers,
            attachments,
            is_unreadable,
            is_too_large,
        })
    }

    /// The bytes as the server gave them.
    pub async fn raw(&self, actor: &Actor, within: Option<AccountId>, id: MessageId) -> Result<RawMessage, Error> {
        let row = self.row(actor, within, id).await?;
        let subject = format!("message {id} of account {}", row.account_id);
        let now = self.0.clock.now();
        let entry = entry(actor, now, AuditAction::MessageOpened, subject);
        self.0.store.open_message(id, actor.user_id, now, &[entry]).await?;
        if let Some(user) = actor.user_id {
            self.0.reading.open(user, id, now);
        }
        Ok(self.bytes(&row))
    }

    /// The HTML of an opened message. Two are washed at once; a third waits a while for its turn.
    pub async fn html(&self, actor: &Actor, within: Option<AccountId>, id: MessageId) -> Result<Html, Error> {
        let raw = self.raw_again(actor, within, id).await?;
        if self.0.reading.is_refused(id) {
            return Ok(Html::TooComplex);
        }
        let turn = self.0.reading.turn().await?;
        let raw = whole(raw).await?;
        let wash = move |reader: Arc<dyn MessageReader>| {
            // Whoever asked may be gone: the turn ends with the work.
            let _turn = turn;
            reader.html(&raw)
        };
        match self.off_thread(wash).await? {
            Ok(html) => Ok(Html::Washed(html)),
            Err(ReadError::TooComplex) => {
                self.0.reading.refuse(id);
                Ok(Html::TooComplex)
            }
            Err(ReadError::NoSuchPart | ReadError::Unreadable) => Err(Error::NotFound),
        }
    }

    pub async fn attachment(
        &self,
        actor: &Actor,
        within: Option<AccountId>,
        id: MessageId,
        index: u32,
    ) -> Result<(Attachment, Vec<u8>), Error> {
        let raw = whole(self.raw(actor, within, id).await?).await?;
        self.off_thread(move |reader| reader.attachment(&raw, index)).await?.map_err(|_| Error::NotFound)
    }

    /// Like [`Messages::raw`], for a part of what the actor opened just now: that opening is in the log already.
    async fn raw_again(&self, actor: &Actor, within: Option<AccountId>, id: MessageId) -> Result<RawMessage, Error> {
        let row = self.row(actor, within, id).await?;
        let is_open = actor.user_id.is_some_and(|it| self.0.reading.is_open(it, id, self.0.clock.now()));
        if is_open { Ok(self.bytes(&row)) } else { self.raw(actor, within, id).await }
    }

    fn bytes(&self, row: &MessageRow) -> RawMessage {
        RawMessage { store: Arc::clone(&self.0.store), id: row.id, next: 0, size: row.size }
    }

    async fn row(&self, actor: &Actor, within: Option<AccountId>, id: MessageId) -> Result<MessageRow, Error> {
        need(actor, Permission::Query)?;
        let row = self.0.store.find_message(id, actor.user_id).await?;
        let row = row.filter(|it| within.is_none_or(|account| account == it.account_id)).ok_or(Error::NotFound)?;
        self.account(row.account_id).await?;
        Ok(row)
    }

    /// The messages of a deleted account are kept for its restoring, and not shown.
    async fn account(&self, id: AccountId) -> Result<Account, Error> {
        let account = self.0.store.find_account(id).await?;
        account.filter(|it| it.deleted_at.is_none()).ok_or(Error::NotFound)
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<dyn MessageReader>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<Result<T, ReadError>, Error> {
        let reader = Arc::clone(&self.0.reader);
        tokio::task::spawn_blocking(move || work(reader)).await.map_err(|it| Error::internal(&it))
    }
}

/// The parts of what is larger than is taken apart are not there.
async fn whole(raw: RawMessage) -> Result<Vec<u8>, Error> {
    if raw.size > TAKEN_APART_MAX { Err(Error::NotFound) } else { raw.whole().await }
}

/// The header fields at the beginning of a message, with the line that ends them.
fn header(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").map_or(bytes.len(), |it| it + 4);
    bytes.truncate(end);
    bytes
}
