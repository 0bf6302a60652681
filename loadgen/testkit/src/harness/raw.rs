//! A hand-written client on plain QUIC, which can do what the real client never does.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use muster_wire::{
    ALPN, Ack, AckTotals, Busy, CheckInBytes, CheckInRecord, ClientHello, Decoder, Goodbye, Item,
    Rejection, Role, ServerHello, encode_check_ins, encode_client_hello, encode_goodbye,
};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::fleet::frame_of;
use super::pki::{Credentials, Pki};
use super::wait;

/// How a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// By a close code of the protocol.
    Application(u64),
    /// By a QUIC transport error code; from 0x100 it is a TLS alert.
    Transport(u64),
    /// For another reason.
    Otherwise(String),
}

impl From<ConnectionError> for Closed {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                Self::Application(close.error_code.into_inner())
            }
            ConnectionError::ConnectionClosed(close) => {
                Self::Transport(u64::from(close.error_code))
            }
            other => Self::Otherwise(other.to_string()),
        }
    }
}

/// A frame from the server, or the end of the stream or connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The server's Hello.
    Hello(ServerHello),
    /// An ack.
    Ack(Ack),
    /// A request to start no new frames for a while.
    Busy(Busy),
    /// A Goodbye.
    Goodbye(Goodbye),
    /// The end of the stream.
    EndOfStream,
    /// The end of the connection.
    Closed(Closed),
}

/// A connection without a stream.
#[derive(Debug)]
pub struct Raw {
    /// Owns the driver of the connection.
    endpoint: Endpoint,
    /// The quinn connection.
    pub connection: Connection,
}

impl Raw {
    /// Connects with these credentials, or without a client certificate.
    pub fn dial(
        server: SocketAddr,
        pki: &Pki,
        credentials: Option<&Credentials>,
    ) -> Result<Self, Closed> {
        Self::dial_with_alpn(server, pki, credentials, ALPN)
    }

    /// Connects with another ALPN protocol.
    pub fn dial_with_alpn(
        server: SocketAddr,
        pki: &Pki,
        credentials: Option<&Credentials>,
        alpn: &[u8],
    ) -> Result<Self, Closed> {
        Self::dial_by(server, client_config(tls(pki, credentials, alpn)))
    }

    /// Connects with a stream receive window of `bytes`.
    pub fn dial_with_window(
        server: SocketAddr,
        pki: &Pki,
        credentials: &Credentials,
        bytes: u32,
    ) -> Result<Self, Closed> {
        let mut config = client_config(tls(pki, Some(credentials), ALPN));
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(bytes.into());
        config.transport_config(Arc::new(transport));
        Self::dial_by(server, config)
    }

    /// Connects; returns a future instead of blocking.
    pub fn dial_async(
        server: SocketAddr,
        pki: &Pki,
        credentials: Option<&Credentials>,
    ) -> impl Future<Output = Result<Self, Closed>> + use<> {
        Self::connect(server, client_config(tls(pki, credentials, ALPN)))
    }

    fn dial_by(server: SocketAddr, config: quinn::ClientConfig) -> Result<Self, Closed> {
        wait(Self::connect(server, config))
    }

    async fn connect(server: SocketAddr, config: quinn::ClientConfig) -> Result<Self, Closed> {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
        let connecting = endpoint
            .connect_with(config, server, "localhost")
            .expect("settings");
        let connection = connecting.await?;
        Ok(Self {
            endpoint,
            connection,
        })
    }

    /// Migrates the connection to another socket.
    pub fn rebind(&self, socket: std::net::UdpSocket) {
        let _context = super::RUNTIME.enter();
        self.endpoint
            .rebind(socket)
            .expect("the socket can be used");
    }

    /// Opens the only stream that the server allows.
    pub fn stream(self) -> Session {
        let opened = wait(self.connection.open_bi());
        let (send, receive) = opened.expect("the server grants one stream");
        let decoder = Decoder::new(Role::Client);
        Session {
            raw: self,
            send,
            receive,
            decoder,
            chunk: Bytes::new(),
        }
    }

    /// Waits for the end of the connection.
    pub fn closed(&self) -> Closed {
        wait(self.connection.closed()).into()
    }
}

/// A connection with its stream.
#[derive(Debug)]
pub struct Session {
    /// The connection.
    pub raw: Raw,
    /// The sending side of the stream.
    pub send: SendStream,
    receive: RecvStream,
    decoder: Decoder,
    chunk: Bytes,
}

impl Session {
    /// Connects and says Hello.
    #[track_caller]
    pub fn open(server: SocketAddr, pki: &Pki, credentials: &Credentials) -> Self {
        let mut session = Raw::dial(server, pki, Some(credentials))
            .expect("it connects")
            .stream();
        session.write(&hello(1, 1));
        match session.reply() {
            Reply::Hello(hello) => assert_eq!(hello.version, 1),
            other => panic!("no Hello but {other:?}"),
        }
        session
    }

