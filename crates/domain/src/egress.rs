//! The egress policy as administrators see it: what is in force, and what it says to an address.

use serde::{Deserialize, Serialize};

use crate::{
    account::Address,
    problem::{Problem, Problems, port},
};

/// An address and a port to try, as they were typed.
pub fn target(address: &str, number: &str) -> Result<(Address, u16), Vec<Problem>> {
    let mut problems = Problems::default();
    let address = problems.keep("address", Address::parse(address));
    let number = problems.keep("port", port(number));
    address.zip(number).ok_or_else(|| problems.into_vec())
}

/// What is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPicture {
    /// Ranges that may be reached on any port.
    pub allow: Vec<String>,
    /// Ranges that may not be reached whatever else is said.
    pub deny: Vec<String>,
    pub ports: Vec<u16>,
    pub hook_ports: Vec<u16>,
}

/// Why an address may be contacted, or may not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EgressReason {
    /// An address like any other, on a port of the policy.
    Ordinary,
    /// In this range of those allowed.
    Allowed(String),
    /// In this range of those denied.
    Denied(String),
    Port,
    Loopback,
    LinkLocal,
    /// Where clouds tell machines about themselves.
    Metadata,
    Multicast,
    Reserved,
    Unspecified,
    /// A form that hides an IPv4 address which cannot be told from here.
    Translated,
}

impl EgressReason {
    pub fn permits(&self) -> bool {
        matches!(self, Self::Ordinary | Self::Allowed(_))
    }
}

/// What the policy says to one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressTrial {
    pub address: String,
    pub reason: EgressReason,
}
