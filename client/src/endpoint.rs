//! The UDP socket that connections of clients run over.
//!
//! Purpose: a process that is many clients (the load generator) may share a few sockets among them.
//! Bounds: [`RECEIVE_BUFFER_BYTES`] of packets that wait in the kernel. What it does not do: it accepts nothing; a
//! server's packets come in only on connections it made.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use quinn::EndpointConfig;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::ClientError;

/// What the kernel may keep for us until we look, if it grants that much (`net.core.rmem_max`). Linux starts with room
/// for some hundred packets, which is what a hundred handshakes at a time are answered with; a lost answer costs its
/// client a second. Only packets that wait take memory.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

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
        let start = || {
            let runtime = quinn::default_runtime()
                .ok_or_else(|| io::Error::other("not within a tokio runtime"))?;
            quinn::Endpoint::new(EndpointConfig::default(), None, socket(local)?, runtime)
        };
        match start() {
            Ok(quic) => Ok(Self { quic }),
            Err(error) => Err(ClientError::Socket(Arc::new(error))),
        }
    }

    /// Waits until the last words of all closed connections have been sent.
    pub async fn wait_idle(&self) {
        self.quic.wait_idle().await;
    }

    pub(crate) const fn quic(&self) -> &quinn::Endpoint {
        &self.quic
    }
}

fn socket(local: SocketAddr) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(local);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if socket.recv_buffer_size()? < RECEIVE_BUFFER_BYTES {
        // A system that refuses gives what it gives everybody; packets that find no room are sent again.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    }
    if domain == Domain::IPV6 {
        // For a server whose address is one of version 4 in the form of version 6; not every system knows that.
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
    fn outside_of_a_runtime_there_is_an_error_and_no_panic() {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let error = Endpoint::for_server(server).unwrap_err();
        assert!(matches!(error, ClientError::Socket(_)), "{error}");
    }

    #[test]
    fn a_socket_has_more_room_than_the_system_gives_by_itself() {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let room = |socket: &UdpSocket| SockRef::from(socket).recv_buffer_size().unwrap();
        let plain = UdpSocket::bind(local).unwrap();
        let ours = socket(local).unwrap();
        let is_more = room(&ours) > room(&plain) || room(&plain) >= RECEIVE_BUFFER_BYTES;
        assert!(is_more, "{} bytes", room(&ours));
    }
}
