//! A server that acknowledges every frame at once and discards it, to measure clients.
//!
//! It speaks the protocol with throwaway certificates and reads only frame headers; its acks promise nothing. Owner:
//! the caller, which may run it on a separate runtime to measure its cost. Bounds: one stream and one receive window
//! per connection. Behind the feature `null-server`, which agents and gateways never enable. What it does not do:
//! enforce the window or any limit.

use std::{io, net::SocketAddr, sync::Arc};

use muster_wire::{
    AckTotals, CloseCode, FrameHeader, FrameKind, Goodbye, ServerHello, encode_ack, encode_goodbye,
    encode_server_hello,
    limits::{CHECK_INS_PER_FRAME_MAX, HEADER_BYTES, INVENTORY_BYTES_MAX},
};
use quinn::{Connection, RecvStream, SendStream, TransportConfig, VarInt};
use tokio::task::JoinHandle;

use crate::{config::Pem, error::ClientError, testing::TestPki};

/// The receive window that the real server grants a gateway, so that flow control costs the same.
const RECEIVE_WINDOW_BYTES: u32 = 4 << 20;

/// More than any client uses, so that a client never waits for the window of this server.
const WINDOW_FRAMES: u16 = 1024;

/// A running null server. It stops when dropped.
#[derive(Debug)]
pub struct NullServer {
    pki: TestPki,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for NullServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NullServer {
    /// Starts on 127.0.0.1, on a port chosen by the operating system. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Socket`].
    pub fn start() -> Result<Self, ClientError> {
        let pki = TestPki::new();
        let mut config = pki.server_config();
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
        transport.receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
        config.transport_config(Arc::new(transport));
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoint = quinn::Endpoint::server(config, local).map_err(socket_error)?;
        let address = endpoint.local_addr().map_err(socket_error)?;
        let task = tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        serve(connection).await;
                    }
                });
            }
        });
        Ok(Self { pki, address, task })
    }

    /// The address it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA certificate that signed its certificate.
    pub fn ca(&self) -> Pem {
        Pem::text(self.pki.ca_pem())
    }

    /// A client certificate with this URI and its private key, accepted by this server.
    pub fn identity(&self, uri: &str) -> Pem {
        Pem::text(self.pki.identity(uri))
    }
}

fn socket_error(error: io::Error) -> ClientError {
    ClientError::Socket(Arc::new(error))
}

async fn serve(connection: Connection) {
    let Ok((send, recv)) = connection.accept_bi().await else {
        return;
    };
    let mut session = Session {
        send,
        totals: AckTotals::default(),
        payload_left: 0,
        header: [0; HEADER_BYTES],
        header_filled: 0,
        outgoing: Vec::new(),
    };
    // It does not matter how the client ends the connection.

    let _ = session.run(recv).await;
    connection.closed().await;
}

/// One connection.
struct Session {
    send: SendStream,
    totals: AckTotals,
    /// Payload bytes of the current frame that have not arrived yet.
    payload_left: usize,
    /// The header of the current frame, of which `header_filled` bytes have arrived.
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    outgoing: Vec<u8>,
}

impl Session {
    /// Serves the stream until it ends or a header is invalid.
    async fn run(&mut self, mut recv: RecvStream) -> Option<()> {
        while let Some(chunk) = recv.read_chunk(usize::MAX, true).await.ok()? {
            let before = self.totals.frames;
            self.receive(&chunk.bytes)?;
            if self.totals.frames > before {
                encode_ack(&mut self.outgoing, &self.totals, &[]);
            }
            if !self.outgoing.is_empty() {
                self.send.write_all(&self.outgoing).await.ok()?;
                self.outgoing.clear();
            }
        }
        self.send.finish().ok()
    }

    /// Parses headers and skips payloads.
    fn receive(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min(bytes.len());
                self.payload_left -= skipped;
                bytes = &bytes[skipped..];
            } else {
                let missing = HEADER_BYTES - self.header_filled;
                let (head, rest) = bytes.split_at(missing.min(bytes.len()));
                self.header[self.header_filled..][..head.len()].copy_from_slice(head);
                self.header_filled += head.len();
                bytes = rest;
                if self.header_filled < HEADER_BYTES {
                    return Some(());
                }
                self.header_filled = 0;
                let header = FrameHeader::from_bytes(&self.header).ok()?;
                self.payload_left = usize::try_from(header.length).ok()?;
            }
            if self.payload_left == 0 && self.header_filled == 0 {
                self.end_frame();
            }
        }
        Some(())
    }

    /// Answers a complete frame.
    fn end_frame(&mut self) {
        let Ok(header) = FrameHeader::from_bytes(&self.header) else {
            return;
        };
        match header.kind {
            FrameKind::Hello => encode_server_hello(
                &mut self.outgoing,
                &ServerHello {
                    version: muster_wire::VERSION_MAX,
                    window_frames: WINDOW_FRAMES,
                    check_ins_per_frame_max: CHECK_INS_PER_FRAME_MAX as u32,
                    inventory_bytes_max: INVENTORY_BYTES_MAX as u32,
                    server_time_ms: 0,
                    next_check_in_seconds: 0,
                },
            ),
            FrameKind::CheckIns | FrameKind::Inventory => {
                self.totals.frames += 1;
                self.totals.accepted += u64::from(header.count);
            }
            FrameKind::Goodbye => {
                encode_goodbye(&mut self.outgoing, Goodbye::new(CloseCode::Done, 0))
            }
            FrameKind::Ack | FrameKind::Busy => {}
        }
    }
}
