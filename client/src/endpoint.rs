//! The UDP socket that connections of clients run over.
//!
//! Purpose: a process that is many clients (the load generator) may share a few sockets among them.
//! What it does not do: it accepts nothing; a server's packets come in only on connections it made.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use crate::error::ClientError;

/// A UDP socket for any number of clients. A clone is the same socket.
#[derive(Debug, Clone)]
pub struct Endpoint {
    quic: quinn::Endpoint,
}

impl Endpoint {
    /// A socket of the address family of `server`, on a port the system chooses. To be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Socket`].
    pub fn for_server(server: SocketAddr) -> Result<Self, ClientError> {
        let local: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let quic =
            quinn::Endpoint::client(local).map_err(|error| ClientError::Socket(Arc::new(error)))?;
        Ok(Self { quic })
    }

    /// Waits until the last words of all closed connections have been sent.
    pub async fn wait_idle(&self) {
        self.quic.wait_idle().await;
    }

    pub(crate) const fn quic(&self) -> &quinn::Endpoint {
        &self.quic
    }
}
