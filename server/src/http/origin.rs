//! Where a request came from: the peer, or whom trusted proxies say that they speak for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, request::Parts},
};

use super::Web;

const FORWARDED: &str = "x-forwarded-for";

/// The address that a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Origin(pub(crate) String);

/// The peer's address, or what a trusted proxy says it is.
pub(crate) fn origin(web: &Web, request: &Parts) -> Origin {
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip());
    let address = peer.map(|it| behind(it, &request.headers, |proxy| web.config.trusts(proxy)));
    Origin(address.map_or_else(|| "unknown".to_owned(), |it| it.to_string()))
}

/// The last address that a trusted proxy did not add itself: what stands before it, anybody may have written. What cannot be
/// read is nobody's address, and what stands before it is not believed either.
fn behind(peer: IpAddr, headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let lines: Vec<_> = headers.get_all(FORWARDED).iter().map(|it| it.to_str().unwrap_or_default()).collect();
    let mut address = peer.to_canonical();
    for hop in lines.iter().rev().flat_map(|it| it.rsplit(',')) {
        if !is_trusted(address) {
            break;
        }
        let Some(hop) = hop_address(hop.trim()) else { break };
        address = hop.to_canonical();
    }
    address
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin_of(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, line.parse().unwrap());
        }
        let is_trusted = |it: IpAddr| it.to_string().starts_with("10.") || it.to_string() == "fd00::1";
        behind(peer.parse().unwrap(), &headers, is_trusted).to_string()
    }

    #[test]
    fn a_hop_may_have_a_port_and_brackets() {
        for (hop, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:4711", "192.0.2.1"),
        ] {
            assert_eq!(origin_of("10.0.0.5", &[hop]), address, "{hop}");
        }
    }

    #[test]
    fn what_a_client_wrote_is_not_its_address() {
        assert_eq!(origin_of("10.0.0.5", &["9.9.9.9, 192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(origin_of("10.0.0.5", &["9.9.9.9, 192.0.2.1, 10.0.0.4:1, [fd00::1]:2"]), "192.0.2.1");
        for unreadable in ["unknown", "192.0.2.1:http", "_hidden", "", "[192.0.2.1]", "fe80::1%eth0"] {
            assert_eq!(origin_of("10.0.0.5", &[&format!("9.9.9.9, {unreadable}")]), "10.0.0.5", "{unreadable}");
            assert_eq!(origin_of("10.0.0.5", &[&format!("9.9.9.9, {unreadable}, 10.0.0.4")]), "10.0.0.4");
        }
        assert_eq!(origin_of("192.0.2.7", &["9.9.9.9"]), "192.0.2.7");
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(origin_of("10.0.0.5", &["9.9.9.9", "192.0.2.1, 10.0.0.3", "10.0.0.4"]), "192.0.2.1");
        assert_eq!(origin_of("10.0.0.5", &["9.9.9.9", "unknown"]), "10.0.0.5");
        assert_eq!(origin_of("10.0.0.5", &[]), "10.0.0.5");
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, "9.9.9.9".parse().unwrap());
        headers.append(FORWARDED, axum::http::HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(behind([10, 0, 0, 5].into(), &headers, |_| true).to_string(), "10.0.0.5");
    }
}
