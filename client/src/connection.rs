//! One connection, from the handshake to the server's Hello, and the messages after it.
//!
//! Purpose: hides QUIC from the driver. Owner: the driver task. Bounds: an attempt takes at most `handshake_timeout`;
//! received bytes wait in QUIC's receive window. What it does not do: retry, or keep a window; see `driver` and
//! `session`.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf, Bytes};
use muster_wire::{
    Ack, Busy, ClientHello, CloseCode, DecodeError, Decoder, Goodbye, Item, Role, ServerHello,
    encode_client_hello, encode_goodbye,
};
use quinn::{ConnectError, ReadError, RecvStream, SendStream, VarInt};

use crate::{
    config::ClientConfig,
    endpoint::Endpoint,
    error::{ClientError, Disconnect, Failure, refusal},
    tls,
};

/// What every connection attempt needs. Clones share their TLS sessions.
#[derive(Debug, Clone)]
pub(crate) struct Dialler {
    pub(crate) endpoint: Endpoint,
    pub(crate) quic: quinn::ClientConfig,
    pub(crate) server: SocketAddr,
    pub(crate) server_name: String,
    pub(crate) handshake_timeout: Duration,
}

/// What a client sends behind its Hello without waiting for the server's. It fits into any window and any limit, and
/// saves a round trip for a device that connects to send one check-in.
#[derive(Debug, Default)]
pub(crate) struct FirstFlight {
    /// A frame with a single check-in.
    pub(crate) check_in: Option<Bytes>,
    /// Whether Goodbye follows, because there is nothing else to send.
    pub(crate) goodbye: bool,
    /// Whether early data is forbidden.
    pub(crate) waits_for_handshake: bool,
}

/// An open connection after both Hellos.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) quic: quinn::Connection,
    pub(crate) send: SendStream,
    pub(crate) reader: MessageReader,
    pub(crate) hello: ServerHello,
    /// Whether the first flight ended with our Goodbye.
    pub(crate) goodbye_sent: bool,
}

/// What a server sends after its Hello.
#[derive(Debug)]
pub(crate) enum Message {
    Ack(Ack),
    Busy(Busy),
    Goodbye(Goodbye),
}

impl Dialler {
    /// Reads the certificates. Connections will run over the socket of `endpoint`.
    pub(crate) fn new(endpoint: &Endpoint, config: &ClientConfig) -> Result<Self, ClientError> {
        config.check()?;
        Ok(Self {
            endpoint: endpoint.clone(),
            quic: tls::quic_config(config)?,
            server: config.server,
            server_name: config.server_name.clone(),
            handshake_timeout: config.handshake_timeout,
        })
    }

    /// Makes one attempt to connect.
    pub(crate) async fn connect(&self, first_flight: &FirstFlight) -> Result<Connection, Failure> {
        tokio::time::timeout(self.handshake_timeout, self.open(first_flight))
            .await
            .unwrap_or(Err(Failure::Retryable(Disconnect::Timeout)))
    }

    async fn open(&self, first_flight: &FirstFlight) -> Result<Connection, Failure> {
        let connecting = self
            .endpoint
            .quic()
            .connect_with(self.quic.clone(), self.server, &self.server_name)
            .map_err(connect_failure)?;
        let bytes = first_flight.to_bytes();
        let finish = first_flight.goodbye;
        let connecting = if first_flight.waits_for_handshake {
            Err(connecting)
        } else {
            connecting.into_0rtt()
        };
        let (quic, (send, recv)) = match connecting {
            Ok((quic, accepted)) => {
                let mut stream = open_stream(&quic, &bytes, finish).await?;
                // A server that has restarted or forgotten the session rejects early data unread: send it again. A
                // stream that was opened after the handshake carries no early data.
                if !accepted.await && stream.1.is_0rtt() {
                    stream = open_stream(&quic, &bytes, finish).await?;
                }
                (quic, stream)
            }
            // No session can be resumed, the session does not allow early data, or early data is not wanted.
            Err(connecting) => {
                let quic = connecting.await?;
                let stream = open_stream(&quic, &bytes, finish).await?;
                (quic, stream)
            }
        };
        let mut reader = MessageReader::new(recv);
        let hello = reader.hello().await?;
        Ok(Connection {
            quic,
            send,
            reader,
            hello,
            goodbye_sent: first_flight.goodbye,
        })
    }
}

