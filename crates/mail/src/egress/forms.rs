//! What an address stands for, and which addresses are forbidden.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::egress::EgressReason;

/// Where clouds tell machines about themselves, beyond 169.254.0.0/16, which is link-local: Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// The same in IPv6: Google, Oracle. Amazon's are a range.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)];

/// The IPv4 address inside an IPv6 form of it: mapped (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056), ISATAP
/// (RFC 5214).
pub(crate) fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        // The deprecated "IPv4-compatible" form; ::1 and :: are IPv6's own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => address,
    }
}

/// Why nobody may contact this address, unless its range is allowed.
pub(crate) fn forbidden(address: IpAddr) -> Option<EgressReason> {
    match address {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(v4: Ipv4Addr) -> Option<EgressReason> {
    match v4.octets() {
        [0, ..] => Some(EgressReason::Unspecified),
        [127, ..] => Some(EgressReason::Loopback),
        [169, 254, ..] => Some(EgressReason::LinkLocal),
        [224..=239, ..] => Some(EgressReason::Multicast),
        _ if METADATA_V4.contains(&v4) => Some(EgressReason::Metadata),
        // IETF protocol assignments (RFC 6890), and what was kept for the future.
        [192, 0, 0, _] | [240..=255, ..] => Some(EgressReason::Reserved),
        _ => None,
    }
}

fn forbidden_v6(v6: Ipv6Addr) -> Option<EgressReason> {
    match v6.segments() {
        _ if v6.is_unspecified() => Some(EgressReason::Unspecified),
        _ if v6.is_loopback() => Some(EgressReason::Loopback),
        _ if v6.is_unicast_link_local() => Some(EgressReason::LinkLocal),
        _ if v6.is_multicast() => Some(EgressReason::Multicast),
        [0xfd00, 0xec2, ..] => Some(EgressReason::Metadata),
        _ if METADATA_V6.contains(&v6) => Some(EgressReason::Metadata),
        // Local-use NAT64 (RFC 8215), whose prefix may end anywhere, and Teredo (RFC 4380), which turns the bits round.
        [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] => Some(EgressReason::Translated),
        // Discard-only (RFC 6666), and the lowest block, in which nothing but forms of IPv4 is left.
        [0x100, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0, 0, _] => Some(EgressReason::Reserved),
        _ => None,
    }
}
