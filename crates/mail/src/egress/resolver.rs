//! Who looks names up: the system, DNS servers that the configuration names, or a test that answers what it likes.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{Name, RData, RecordType},
};
use tokio::net::lookup_host;

/// Where a domain says that a service is (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvRecord {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    /// As the DNS has it, with odd bytes escaped; `.` says that there is no such service.
    pub target: String,
}

/// Finds the addresses of a name, and what else the DNS says of it.
#[async_trait]
pub trait Resolver: Send + Sync + fmt::Debug {
    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// The SRV records of a name, which is taken as it is, without any search list; none if there are none.
    async fn services(&self, _: &str) -> io::Result<Vec<SrvRecord>> {
        Ok(Vec::new())
    }
}

/// As the system does it.
#[derive(Debug)]
pub(super) struct System;

/// For whoever has no policy around it.
pub(crate) fn system_resolver() -> Arc<dyn Resolver> {
    Arc::new(System)
}

#[async_trait]
impl Resolver for System {
    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((name, port)).await?.collect())
    }

    /// The system's own look-up knows addresses only; its DNS servers are read each time, since they change with the network.
    async fn services(&self, name: &str) -> io::Result<Vec<SrvRecord>> {
        let resolver = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        services(&resolver.map_err(io::Error::other)?, name).await
    }
}

/// By DNS servers that the configuration names, for every name; the system's file of hosts still comes first.
pub struct DnsServers {
    resolver: TokioResolver,
    servers: Vec<SocketAddr>,
}

impl DnsServers {
    /// Fails if nothing can be asked that way.
    pub fn new(servers: &[SocketAddr]) -> io::Result<Self> {
        let server = |it: &SocketAddr| {
            let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for way in &mut ways {
                way.port = it.port();
            }
            NameServerConfig::new(it.ip(), true, ways)
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        // Whoever connects tries one after the other, and nobody here knows whether IPv6 leads anywhere.
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Ok(Self { resolver: builder.build().map_err(io::Error::other)?, servers: servers.to_vec() })
    }
}

impl fmt::Debug for DnsServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DnsServers").field(&self.servers).finish()
    }
}

#[async_trait]
impl Resolver for DnsServers {
    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<IpAddr> = match self.resolver.lookup_ip(absolute(name)?).await {
            Ok(found) => found.iter().collect(),
            Err(error) if error.is_no_records_found() => Vec::new(),
            Err(error) => return Err(io::Error::other(error)),
        };
        Ok(addresses.into_iter().map(|it| SocketAddr::new(it, port)).collect())
    }

    async fn services(&self, name: &str) -> io::Result<Vec<SrvRecord>> {
        services(&self.resolver, name).await
    }
}

/// Complete as it is: nothing is appended to it.
fn absolute(name: &str) -> io::Result<Name> {
    let mut name = Name::from_ascii(name).map_err(io::Error::other)?;
    name.set_fqdn(true);
    Ok(name)
}

async fn services(resolver: &TokioResolver, name: &str) -> io::Result<Vec<SrvRecord>> {
    let found = match resolver.lookup(absolute(name)?, RecordType::SRV).await {
        Ok(found) => found,
        Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
        Err(error) => return Err(io::Error::other(error)),
    };
    let record = |data: &RData| match data {
        RData::SRV(it) => {
            Some(SrvRecord { priority: it.priority, weight: it.weight, port: it.port, target: it.target.to_ascii() })
        }
        _ => None,
    };
    Ok(found.answers().iter().filter_map(|it| record(&it.data)).collect())
}