impl FirstFlight {
    /// Our Hello, and what follows it.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_client_hello(&mut bytes, &ClientHello::CURRENT);
        if let Some(frame) = &self.check_in {
            bytes.extend_from_slice(frame);
        }
        if self.goodbye {
            encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
        }
        bytes
    }
}

/// Opens the stream, writes `bytes` to it, and ends it if `finish` is set.
async fn open_stream(
    quic: &quinn::Connection,
    bytes: &[u8],
    finish: bool,
) -> Result<(SendStream, RecvStream), Failure> {
    let (mut send, recv) = quic.open_bi().await?;
    // With TLS 1.3 the client's handshake completes before the server has verified the certificate, so a refusal shows
    // either here or when the answer is read. The read returns the reason.
    let _ = send.write_all(bytes).await;
    if finish {
        let _ = send.finish();
    }
    Ok((send, recv))
}

impl Connection {
    /// Closes the connection at once with this code.
    pub(crate) fn close(&self, code: CloseCode) {
        self.quic
            .close(VarInt::from_u32(code.code()), code.name().as_bytes());
    }
}

/// The receiving half of the stream. Every method is cancel safe.
#[derive(Debug)]
pub(crate) struct MessageReader {
    stream: RecvStream,
    decoder: Decoder,
    /// Received bytes that are not decoded yet.
    chunk: Bytes,
}

impl MessageReader {
    fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(Role::Client),
            chunk: Bytes::new(),
        }
    }

    async fn hello(&mut self) -> Result<ServerHello, Failure> {
        self.next(|item| match item {
            Item::ServerHello(hello) => Some(hello),
            _ => None,
        })
        .await
    }

    /// The next message from the server. An error means that the connection has ended.
    pub(crate) async fn message(&mut self) -> Result<Message, Failure> {
        self.next(|item| match item {
            Item::Ack(ack) => Some(Message::Ack(ack)),
            Item::Busy(busy) => Some(Message::Busy(busy)),
            Item::Goodbye(goodbye) => Some(Message::Goodbye(goodbye)),
            _ => None,
        })
        .await
    }

    /// The next item that `select` maps to a value. Other items are skipped; the decoder returns none, because it
    /// rejects a frame that is out of order.
    async fn next<T>(&mut self, select: impl Fn(Item<'_>) -> Option<T>) -> Result<T, Failure> {
        loop {
            while let Some(selected) = self.decode(&select)? {
                if let Some(value) = selected {
                    return Ok(value);
                }
            }
            match self.stream.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => self.chunk = chunk.bytes,
                Ok(None) => {
                    self.decoder.finish()?;
                    return Err(Failure::Retryable(Disconnect::StreamEnded));
                }
                Err(error) => return Err(read_failure(error)),
            }
        }
    }

    /// Decodes one item of the chunk; `None` once the chunk is used up.
    fn decode<T>(
        &mut self,
        select: &impl Fn(Item<'_>) -> Option<T>,
    ) -> Result<Option<Option<T>>, DecodeError> {
        let mut input: &[u8] = &self.chunk;
        let item = self.decoder.next(&mut input)?.map(select);
        let used = self.chunk.len() - input.len();
        self.chunk.advance(used);
        Ok(item)
    }
}

fn read_failure(error: ReadError) -> Failure {
    match error {
        ReadError::ConnectionLost(error) => error.into(),
        // The error code of a reset stream is a close code, like that of a closed connection.
        ReadError::Reset(code) => match refusal(code.into_inner()) {
            Some(error) => Failure::Fatal(error),
            None => Failure::Retryable(Disconnect::StreamEnded),
        },
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            Failure::Retryable(Disconnect::StreamEnded)
        }
    }
}

/// These errors come from the configuration or a runtime that shuts down, never from the network.
fn connect_failure(error: ConnectError) -> Failure {
    Failure::Fatal(match error {
        ConnectError::EndpointStopping => ClientError::Stopped,
        error => ClientError::Configuration(error.to_string()),
    })
}
