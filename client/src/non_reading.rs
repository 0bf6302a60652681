//! A client that sends frames and never reads acks, for load tests of a server.
//!
//! It reads the server's Hello and nothing after it. Its receive window is smaller than an ack, so the server soon
//! blocks on writing. Owner: the caller. Bounds: QUIC's buffers of one connection. Behind the feature `non-reading`,
//! which agents and gateways never enable. What it does not do: know whether its frames were acknowledged, or
//! reconnect.

use std::sync::Arc;

use bytes::Bytes;
use muster_wire::{
    CloseCode,
    limits::{ACK_TOTALS_BYTES, HEADER_BYTES, SERVER_HELLO_BYTES},
};
use quinn::{ConnectionError, VarInt};

use crate::{
    config::ClientConfig,
    connection::{Connection, Dialler, FirstFlight},
    endpoint::Endpoint,
    error::{ClientError, Disconnect, Failure},
    tls,
};

/// The receive window: exactly the server's Hello. Once that is read, the server may send as much again, which is less
/// than an ack.
const RECEIVE_WINDOW_BYTES: usize = HEADER_BYTES + SERVER_HELLO_BYTES;

const _: () = assert!(RECEIVE_WINDOW_BYTES < HEADER_BYTES + ACK_TOTALS_BYTES);

/// An open connection whose acks are not read. Dropping it closes the connection.
#[derive(Debug)]
pub struct NonReadingClient {
    connection: Connection,
}

impl NonReadingClient {
    /// Makes one attempt to connect, over a socket that other clients may share.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect_over(
        endpoint: &Endpoint,
        config: ClientConfig,
    ) -> Result<Self, ClientError> {
        let mut dialler = Dialler::new(endpoint, &config)?;
        let mut transport = tls::transport(&config, false);
        transport.stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES as u32));
        dialler.quic.transport_config(Arc::new(transport));
        match dialler.connect(&FirstFlight::default()).await {
            Ok(connection) => Ok(Self { connection }),
            Err(Failure::Fatal(error)) => Err(error),
            Err(Failure::Retryable(last)) => Err(ClientError::Unreachable {
                server: config.server,
                attempts: 1,
                last,
            }),
        }
    }

    /// The server's window: how many frames may be unacknowledged.
    pub const fn window_frames(&self) -> u16 {
        self.connection.hello.window_frames
    }

    /// Sends one encoded frame. Waits for flow control credit, which a server grants as it reads.
    ///
    /// # Errors
    /// The connection has ended; see [`NonReadingClient::closed`].
    pub async fn send_frame(&mut self, frame: Bytes) -> Result<(), Disconnect> {
        let written = self.connection.send.write_chunk(frame).await;
        written.map_err(|_| Disconnect::StreamEnded)
    }

    /// Waits until the connection has ended. Returns the close code if the server closed it with one.
    pub async fn closed(&self) -> Option<CloseCode> {
        match self.connection.quic.closed().await {
            ConnectionError::ApplicationClosed(close) => {
                CloseCode::from_code(close.error_code.into_inner())
            }
            _ => None,
        }
    }
}
