//! A collected message, as lists and the reading pane show it.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, MessageId},
    page::{INBOX_PAGE_SIZE, PageRequest},
    query,
    time::Timestamp,
};

/// What is kept beside the raw bytes so that a list needs no parsing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageIndex {
    pub subject: String,
    /// `Name <address>`, or as much of it as there is.
    pub from: String,
    /// The `Date` field; `None` if it is missing or makes no sense.
    pub date: Option<Timestamp>,
    pub n_attachments: u32,
    pub message_id: String,
    /// The bytes are no message that can be taken apart.
    pub is_unreadable: bool,
}

/// One line of the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    pub id: MessageId,
    pub account_id: AccountId,
    pub subject: String,
    pub from: String,
    pub date: Option<Timestamp>,
    pub received_at: Timestamp,
    /// Bytes, as the server gave them.
    pub size: u64,
    pub n_attachments: u32,
    /// Whether the user who asks has opened it.
    pub seen: bool,
}

/// What an inbox page asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageQuery {
    /// Anywhere in sender or subject, without regard to case and accents.
    pub search: String,
    pub page: PageRequest,
}

impl Default for MessageQuery {
    fn default() -> Self {
        Self { search: String::new(), page: PageRequest::new(1, INBOX_PAGE_SIZE) }
    }
}

impl MessageQuery {
    /// Reads `q` and `page`; what is not understood is ignored.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut wanted = Self::default();
        for (key, value) in pairs {
            match key {
                "q" => value.trim().clone_into(&mut wanted.search),
                "page" => _ = query::page(&mut wanted.page, value),
                "page_size" => _ = query::page_size(&mut wanted.page, value),
                _ => {}
            }
        }
        wanted
    }

    pub fn to_query_string(&self) -> String {
        let mut pairs = Vec::new();
        if !self.search.is_empty() {
            pairs.push(("q", self.search.clone()));
        }
        query::push_page(&mut pairs, self.page, Self::default().page);
        query::encode(&pairs)
    }
}

/// An attachment, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Counted from 0 within the message.
    pub index: u32,
    /// Hostile until escaped; never a path.
    pub name: String,
    pub content_type: String,
    pub size: u64,
}

/// An opened message. Its HTML is not in here: it is a document of its own route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageContent {
    pub row: MessageRow,
    pub to: String,
    pub cc: String,
    /// The plain text, or what is left of the HTML without its tags.
    pub text: String,
    pub has_html: bool,
    /// Names and decoded values in their order, the first few hundred.
    pub headers: Vec<(String, String)>,
    /// How many fields stand behind those.
    pub n_more_headers: u32,
    pub attachments: Vec<Attachment>,
    pub is_unreadable: bool,
    /// Too large or too complex to be taken apart: only its header fields are shown, and all of it can be downloaded.
    pub is_too_large: bool,
}
