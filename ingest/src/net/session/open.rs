//! The beginning of a session: who is it, may it come in, which version do we speak.

use std::sync::Arc;

use muster_wire::{
    AckTotals, CloseCode, Decoder, Identity, Item, Role, ServerHello, Subject, encode_server_hello,
};
use quinn::{Connection, RecvStream, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use super::{CHUNK_BYTES_MAX, End, Session};
use crate::clock;
use crate::net::endpoint::GATEWAY_RECEIVE_WINDOW;
use crate::net::listener::ListenerContext;
use crate::pki;
use crate::route::{Router, Window};
use muster_wire::limits::{CHECK_INS_PER_FRAME_MAX, INVENTORY_BYTES_MAX};

/// Chunks (packets' worth) taken from a device's stream at once, and from a gateway's.
const DEVICE_CHUNKS: usize = 1;
const GATEWAY_CHUNKS: usize = 64;

impl Session {
    /// Authenticates, waits for the client's Hello until `deadline`, answers it.
    pub(super) async fn open(
        connection: Connection,
        deadline: Instant,
        context: Arc<ListenerContext>,
    ) -> Result<Self, End> {
        let identity = identity(&connection)?;
        let Some(&tenant) = context.tenants.get(identity.tenant.as_str()) else {
            return Err(CloseCode::UnknownTenant.into());
        };
        let (own_device, window_frames, chunks) = match &identity.subject {
            Subject::Device(device) => (
                Some(*device),
                context.config.window_frames_device,
                DEVICE_CHUNKS,
            ),
            Subject::Gateway(_) => {
                connection.set_receive_window(VarInt::from_u32(GATEWAY_RECEIVE_WINDOW));
                (None, context.config.window_frames_gateway, GATEWAY_CHUNKS)
            }
        };
        let mut decoder = Decoder::new(Role::Server);
        let opening = hello(&connection, &mut decoder);
        let (mut send, receive, version, rest) =
            match tokio::time::timeout_at(deadline, opening).await {
                Ok(opened) => opened?,
                Err(_) => return Err(CloseCode::HelloTimeout.into()),
            };
        let next_check_in_seconds = context.config.next_check_in.get().as_secs() as u32;
        let mut out = Vec::with_capacity(256);
        let hello = ServerHello {
            version,
            window_frames,
            check_ins_per_frame_max: CHECK_INS_PER_FRAME_MAX as u32,
            inventory_bytes_max: INVENTORY_BYTES_MAX as u32,
            server_time_ms: clock::wall().as_millis(),
            next_check_in_seconds,
        };
        encode_server_hello(&mut out, &hello);
        match tokio::time::timeout_at(deadline, send.write_all(&out)).await {
            Ok(written) => written.map_err(|_| End::Gone)?,
            Err(_) => return Err(CloseCode::HelloTimeout.into()),
        }
        out.clear();
        let remote = connection.remote_address();
        let mut session = Self {
            entry: context.registry.enter(identity, remote, clock::wall()),
            connection,
            send,
            receive,
            chunks: vec![bytes::Bytes::new(); chunks].into_boxed_slice(),
            phase: context.phase.watch(),
            own_device,
            decoder,
            router: Router::new(Arc::clone(&context.routes), tenant),
            window: Window::open(window_frames),
            totals: AckTotals {
                policy_revision: context.policy.revision().0,
                next_check_in_seconds,
                ..AckTotals::default()
            },
            out,
            read_at: clock::stamp(),
            frame_records: 0,
            frame_is_open: false,
            frame_since: None,
            client_is_done: false,
            draining: false,
            context,
        };
        session.take_chunk(&rest).await?;
        Ok(session)
    }
}

/// Who speaks, from the certificate that the handshake has verified.
fn identity(connection: &Connection) -> Result<Identity, End> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .ok_or(CloseCode::IdentityMissing)?;
    let certificate = chain.first().ok_or(CloseCode::IdentityMissing)?;
    pki::identity_of(certificate).map_err(|error| error.close_code().into())
}

/// The stream, the version, and whatever the client sent along with its Hello.
async fn hello(
    connection: &Connection,
    decoder: &mut Decoder,
) -> Result<(quinn::SendStream, RecvStream, u16, bytes::Bytes), End> {
    let (send, mut receive) = connection.accept_bi().await.map_err(|_| End::Gone)?;
    loop {
        let chunk = match receive.read_chunk(CHUNK_BYTES_MAX, true).await {
            Ok(Some(chunk)) => chunk.bytes,
            Ok(None) => {
                decoder.finish().map_err(|error| error.close_code())?;
                return Err(CloseCode::TruncatedFrame.into());
            }
            Err(_) => return Err(End::Gone),
        };
        let mut rest: &[u8] = &chunk;
        match decoder
            .next(&mut rest)
            .map_err(|error| error.close_code())?
        {
            None => (),
            Some(Item::ClientHello(hello)) => {
                let version = hello.negotiate().map_err(|error| error.close_code())?;
                let rest = chunk.slice(chunk.len() - rest.len()..);
                return Ok((send, receive, version, rest));
            }
            Some(_) => return Err(CloseCode::UnexpectedFrame.into()),
        }
    }
}