    /// Sends raw bytes. Errors are ignored, because the server may have closed the connection.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = wait(self.send.write_all(bytes));
    }

    /// Sends a frame of check-ins.
    pub fn check_ins(&mut self, records: &[CheckInRecord]) {
        let mut bytes = Vec::new();
        encode_check_ins(&mut bytes, records).expect("a frame");
        self.write(&bytes);
    }

    /// Sends a frame of records that need not be valid.
    pub fn records(&mut self, records: &[CheckInBytes]) {
        self.write(&frame_of(records));
    }

    /// Stops the receiving side of the stream.
    pub fn stop_reading(&mut self) {
        let _ = self.receive.stop(0_u32.into());
    }

    /// Finishes the sending side of the stream.
    pub fn finish(&mut self) {
        let _ = self.send.finish();
    }

    /// Waits for the next reply.
    pub fn reply(&mut self) -> Reply {
        wait(async {
            loop {
                let mut input: &[u8] = &self.chunk;
                let item = self
                    .decoder
                    .next(&mut input)
                    .expect("the server speaks the protocol");
                let reply = item.map(|item| match item {
                    Item::ServerHello(hello) => Reply::Hello(hello),
                    Item::Ack(ack) => Reply::Ack(ack),
                    Item::Busy(busy) => Reply::Busy(busy),
                    Item::Goodbye(goodbye) => Reply::Goodbye(goodbye),
                    other => panic!("a server does not send {other:?}"),
                });
                let used = self.chunk.len() - input.len();
                self.chunk.advance(used);
                if let Some(reply) = reply {
                    return reply;
                }
                match self.receive.read_chunk(usize::MAX, true).await {
                    Ok(Some(chunk)) => self.chunk = chunk.bytes,
                    Ok(None) => return Reply::EndOfStream,
                    Err(_) => return Reply::Closed(self.raw.connection.closed().await.into()),
                }
            }
        })
    }

    /// Reads until `frames` frames are acknowledged; returns the totals and all rejections.
    #[track_caller]
    pub fn acknowledged(&mut self, frames: u64) -> (AckTotals, Vec<Rejection>) {
        let mut rejections = Vec::new();
        loop {
            match self.reply() {
                Reply::Ack(ack) => {
                    rejections.extend(ack.rejections);
                    if ack.totals.frames >= frames {
                        return (ack.totals, rejections);
                    }
                }
                Reply::Busy(_) => (),
                other => panic!("no ack but {other:?}"),
            }
        }
    }

    /// Sends Goodbye, and asserts that the server closes the connection with code 0.
    #[track_caller]
    pub fn goodbye(mut self) {
        let mut bytes = Vec::new();
        encode_goodbye(&mut bytes, Goodbye::new(muster_wire::CloseCode::Done, 0));
        self.write(&bytes);
        while !matches!(self.reply(), Reply::Closed(_) | Reply::EndOfStream) {}
        assert_eq!(self.raw.closed(), Closed::Application(0));
    }
}

/// A client that keeps session tickets and sends early data.
#[derive(Debug)]
pub struct EarlyDataClient(quinn::ClientConfig);

impl EarlyDataClient {
    /// A client with these credentials and no ticket yet.
    pub fn new(pki: &Pki, credentials: &Credentials) -> Self {
        let mut tls = tls(pki, Some(credentials), ALPN);
        tls.enable_early_data = true;
        tls.resumption = rustls::client::Resumption::in_memory_sessions(16);
        Self(client_config(tls))
    }

    /// Connects; returns whether there was a ticket for early data. If so, the handshake is not awaited.
    pub fn dial(&self, server: SocketAddr) -> Result<(Raw, bool), Closed> {
        wait(async {
            let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
            let connecting = endpoint
                .connect_with(self.0.clone(), server, "localhost")
                .expect("settings");
            let (connection, is_early) = match connecting.into_0rtt() {
                Ok((connection, _)) => (connection, true),
                Err(connecting) => (connecting.await?, false),
            };
            let raw = Raw {
                endpoint,
                connection,
            };
            Ok((raw, is_early))
        })
    }
}

/// A ClientHello frame with this range of versions.
pub fn hello(version_min: u16, version_max: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_client_hello(
        &mut bytes,
        &ClientHello {
            version_min,
            version_max,
        },
    );
    bytes
}

fn client_config(tls: rustls::ClientConfig) -> quinn::ClientConfig {
    let tls = QuicClientConfig::try_from(tls).expect("TLS 1.3");
    quinn::ClientConfig::new(Arc::new(tls))
}

/// The TLS configuration of a valid client.
pub fn client_tls(pki: &Pki, credentials: &Credentials) -> rustls::ClientConfig {
    tls(pki, Some(credentials), ALPN)
}

fn tls(pki: &Pki, credentials: Option<&Credentials>, alpn: &[u8]) -> rustls::ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(pki.ca().as_bytes()).expect("a certificate");
    roots.add(ca).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let mut tls = match credentials {
        None => builder.with_no_client_auth(),
        Some(Credentials(pem)) => {
            let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .expect("certificates");
            let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
            builder
                .with_client_auth_cert(chain, key)
                .expect("a key of the certificate")
        }
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls
}
