//! Which accounts a report shows, in which order, and how that reads in a URL.

use serde::{Deserialize, Serialize};

use super::HealthState;
use crate::{page::PageRequest, query};

/// What the search fields select; `None` and the empty text select everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFilter {
    /// Anywhere in the name, without regard to case and accents.
    pub name: String,
    pub secure_connection: Option<bool>,
    pub automatic_check: Option<bool>,
    pub keep_copy: Option<bool>,
    /// Whether a secure connection accepts any certificate.
    pub skip_certificate: Option<bool>,
    /// Status: enabled or disabled.
    pub enabled: Option<bool>,
    /// `Late` selects every late account, failing or not; the others select what the report shows.
    pub health: Option<HealthState>,
}

impl AccountFilter {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The columns of the report that sort: all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountColumn {
    Id,
    #[default]
    Name,
    SecureConnection,
    ConnectionType,
    Protocol,
    Port,
    AutomaticCheck,
    KeepCopy,
    Status,
    Health,
}

impl AccountColumn {
    /// Every column in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::Id,
        Self::Name,
        Self::SecureConnection,
        Self::ConnectionType,
        Self::Protocol,
        Self::Port,
        Self::AutomaticCheck,
        Self::KeepCopy,
        Self::Status,
        Self::Health,
    ];

    /// The name in the `sort` parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::SecureConnection => "secure_connection",
            Self::ConnectionType => "secure_connection_type",
            Self::Protocol => "protocol",
            Self::Port => "port",
            Self::AutomaticCheck => "automatic_check",
            Self::KeepCopy => "keep_copy",
            Self::Status => "status",
            Self::Health => "health",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// A column and a direction. Ties are broken by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccountSort {
    pub column: AccountColumn,
    pub descending: bool,
}

impl AccountSort {
    /// `name` or `-name`.
    pub fn parse(text: &str) -> Option<Self> {
        let (descending, name) = text.strip_prefix('-').map_or((false, text), |it| (true, it));
        AccountColumn::parse(name).map(|column| Self { column, descending })
    }

    /// The same column the other way round.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { descending: !self.descending, ..self }
    }

    pub fn to_param(self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.column.as_str())
    }
}

/// Filter, sort and page of the report, as the URL and the REST parameters carry them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountQuery {
    pub filter: AccountFilter,
    pub sort: AccountSort,
    pub page: PageRequest,
}

impl AccountQuery {
    /// Reads the parameters; the second value names those whose value was not understood and is ignored.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, Vec<String>) {
        let mut query = Self::default();
        let mut ignored = Vec::new();
        for (key, value) in pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
            let understood = match key {
                "name" => {
                    value.trim().clone_into(&mut query.filter.name);
                    true
                }
                "secure_connection" => query::set(&mut query.filter.secure_connection, query::boolean(value)),
                "automatic_check" => query::set(&mut query.filter.automatic_check, query::boolean(value)),
                "keep_copy" => query::set(&mut query.filter.keep_copy, query::boolean(value)),
                "skip_certificate" => query::set(&mut query.filter.skip_certificate, query::boolean(value)),
                "status" => query::set(
                    &mut query.filter.enabled,
                    match value {
                        "enabled" => Some(true),
                        "disabled" => Some(false),
                        _ => None,
                    },
                ),
                "health" => query::set(&mut query.filter.health, HealthState::parse(value)),
                "sort" => AccountSort::parse(value).map(|it| query.sort = it).is_some(),
                "page" => query::page(&mut query.page, value),
                "page_size" => query::page_size(&mut query.page, value),
                _ => true,
            };
            if !understood {
                ignored.push(key.to_owned());
            }
        }
        (query, ignored)
    }

    /// From what [`Self::to_query_string`] makes; what is not understood is ignored.
    pub fn from_query_string(text: &str) -> Self {
        let pairs = query::decode(text);
        Self::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))).0
    }

    /// `name=bill&status=enabled&sort=-name&page=2`: defaults and empty values are left out.
    pub fn to_query_string(&self) -> String {
        let mut pairs = Vec::new();
        let flag = |it: bool| it.to_string();
        let filter = &self.filter;
        let status = |it: bool| if it { "enabled" } else { "disabled" }.to_owned();
        pairs.extend(Some(("name", filter.name.clone())).filter(|(_, value)| !value.is_empty()));
        pairs.extend(filter.secure_connection.map(|it| ("secure_connection", flag(it))));
        pairs.extend(filter.automatic_check.map(|it| ("automatic_check", flag(it))));
        pairs.extend(filter.keep_copy.map(|it| ("keep_copy", flag(it))));
        pairs.extend(filter.skip_certificate.map(|it| ("skip_certificate", flag(it))));
        pairs.extend(filter.enabled.map(|it| ("status", status(it))));
        pairs.extend(filter.health.map(|it| ("health", it.as_str().to_owned())));
        pairs.extend(Some(self.sort).filter(|it| *it != AccountSort::default()).map(|it| ("sort", it.to_param())));
        query::push_page(&mut pairs, self.page, PageRequest::default());
        query::encode(&pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_the_way_through_a_url() {
        let query = AccountQuery {
            filter: AccountFilter { name: "bill & co".to_owned(), enabled: Some(false), ..AccountFilter::default() },
            sort: AccountSort { column: AccountColumn::Port, descending: true },
            page: PageRequest::new(3, 50),
        };
        assert_eq!(query.to_query_string(), "name=bill%20%26%20co&status=disabled&sort=-port&page=3&page_size=50");
        let pairs =
            [("name", "bill & co"), ("status", "disabled"), ("sort", "-port"), ("page", "3"), ("page_size", "50")];
        assert_eq!(AccountQuery::from_pairs(pairs), (query.clone(), Vec::new()));
        assert_eq!(AccountQuery::from_query_string(&query.to_query_string()), query);
    }

    #[test]
    fn what_is_not_understood_is_ignored_and_named() {
        let (query, ignored) =
            AccountQuery::from_pairs([("sort", "colour"), ("page", "-1"), ("keep_copy", "maybe"), ("x", "y")]);
        assert_eq!(query, AccountQuery::default());
        assert_eq!(ignored, ["sort", "page", "keep_copy"]);
    }
}
