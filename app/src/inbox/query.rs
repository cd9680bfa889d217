//! The inbox in the URL: search, page, the open message and how it is shown.

use domain::{ids::AccountId, ids::MessageId, message::MessageQuery};
use leptos_router::params::ParamsMap;

use crate::accounts;

/// How the open message is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    #[default]
    Text,
    Html,
    Headers,
    Source,
}

impl View {
    pub const ALL: [Self; 4] = [Self::Text, Self::Html, Self::Headers, Self::Source];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Html => "html",
            Self::Headers => "headers",
            Self::Source => "source",
        }
    }
}

/// Everything that the URL says about an inbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub query: MessageQuery,
    pub message: Option<MessageId>,
    pub view: View,
}

impl Place {
    pub fn from_url(params: &ParamsMap) -> Self {
        let pairs = ["q", "page", "page_size"].map(|key| (key, params.get(key)));
        let pairs = pairs.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?)));
        let view = params.get("view").unwrap_or_default();
        Self {
            query: MessageQuery::from_pairs(pairs),
            message: params.get("message").and_then(|it| it.parse().ok()),
            view: View::ALL.into_iter().find(|it| it.as_str() == view).unwrap_or_default(),
        }
    }

    /// The address of this place in the account's inbox.
    pub fn href(&self, account: AccountId) -> String {
        let mut query = self.query.to_query_string();
        let mut push = |key: &str, value: &str| {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(key);
            query.push('=');
            query.push_str(value);
        };
        if let Some(message) = self.message {
            push("message", &message.to_string());
            if self.view != View::Text {
                push("view", self.view.as_str());
            }
        }
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{mark}{query}", inbox(account))
    }

    #[must_use]
    pub fn with_message(&self, message: Option<MessageId>) -> Self {
        Self { message, view: View::Text, ..self.clone() }
    }

    #[must_use]
    pub fn with_view(&self, view: View) -> Self {
        Self { view, ..self.clone() }
    }

    #[must_use]
    pub fn with_page(&self, page: u32) -> Self {
        let mut place = self.with_message(None);
        place.query.page.page = page;
        place
    }
}

/// The path of an account's inbox.
pub fn inbox(account: AccountId) -> String {
    format!("{}/{account}/inbox", accounts::PATH)
}

/// The path of what the server gives out of a message: `html`, `raw`, `attachments/0`.
pub fn part(account: AccountId, message: MessageId, part: &str) -> String {
    format!("{}/messages/{message}/{part}", inbox(account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_address_bar() {
        let mut params = ParamsMap::new();
        for (key, value) in [("q", "über & co"), ("page", "2"), ("message", "7"), ("view", "headers")] {
            params.insert(key, value.to_owned());
        }
        let place = Place::from_url(&params);
        assert_eq!(
            place.href(AccountId(3)),
            "/settings/email/imap-pop3/3/inbox?q=%C3%BCber%20%26%20co&page=2&message=7&view=headers"
        );
    }
}
