//! From an attempt to a connection whose other end is known, or to what the peer got wrong.
//!
//! A client that resumes a session may send along what it has to say (early data, 0-RTT): who holds the session is
//! proven by then, and it works once (`tickets.rs`), so its stream is served without waiting for the rest of the
//! handshake. Of everybody else nothing is read before the handshake is complete.

use muster_wire::CloseCode;
use quinn::{
    Connecting, Connection, ConnectionError, RecvStream, SendStream, TransportErrorCode, VarInt,
    ZeroRttAccepted,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::quotas::Permit;
use crate::metrics::HandshakeFailure;

/// QUIC codes from here on are TLS alerts (RFC 9001, 4.8).
const TLS_ALERTS: u64 = 0x100;

/// The first stream of a connection. Boxed: it is on its way only for a moment, and every session pays for its size.
pub(super) type Stream = Box<(SendStream, RecvStream)>;

/// A connection whose other end is known.
pub(super) struct Established {
    pub(super) connection: Connection,
    /// If a stream came with early data: that, and what tells the end of the handshake.
    pub(super) early: Option<(Stream, ZeroRttAccepted)>,
}

/// Waits for the end of the handshake, or for a stream in early data. Bounded by the caller.
pub(super) async fn establish(connecting: Connecting) -> Result<Established, ConnectionError> {
    // A server can always look before the end. It must not speak then: the other end may be anybody, unless it
    // resumes. Only early data can bring a stream before the end, and only who resumes can send that.
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
        // What it says means nothing to a server.
        _ = &mut complete => match connection.close_reason() {
            Some(error) if !is_farewell(&connection, &error) => return Err(error),
            _ => None,
        },
        stream = connection.accept_bi() => Some((Box::new(stream?), complete)),
    };
    Ok(Established { connection, early })
}

/// Whether somebody who is known by now has left by itself: it was a connection, if a short one. Close codes that are
/// sent before the end of a handshake stand as one code of QUIC (RFC 9000, 10.2.3).
fn is_farewell(connection: &Connection, error: &ConnectionError) -> bool {
    let by_itself = match error {
        ConnectionError::ApplicationClosed(_) => true,
        ConnectionError::ConnectionClosed(close) => {
            close.error_code == TransportErrorCode::APPLICATION_ERROR
        }
        _ => false,
    };
    by_itself && connection.peer_identity().is_some()
}

/// A handshake that goes on beside its session.
#[derive(Debug)]
pub(super) struct Handshake(JoinHandle<bool>);

impl Handshake {
    /// Holds its permit until it has ended, and closes the connection if it has not at the deadline.
    pub(super) fn go_on(
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

    /// Waits until it has ended; returns whether it did in time. Before that the other end could not be told why it is
    /// closed, since the codes of an application may not be sent (RFC 9000, 10.2.3), and has no ticket to come back
    /// with.
    pub(super) async fn end(self) -> bool {
        // Fails only where the runtime ends.
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
