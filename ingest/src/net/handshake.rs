//! From a connection attempt to an authenticated connection, or to the cause of the failed handshake.
//!
//! Owner: the task of the connection. Bounds: the caller's deadline and `listen.handshakes_max`.
//! A client that resumes a TLS session may send early data (0-RTT): the ticket authenticates it and works only once
//! (`tickets.rs`), so its stream is served before the handshake is complete. The server reads nothing from any other
//! client before its handshake is complete. Authorization is the session's task.

use muster_wire::CloseCode;
use quinn::{
    Connecting, Connection, ConnectionError, RecvStream, SendStream, TransportErrorCode, VarInt,
    ZeroRttAccepted,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::quotas::Permit;
use crate::metrics::HandshakeFailure;

/// The first of the QUIC error codes that are TLS alerts (RFC 9001, 4.8).
const TLS_ALERTS: u64 = 0x100;

/// The first stream of a connection. Boxed: it lives only until the session opens, but every task would pay for its
/// size.
pub(super) type Stream = Box<(SendStream, RecvStream)>;

/// An authenticated connection.
pub(super) struct Established {
    pub(super) connection: Connection,
    /// If a stream came in early data: the stream, and the future that resolves when the handshake is complete.
    pub(super) early: Option<(Stream, ZeroRttAccepted)>,
}

/// Waits until the handshake is complete, or for a stream in early data. The caller bounds the time.
pub(super) async fn establish(connecting: Connecting) -> Result<Established, ConnectionError> {
    // `into_0rtt` of a server always succeeds. Until the handshake is complete the server must not send: the client is
    // not authenticated, unless it resumes. Only a resuming client can open a stream that early, in early data.
    let (connection, mut complete) = match connecting.into_0rtt() {
        Ok(both) => both,
        Err(connecting) => {
            let connection = connecting.await?;
            let early = None;
            return Ok(Established { connection, early });
        }
    };
    let early = tokio::select! {
        biased;
        // A server ignores its value: it says whether a client's early data was accepted.
        _ = &mut complete => match connection.close_reason() {
            Some(error) if !was_closed_by_client(&connection, &error) => return Err(error),
            _ => None,
        },
        stream = connection.accept_bi() => Some((Box::new(stream?), complete)),
    };
    Ok(Established { connection, early })
}

/// Whether an authenticated client closed the connection itself: a short connection, not a failed handshake. QUIC
/// replaces close codes sent before the handshake is complete with APPLICATION_ERROR (RFC 9000, 10.2.3).
fn was_closed_by_client(connection: &Connection, error: &ConnectionError) -> bool {
    let was_closed = match error {
        ConnectionError::ApplicationClosed(_) => true,
        ConnectionError::ConnectionClosed(close) => {
            close.error_code == TransportErrorCode::APPLICATION_ERROR
        }
        _ => false,
    };
    was_closed && connection.peer_identity().is_some()
}

/// A handshake that completes in the background of a session that began with early data.
#[derive(Debug)]
pub(super) struct Handshake(JoinHandle<bool>);

impl Handshake {
    /// Spawns the task. It holds the permit until the handshake is complete, and closes the connection at the deadline.
    pub(super) fn spawn(
        connection: Connection,
        complete: ZeroRttAccepted,
        permit: Permit,
        deadline: Instant,
    ) -> Self {
        Self(tokio::spawn(async move {
            let in_time = tokio::time::timeout_at(deadline, complete).await.is_ok();
            if !in_time {
                close(&connection, CloseCode::HelloTimeout);
            }
            drop(permit);
            in_time
        }))
    }

    /// Waits for the end of the handshake; returns whether it was complete before the deadline. Until then a close code
    /// cannot be sent (RFC 9000, 10.2.3), and the client has no ticket for its next connection.
    pub(super) async fn end(self) -> bool {
        // Fails only when the runtime shuts down.
        self.0.await.unwrap_or(true)
    }
}

/// Closes a connection with a code.
pub(super) fn close(connection: &Connection, code: CloseCode) {
    let number = VarInt::from_u32(code.code());
    connection.close(number, code.name().as_bytes());
}

/// The cause of a failed handshake, by its TLS alert.
pub(super) fn failure(error: &ConnectionError) -> HandshakeFailure {
    let code = match error {
        ConnectionError::TransportError(error) => u64::from(error.code),
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => return HandshakeFailure::Other,
    };
    // RFC 8446, 6: the numbers of the alerts.
    match code.checked_sub(TLS_ALERTS) {
        Some(116) => HandshakeFailure::CertificateMissing,
        Some(48) => HandshakeFailure::CertificateUntrusted,
        Some(45) => HandshakeFailure::CertificateExpired,
        Some(42 | 43 | 44 | 46 | 51) => HandshakeFailure::CertificateInvalid,
        Some(120) => HandshakeFailure::ProtocolUnknown,
        _ => HandshakeFailure::Other,
    }
}
