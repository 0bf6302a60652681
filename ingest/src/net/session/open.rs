//! Opens a session: authentication, authorization and version negotiation.
//!
//! Owner: the task of the connection. Bounded by `listen.hello_timeout` and the quotas of the tenant.

use std::sync::Arc;

use muster_wire::{CloseCode, Identity, Subject};
use quinn::{Connection, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use super::core::{PendingSession, Principal};
use super::{CHUNK_BYTES_MAX, End, Session};
use crate::config::GATEWAY_RECEIVE_WINDOW;
use crate::net::context::ListenerContext;
use crate::net::handshake::Stream;
use crate::net::quotas::Quotas;
use crate::pki;

/// Maximum number of chunks (one per packet) of one read from a device's stream, and from a gateway's.
const DEVICE_CHUNKS: usize = 1;
const GATEWAY_CHUNKS: usize = 64;

impl Session {
    /// Authenticates the client, waits for its Hello until `deadline`, and answers it. Accepts the stream unless it
    /// came in early data. On an error the stream stays with the caller.
    pub(super) async fn open(
        connection: Connection,
        stream: &mut Option<Stream>,
        deadline: Instant,
        quotas: &Quotas,
        context: Arc<ListenerContext>,
    ) -> Result<(Box<Self>, bytes::Bytes), End> {
        let principal = Principal::admit(identity(&connection, &context)?, &context)?;
        let Some(permit) = quotas.of_tenant(&principal.tenant, &context) else {
            context.metrics.over_tenant_share.add(1);
            return Err(CloseCode::TooManyConnections.into());
        };
        let mut pending = PendingSession::default();
        let hello = hello(&connection, stream, &mut pending);
        let (version, rest) = match tokio::time::timeout_at(deadline, hello).await {
            Ok(heard) => heard?,
            Err(_) => return Err(CloseCode::HelloTimeout.into()),
        };
        // Never `None`: the Hello came on it.
        let (mut send, receive) = *stream.take().ok_or(CloseCode::Internal)?;
        // After the Hello, which fits into the small window, so that a mere connection takes no memory of the quota.
        let wanted = match &principal.identity.subject {
            Subject::Device(_) => None,
            // A gateway without a permit keeps the window of a device: slower, but not refused.
            Subject::Gateway(_) => {
                let bytes = GATEWAY_RECEIVE_WINDOW as usize;
                quotas.window(&principal.tenant, bytes, &context)
            }
        };
        let (chunks, window) = match wanted {
            Some(window) => {
                connection.set_receive_window(VarInt::from_u32(GATEWAY_RECEIVE_WINDOW));
                (GATEWAY_CHUNKS, Some(window))
            }
            None => (DEVICE_CHUNKS, None),
        };
        let remote = connection.remote_address();
        let mut core = pending.open(version, principal, remote, Arc::clone(&context));
        match tokio::time::timeout_at(deadline, send.write_all(core.out())).await {
            Ok(written) => written?,
            Err(_) => return Err(CloseCode::HelloTimeout.into()),
        }
        core.out().clear();
        let session = Box::new(Self {
            core,
            connection,
            send,
            receive,
            chunks: vec![bytes::Bytes::new(); chunks].into_boxed_slice(),
            phase: context.phase.watch(),
            frame_since: None,
            end: End::Gone,
            handshake: None,
            _permits: (permit, window),
            context,
        });
        Ok((session, rest))
    }
}

/// The identity in the certificate that this handshake has verified, or an earlier one whose TLS session it resumes. In
/// the latter case it is available before the handshake is complete.
fn identity(connection: &Connection, context: &ListenerContext) -> Result<Identity, End> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .ok_or(CloseCode::IdentityMissing)?;
    // Certificates are valid by calendar time, not by the service time; see `Clock::wall`.
    let identity = pki::identity_at(context.clock.wall(), &chain);
    identity.map_err(|error| error.close_code().into())
}

/// Waits for the Hello. Returns the negotiated version and the bytes that followed the Hello; `stream` is set then.
async fn hello(
    connection: &Connection,
    stream: &mut Option<Stream>,
    pending: &mut PendingSession,
) -> Result<(u16, bytes::Bytes), End> {
    let (_, receive) = &mut **match stream {
        Some(early) => early,
        None => {
            let accepted = connection.accept_bi().await.map_err(|_| End::Gone)?;
            stream.insert(Box::new(accepted))
        }
    };
    loop {
        let Some(chunk) = receive.read_chunk(CHUNK_BYTES_MAX, true).await? else {
            return Err(pending.finish().into());
        };
        let chunk = chunk.bytes;
        let mut rest: &[u8] = &chunk;
        if let Some(version) = pending.take(&mut rest)? {
            let rest = chunk.slice(chunk.len() - rest.len()..);
            return Ok((version, rest));
        }
    }
}
