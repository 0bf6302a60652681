//! The TCP addresses of a server: binds them, and says on standard output which ones they are.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::ServerError;

/// Connections of operators that the kernel has accepted and we have not. Beyond that it drops the SYN of the next one,
/// which is retransmitted after a second: too late for a probe.
const OPS_BACKLOG: i32 = 1024;

/// Prints the line that scripts wait for, on its own thread: the main thread must not wait for a reader.
pub(super) fn announce(
    quic: SocketAddr,
    http: SocketAddr,
    api: Option<SocketAddr>,
) -> Result<(), ServerError> {
    let print = move || {
        let api = api.map(|api| format!(" api=https://{api}"));
        let line = format!(
            "ready quic={quic} ops=http://{http}{}\n",
            api.unwrap_or_default()
        );
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            tracing::warn!(%error, "cannot print the ready line");
        }
    };
    super::parts::spawn("ready".to_owned(), print).map(drop)
}

/// A TCP listener.
pub(super) fn bind_tcp(address: SocketAddr) -> std::io::Result<TcpListener> {
    let (domain, protocol) = (Domain::for_address(address), Some(Protocol::TCP));
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    // As std does: the port of a server that has just ended can be bound again.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(OPS_BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The listener of the operations endpoint, and the address that it has.
pub(super) fn bind_ops(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let refused = |source| ServerError::Ops { address, source };
    let listener = bind_tcp(address).map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}
