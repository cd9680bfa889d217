//! Ranges of addresses and lists of ports as they are configured: separated by commas, and an empty text is an empty list.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::Deserialize;

/// CIDR ranges; an address alone is the range of this one address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Ranges(pub(crate) Vec<IpNet>);

impl FromStr for Ranges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = |it: &str| {
            let found = it.parse().or_else(|_| it.parse::<IpAddr>().map(IpNet::from));
            found.map_err(|_| format!("\"{it}\" is neither a CIDR range, such as 10.0.0.0/8, nor an address"))
        };
        items(text).map(range).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for Ranges {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Ports from 1 to 65535.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports(pub(crate) Vec<u16>);

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |it: &str| {
            let found = it.parse().ok().filter(|it| *it > 0);
            found.ok_or_else(|| format!("\"{it}\" is no port from 1 to 65535"))
        };
        items(text).map(port).collect::<Result<_, _>>().map(Self)
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_is_its_own_range_and_nothing_is_an_empty_list() {
        let shown = |text: &str| {
            let ranges: Ranges = text.parse().unwrap();
            ranges.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("10.0.0.1, 2001:db8::1,192.168.0.0/16"), "10.0.0.1/32 2001:db8::1/128 192.168.0.0/16");
        assert_eq!((shown(""), shown(" , ")), (String::new(), String::new()));
        let refused = "10.0.0.1,mail.example.org".parse::<Ranges>().unwrap_err();
        assert_eq!(refused, "\"mail.example.org\" is neither a CIDR range, such as 10.0.0.0/8, nor an address");
        assert!("10.0.0.0/33".parse::<Ranges>().is_err());
    }

    #[test]
    fn a_port_is_a_number_from_1_on() {
        assert_eq!("2525, 26".parse(), Ok(Ports(vec![2525, 26])));
        assert_eq!("".parse(), Ok(Ports(Vec::new())));
        for text in ["0", "65536", "smtp"] {
            assert_eq!(text.parse::<Ports>(), Err(format!("\"{text}\" is no port from 1 to 65535")));
        }
    }
}
