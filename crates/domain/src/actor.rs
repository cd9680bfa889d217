//! Who acts, and what they may do.

use serde::{Deserialize, Serialize};

use crate::ids::UserId;

/// What a role may do. Checked in `service` at every use case, and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// See that records exist: reports, forms without secrets.
    List,
    /// Add and change records.
    Write,
    /// Remove and restore records.
    Delete,
    /// Read what was collected: messages, audit log.
    Query,
    /// Make Posthorn act with a credential: grant, check, test.
    Action,
}

/// The two built-in roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Administrator,
    /// Sees reports and settings: no secrets, no writes, no mail.
    Viewer,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Viewer => "viewer",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "administrator" => Some(Self::Administrator),
            "viewer" => Some(Self::Viewer),
            _ => None,
        }
    }

    pub fn may(self, permission: Permission) -> bool {
        match self {
            Self::Administrator => true,
            Self::Viewer => permission == Permission::List,
        }
    }
}

/// The signed-in user behind a request, a token, or the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `None` for the command line and the set-up page.
    pub user_id: Option<UserId>,
    pub name: String,
    pub role: Role,
    /// From where: an address, or `command line`.
    pub origin: String,
}

impl Actor {
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }
}

/// What a screen may know of the user who looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whoami {
    pub name: String,
    pub role: Role,
}
