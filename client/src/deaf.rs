//! A peer that sends and never reads: what a load test does to a server on purpose.
//!
//! Owner: its caller. It says Hello, reads that of the server, and from then on lets the server's acks pile up
//! where they are: the server may send less than one ack before it has to wait. Bounds: what QUIC buffers for
//! one connection. Behind the feature `deaf`, which no agent and no gateway turns on. What it does not do: it
//! learns nothing of what became of its frames, and never connects again.

use std::sync::Arc;

use bytes::Bytes;
use muster_wire::{
    CloseCode,
    limits::{HEADER_BYTES, SERVER_HELLO_BYTES},
};
use quinn::VarInt;

use crate::{
    config::ClientConfig,
    connection::{Connection, Dialler, FirstWords},
    endpoint::Endpoint,
    error::{ClientError, Fault},
    tls,
};

/// What the server may have sent that was not read. Its Hello just fits; once that was read there is room for
/// as much again, which is less than an ack.
const RECEIVE_WINDOW_BYTES: usize = HEADER_BYTES + SERVER_HELLO_BYTES;

const _: () = assert!(RECEIVE_WINDOW_BYTES < HEADER_BYTES + muster_wire::limits::ACK_TOTALS_BYTES);

/// An open connection whose acks nobody reads. Dropping it ends it without a word.
#[derive(Debug)]
pub struct DeafClient {
    connection: Connection,
}

impl DeafClient {
    /// One attempt to connect.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect_over(
        endpoint: &Endpoint,
        config: ClientConfig,
    ) -> Result<Self, ClientError> {
        config.check()?;
        let mut quic = tls::quic_config(&config)?;
        let mut transport = tls::transport(&config, false);
        transport.stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES as u32));
        quic.transport_config(Arc::new(transport));
        let server = config.server;
        let dialler = Dialler {
            endpoint: endpoint.clone(),
            quic,
            server,
            server_name: config.server_name,
            handshake_timeout: config.handshake_timeout,
        };
        match dialler.connect(&FirstWords::default()).await {
            Ok(connection) => Ok(Self { connection }),
            Err(Fault::Final(error)) => Err(error),
            Err(Fault::Passing(last)) => Err(ClientError::Unreachable {
                server,
                attempts: 1,
                last,
            }),
        }
    }

    /// Frames that the server lets a client have unacknowledged.
    pub const fn window_frames(&self) -> u16 {
        self.connection.hello.window_frames
    }

    /// Sends one encoded frame. Waits for room in QUIC's window, which is given by a server that reads.
    ///
    /// # Errors
    /// [`ClientError::Stopped`] once the connection is gone.
    pub async fn send_frame(&mut self, frame: Bytes) -> Result<(), ClientError> {
        let sent = self.connection.send.write_chunk(frame).await;
        sent.map_err(|_| ClientError::Stopped)
    }

    /// Waits until the connection is gone; the code if the server closed it with one of ours.
    pub async fn closed(&self) -> Option<CloseCode> {
        match self.connection.quic.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                CloseCode::from_code(close.error_code.into_inner())
            }
            _ => None,
        }
    }
}
