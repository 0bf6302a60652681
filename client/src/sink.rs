//! A peer that acknowledges every frame at once and does nothing with it, to measure what sends to it.
//!
//! It speaks the protocol as a server does, on throw-away certificates, and looks at the head of each frame alone:
//! no record is read, judged or kept, so its acks promise nothing. Owner: its caller; a runtime of its own shows what
//! it costs. Bounds: as a server's, a stream for each connection and a window of received bytes. Behind the feature
//! `sink`, which no agent and no gateway turns on. What it does not do: hold a peer to the window or to a limit.

use std::{net::SocketAddr, sync::Arc};

use muster_wire::{
    AckTotals, CloseCode, FrameHeader, FrameKind, Goodbye, ServerHello, encode_ack, encode_goodbye,
    encode_server_hello,
    limits::{CHECK_INS_PER_FRAME_MAX, HEADER_BYTES, INVENTORY_BYTES_MAX},
};
use quinn::{Connection, RecvStream, SendStream, TransportConfig, VarInt};
use tokio::task::JoinHandle;

use crate::{config::Pem, error::ClientError, testing::TestPki};

/// As a server gives a gateway, so that flow control costs the same.
const RECEIVE_WINDOW_BYTES: u32 = 4 << 20;

/// More than any client asks for: the sink is never what a client waits for.
const WINDOW_FRAMES: u16 = 1024;

/// A running sink; it ends with its owner.
#[derive(Debug)]
pub struct Sink {
    pki: TestPki,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    /// Starts on a port of 127.0.0.1 that the system chooses. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Socket`].
    pub fn start() -> Result<Self, ClientError> {
        let socket = |error| ClientError::Socket(Arc::new(error));
        let pki = TestPki::new();
        let mut config = pki.server_config();
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
        transport.receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
        config.transport_config(Arc::new(transport));
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoint = quinn::Endpoint::server(config, local).map_err(socket)?;
        let address = endpoint.local_addr().map_err(socket)?;
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

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority of its certificate.
    pub fn ca(&self) -> Pem {
        Pem::text(self.pki.ca_pem())
    }

    /// A certificate and key that it accepts, with this URI as the name.
    pub fn identity(&self, uri: &str) -> Pem {
        Pem::text(self.pki.identity(uri))
    }
}

async fn serve(connection: Connection) {
    let Ok((send, recv)) = connection.accept_bi().await else {
        return;
    };
    let mut session = Session {
        send,
        totals: AckTotals::default(),
        skip: 0,
        header: [0; HEADER_BYTES],
        header_length: 0,
        out: Vec::new(),
    };
    // However the peer ends, there is nothing to do about it.
    let _ = session.run(recv).await;
    connection.closed().await;
}

/// One connection.
struct Session {
    send: SendStream,
    totals: AckTotals,
    /// Bytes of the payload that are still to come.
    skip: usize,
    header: [u8; HEADER_BYTES],
    header_length: usize,
    out: Vec<u8>,
}

impl Session {
    /// Reads to the end of the stream, or to what is no frame.
    async fn run(&mut self, mut recv: RecvStream) -> Option<()> {
        while let Some(chunk) = recv.read_chunk(usize::MAX, true).await.ok()? {
            let before = self.totals.frames;
            self.take(&chunk.bytes)?;
            if self.totals.frames > before {
                encode_ack(&mut self.out, &self.totals, &[]);
            }
            if !self.out.is_empty() {
                self.send.write_all(&self.out).await.ok()?;
                self.out.clear();
            }
        }
        self.send.finish().ok()
    }

    /// Takes in bytes: heads are read, payloads skipped.
    fn take(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
            } else {
                let missing = HEADER_BYTES - self.header_length;
                let (head, rest) = bytes.split_at(missing.min(bytes.len()));
                self.header[self.header_length..][..head.len()].copy_from_slice(head);
                self.header_length += head.len();
                bytes = rest;
                if self.header_length < HEADER_BYTES {
                    return Some(());
                }
                self.header_length = 0;
                self.skip = usize::try_from(self.begin()?).ok()?;
            }
            if self.skip == 0 && self.header_length == 0 {
                self.end();
            }
        }
        Some(())
    }

    /// A head is complete: the length of its payload.
    fn begin(&self) -> Option<u32> {
        FrameHeader::from_bytes(&self.header)
            .ok()
            .map(|header| header.length)
    }

    /// A frame is complete.
    fn end(&mut self) {
        let Ok(header) = FrameHeader::from_bytes(&self.header) else {
            return;
        };
        match header.kind {
            FrameKind::Hello => encode_server_hello(
                &mut self.out,
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
            FrameKind::Goodbye => encode_goodbye(&mut self.out, Goodbye::new(CloseCode::Done, 0)),
            FrameKind::Ack | FrameKind::Busy => {}
        }
    }
}
