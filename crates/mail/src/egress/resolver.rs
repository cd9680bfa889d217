//! Who looks names up: the system, or a test that answers what it likes.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use tokio::net::lookup_host;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolver: Send + Sync + fmt::Debug {
    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
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
}
