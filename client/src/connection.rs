//! One connection: from nothing to the server's Hello, and what comes after it.
//!
//! Purpose: everything about QUIC that the driver need not know. Owner: the driver task.
//! Bounds: an attempt takes `handshake_timeout` at most; received bytes wait in QUIC's window.
//! What it does not do: no retry and no window; see `driver` and `session`.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf, Bytes};
use muster_wire::{
    Ack, Busy, ClientHello, CloseCode, DecodeError, Decoder, Goodbye, Item, Role, ServerHello,
    encode_client_hello, encode_goodbye,
};
use quinn::{ConnectError, ReadError, RecvStream, SendStream, VarInt};

use crate::{
    endpoint::Endpoint,
    error::{ClientError, Disconnect, Fault, refused},
};

/// What it takes to connect, the same for every attempt. Clones share their TLS sessions.
#[derive(Debug, Clone)]
pub(crate) struct Dialler {
    pub(crate) endpoint: Endpoint,
    pub(crate) quic: quinn::ClientConfig,
    pub(crate) server: SocketAddr,
    pub(crate) server_name: String,
    pub(crate) handshake_timeout: Duration,
}

/// What a client says at once, without waiting for the server's Hello: it fits into any window and any limit, and
/// spares a device that connects for one check-in a round trip.
#[derive(Debug, Default)]
pub(crate) struct FirstWords {
    /// A frame of one check-in.
    pub(crate) check_in: Option<Bytes>,
    /// Goodbye: there is nothing else to say.
    pub(crate) goodbye: bool,
}

/// An open connection after both Hellos.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) quic: quinn::Connection,
    pub(crate) send: SendStream,
    pub(crate) receiver: Receiver,
    pub(crate) hello: ServerHello,
    /// Whether the first words ended with our Goodbye.
    pub(crate) goodbye_written: bool,
}

/// What a server says after its Hello.
#[derive(Debug)]
pub(crate) enum Message {
    Ack(Ack),
    Busy(Busy),
    Goodbye(Goodbye),
}

impl Dialler {
    /// One attempt.
    pub(crate) async fn connect(&self, words: &FirstWords) -> Result<Connection, Fault> {
        tokio::time::timeout(self.handshake_timeout, self.open(words))
            .await
            .unwrap_or(Err(Fault::Passing(Disconnect::Timeout)))
    }

    async fn open(&self, words: &FirstWords) -> Result<Connection, Fault> {
        let attempt = self
            .endpoint
            .quic()
            .connect_with(self.quic.clone(), self.server, &self.server_name)
            .map_err(invalid)?;
        let bytes = words.to_bytes();
        let (quic, (send, recv)) = match attempt.into_0rtt() {
            Ok((quic, accepted)) => {
                let mut stream = speak(&quic, &bytes, words.goodbye).await?;
                // Not taken by a server that was restarted or has forgotten the session: it has read nothing. A
                // stream that was opened only after the handshake was never early.
                if !accepted.await && stream.1.is_0rtt() {
                    stream = speak(&quic, &bytes, words.goodbye).await?;
                }
                (quic, stream)
            }
            // No session of an earlier connection allows it.
            Err(attempt) => {
                let quic = attempt.await?;
                let stream = speak(&quic, &bytes, words.goodbye).await?;
                (quic, stream)
            }
        };
        let mut receiver = Receiver::new(recv);
        let hello = receiver.hello().await?;
        Ok(Connection {
            quic,
            send,
            receiver,
            hello,
            goodbye_written: words.goodbye,
        })
    }
}

impl FirstWords {
    /// Our Hello, and the rest behind it.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let version_min = muster_wire::VERSION_MIN;
        encode_client_hello(
            &mut bytes,
            &ClientHello {
                version_min,
                version_max: muster_wire::VERSION_MAX,
            },
        );
        if let Some(frame) = &self.check_in {
            bytes.extend_from_slice(frame);
        }
        if self.goodbye {
            encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
        }
        bytes
    }
}

/// Opens the stream and says something on it.
async fn speak(
    quic: &quinn::Connection,
    bytes: &[u8],
    is_all: bool,
) -> Result<(SendStream, RecvStream), Fault> {
    let (mut send, recv) = quic.open_bi().await?;
    // A refused certificate shows here or when the answer is read: with TLS 1.3 a client is done before the server
    // has looked at it. The read has the reason.
    let _ = send.write_all(bytes).await;
    if is_all {
        let _ = send.finish();
    }
    Ok((send, recv))
}

impl Connection {
    /// Closes at once, saying why.
    pub(crate) fn close(&self, code: CloseCode) {
        self.quic
            .close(VarInt::from_u32(code.code()), code.name().as_bytes());
    }
}

/// The receiving half of the stream. Every method is cancel safe.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: RecvStream,
    decoder: Decoder,
    /// Bytes received and not decoded.
    chunk: Bytes,
}

impl Receiver {
    fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(Role::Client),
            chunk: Bytes::new(),
        }
    }

    async fn hello(&mut self) -> Result<ServerHello, Fault> {
        self.next_item(|item| match item {
            Item::ServerHello(hello) => Some(hello),
            _ => None,
        })
        .await
    }

    /// The next message of the server. An error is the end of the connection.
    pub(crate) async fn message(&mut self) -> Result<Message, Fault> {
        self.next_item(|item| match item {
            Item::Ack(ack) => Some(Message::Ack(ack)),
            Item::Busy(busy) => Some(Message::Busy(busy)),
            Item::Goodbye(goodbye) => Some(Message::Goodbye(goodbye)),
            _ => None,
        })
        .await
    }

    /// The next item, of which `pick` makes what the caller wants. The decoder yields no item out of
    /// order, so one that is not wanted cannot come; it would be skipped.
    async fn next_item<T>(&mut self, pick: impl Fn(Item<'_>) -> Option<T>) -> Result<T, Fault> {
        loop {
            while let Some(item) = self.decode(&pick)? {
                if let Some(item) = item {
                    return Ok(item);
                }
            }
            match self.stream.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => self.chunk = chunk.bytes,
                Ok(None) => {
                    self.decoder.finish()?;
                    return Err(Fault::Passing(Disconnect::StreamEnded));
                }
                Err(error) => return Err(read_fault(error)),
            }
        }
    }

    /// Decodes one item of the chunk: `None` when the chunk is used up.
    fn decode<T>(
        &mut self,
        pick: &impl Fn(Item<'_>) -> Option<T>,
    ) -> Result<Option<Option<T>>, DecodeError> {
        let mut input: &[u8] = &self.chunk;
        let item = self.decoder.next(&mut input)?.map(pick);
        let used = self.chunk.len() - input.len();
        self.chunk.advance(used);
        Ok(item)
    }
}

fn read_fault(error: ReadError) -> Fault {
    match error {
        ReadError::ConnectionLost(error) => error.into(),
        // A reset stream carries a close code like a closed connection.
        ReadError::Reset(code) => match refused(code.into_inner()) {
            Some(error) => Fault::Final(error),
            None => Fault::Passing(Disconnect::StreamEnded),
        },
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            Fault::Passing(Disconnect::StreamEnded)
        }
    }
}

/// Nothing about these depends on the network: they are settings, or the end of the runtime.
fn invalid(error: ConnectError) -> Fault {
    Fault::Final(match error {
        ConnectError::EndpointStopping => ClientError::Stopped,
        error => ClientError::Configuration(error.to_string()),
    })
}
