//! The UDP socket of one or more clients.
//!
//! Purpose: a process with many clients (the load generator) shares a few sockets among them. Bounds: the kernel
//! buffers up to [`RECEIVE_BUFFER_BYTES`] of received packets. What it does not do: accept connections.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use quinn::EndpointConfig;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::ClientError;

/// The receive buffer to ask the kernel for; it grants at most `net.core.rmem_max`. Linux's default has room for a few
/// hundred packets, which a hundred simultaneous handshakes can fill, and a lost packet costs its client a second. Only
/// buffered packets take memory.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// A UDP socket for any number of clients. Clones share the socket.
#[derive(Debug, Clone)]
pub struct Endpoint {
    quic: quinn::Endpoint,
}

impl Endpoint {
    /// Opens a socket of the address family of `server`, on a port chosen by the operating system. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Socket`].
    pub fn for_server(server: SocketAddr) -> Result<Self, ClientError> {
        let local: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        match open(local) {
            Ok(quic) => Ok(Self { quic }),
            Err(error) => Err(ClientError::Socket(Arc::new(error))),
        }
    }

    /// Waits until all connections over this socket are closed and their CONNECTION_CLOSE packets are sent.
    pub async fn wait_idle(&self) {
        self.quic.wait_idle().await;
    }

    pub(crate) const fn quic(&self) -> &quinn::Endpoint {
        &self.quic
    }
}

fn open(local: SocketAddr) -> io::Result<quinn::Endpoint> {
    let runtime =
        quinn::default_runtime().ok_or_else(|| io::Error::other("not within a tokio runtime"))?;
    quinn::Endpoint::new(EndpointConfig::default(), None, socket(local)?, runtime)
}

fn socket(local: SocketAddr) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(local);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if socket.recv_buffer_size()? < RECEIVE_BUFFER_BYTES {
        // A smaller buffer still works: QUIC recovers from packets that the kernel drops.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    }
    if domain == Domain::IPV6 {
        // Lets the socket reach IPv4-mapped addresses. Not every operating system supports that.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&local.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[test]
    fn outside_a_runtime_an_error_is_returned() {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let error = Endpoint::for_server(server).unwrap_err();
        assert!(matches!(error, ClientError::Socket(_)), "{error}");
    }

    #[test]
    fn the_receive_buffer_is_larger_than_the_default() {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let default = buffer_bytes(&UdpSocket::bind(local).unwrap());
        let ours = buffer_bytes(&socket(local).unwrap());
        assert!(
            ours > default || default >= RECEIVE_BUFFER_BYTES,
            "{ours} bytes"
        );
    }

    fn buffer_bytes(socket: &UdpSocket) -> usize {
        SockRef::from(socket).recv_buffer_size().unwrap()
    }
}
