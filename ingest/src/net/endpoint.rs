//! The UDP socket and the QUIC endpoint on it.
//!
//! Owner: the server, which binds before it opens the store and serves once it has recovered. Bounds chosen against
//! hostile clients: small flow control windows, one stream, a bounded number of unvalidated connection attempts.
//! Accepting connections is the listener's task.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{GATEWAY_RECEIVE_WINDOW, ListenConfig};

/// Receive window of a device's connection: a frame of one check-in is 56 bytes, an inventory at most 8 KiB.
pub(crate) const DEVICE_RECEIVE_WINDOW: u32 = 64 << 10;

/// Send window of a connection: the server sends only Hello, acks, Busy and Goodbye.
pub(crate) const SEND_WINDOW: u64 = 64 << 10;

/// Connection attempts that may wait for the accept loop; the first packet of any further attempt is dropped.
const INCOMING_MAX: usize = 4096;

/// Bytes that one attempt, and all attempts together, may have buffered before the accept loop handles them.
const INCOMING_BUFFER: u64 = 16 << 10;
pub(crate) const INCOMING_BUFFER_TOTAL: u64 = 16 << 20;

/// Minimum interval between stateless resets: 20,000 a second, so that a fleet that still sends to the process before
/// a restart reconnects within seconds. A reset is smaller than the packet that triggers it: no amplification.
const RESET_INTERVAL_MIN: Duration = Duration::from_micros(50);

/// Why the QUIC endpoint cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is in use or not local; the operator configures another.
    #[error("cannot listen on {address} (UDP): {source}")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The TLS configuration cannot serve QUIC.
    #[error("the TLS configuration cannot be used for QUIC: {0}")]
    Tls(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// The runtime cannot register the socket.
    #[error("cannot start the QUIC endpoint: {0}")]
    Start(std::io::Error),
}

/// Binds the UDP socket with the configured buffers, and logs if the kernel granted less.
pub fn bind(config: &ListenConfig) -> Result<UdpSocket, EndpointError> {
    let address = config.address;
    let bind = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        let wanted = config.udp_receive_buffer.get() as usize;
        socket.set_recv_buffer_size(wanted)?;
        socket.set_send_buffer_size(wanted)?;
        socket.bind(&address.into())?;
        // Linux reports twice the usable size.
        let given = socket.recv_buffer_size()? / 2;
        if given < wanted {
            tracing::info!(
                wanted,
                given,
                "kernel capped the UDP receive buffer; raise net.core.rmem_max for large fleets"
            );
        }
        Ok(UdpSocket::from(socket))
    };
    bind().map_err(|source| EndpointError::Bind { address, source })
}

/// Starts the endpoint on a bound socket. Must be called inside the net runtime.
pub fn endpoint(
    config: &ListenConfig,
    tls: rustls::ServerConfig,
    restart_secret: [u8; 32],
    socket: UdpSocket,
) -> Result<quinn::Endpoint, EndpointError> {
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    server
        .transport_config(Arc::new(transport(config)))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    let runtime = Arc::new(TokioRuntime);
    quinn::Endpoint::new(
        endpoint_config(restart_secret),
        Some(server),
        socket,
        runtime,
    )
    .map_err(EndpointError::Start)
}

/// Connection IDs and stateless reset tokens survive a restart: a client that still sends to the previous process
/// receives a stateless reset at once, instead of waiting for its idle timeout.
fn endpoint_config(restart_secret: [u8; 32]) -> EndpointConfig {
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &restart_secret);
    let id = hmac::sign(&reset_key, b"connection ids");
    let id_key = id
        .as_ref()
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    config.min_reset_interval(RESET_INTERVAL_MIN);
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
    config
}

fn transport(config: &ListenConfig) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = u32::try_from(config.idle_timeout.get().as_millis()).unwrap_or(u32::MAX);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // The connection's window is the effective bound: quinn can enlarge it for gateways later, the stream's not.
        .stream_receive_window(VarInt::from_u32(GATEWAY_RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(DEVICE_RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        // The server sends little: acks, and its certificate once. MTU discovery would cost every connection probes,
        // segmentation offload a buffer of ten packets as soon as its handshake takes two.
        .mtu_discovery_config(None)
        .enable_segmentation_offload(false)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle))));
    transport
}
