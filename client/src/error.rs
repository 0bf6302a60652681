//! What can go wrong for good, and for whom that is a task.
//!
//! Purpose: [`ClientError`] ends a client; everything that may pass by itself is a [`Disconnect`],
//! which the driver answers with another attempt. The functions at the end decide between the two.

use std::{io, net::SocketAddr, sync::Arc};

use muster_wire::{CloseCode, DecodeError, InventoryError};
use quinn::ConnectionError;

use crate::window::AckFault;

/// Why a client has ended or a call was refused. Each variant says who must act.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// A setting cannot work. Whoever configures the client must act.
    #[error("the client's configuration is invalid: {0}")]
    Configuration(String),
    /// The certificate authority or the identity cannot be used. Whoever installs the client must
    /// act.
    #[error("{0}; issue it with `muster pki issue` or check the path and who may read it")]
    Credentials(String),
    /// No UDP socket could be opened. Whoever runs the machine must act.
    #[error("cannot open a UDP socket: {0}")]
    Socket(Arc<io::Error>),
    /// The server's certificate is not one that the configured authority vouches for, or not for
    /// that name. Whoever installs client or server must act.
    #[error(
        "the server's certificate is not trusted ({0}); check the CA file and the server's name"
    )]
    ServerNotTrusted(String),
    /// The server refused the client in the TLS handshake. Whoever issues certificates must act.
    #[error(
        "the server refused the client's certificate with TLS alert {alert} ({}); issue another one",
        alert_name(*alert)
    )]
    CertificateRefused {
        /// The number of the TLS alert.
        alert: u8,
    },
    /// The server closed the connection for a reason that another attempt cannot remove.
    #[error("the server closed the connection with {code}: {} To act: {}", code.meaning(), code.actor().name())]
    Refused {
        /// The close code.
        code: CloseCode,
    },
    /// No connection within `offline_max`. Whoever runs the server or the network must act.
    #[error("no connection to {server} after {attempts} attempts; the last one: {last}")]
    Unreachable {
        /// The server's address.
        server: SocketAddr,
        /// Attempts since the last connection that worked.
        attempts: u32,
        /// Why the last one failed.
        last: Disconnect,
    },
    /// The server sent bytes that are not the protocol. Whoever wrote the server must act.
    #[error("the server breaks the protocol: {0}")]
    Protocol(#[from] DecodeError),
    /// The server acknowledged what cannot be. Whoever wrote the server must act.
    #[error("the server breaks the protocol: {0}")]
    Ack(#[from] AckFault),
    /// The caller's frame is not one; nothing was sent. The caller must act.
    #[error("not a frame that can be sent: {0}")]
    InvalidFrame(&'static str),
    /// The caller's inventory breaks a limit; nothing was sent. The caller must act.
    #[error("not an inventory that can be sent: {0}")]
    InvalidInventory(#[from] InventoryError),
    /// `close` did not get the last acks in time. The frames may or may not be durable; sending them
    /// again is safe.
    #[error("closed with {unacknowledged} frames not acknowledged in time")]
    CloseTimeout {
        /// Frames whose fate is unknown.
        unacknowledged: u64,
    },
    /// The client's task is gone, which happens when its runtime shuts down.
    #[error("the client has been stopped")]
    Stopped,
}

/// Why a connection ended, or did not come about, in a way that another attempt may cure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Disconnect {
    /// No Hello from the server within `handshake_timeout`.
    #[error("no answer in time")]
    Timeout,
    /// The server said Goodbye.
    #[error("the server said goodbye with code {code:#x}")]
    Goodbye {
        /// The close code it announced.
        code: u32,
    },
    /// The server ended the stream without a word.
    #[error("the server ended the stream")]
    StreamEnded,
    /// The connection is gone.
    #[error("{0}")]
    Connection(ConnectionError),
}

/// How to go on after a connection ended.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Another attempt may work.
    Passing(Disconnect),
    /// Another attempt ends the same.
    Final(ClientError),
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        Self::Final(error)
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Final(error.into())
    }
}

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        match &error {
            ConnectionError::ApplicationClosed(close) => {
                if let Some(fault) = refused(close.error_code.into_inner()) {
                    return Self::Final(fault);
                }
            }
            // Our own TLS found fault with the server.
            ConnectionError::TransportError(fault) if alert_of(fault.code.into()).is_some() => {
                return Self::Final(ClientError::ServerNotTrusted(fault.reason.clone()));
            }
            ConnectionError::ConnectionClosed(close) => {
                if let Some(alert) = alert_of(close.error_code.into()) {
                    return Self::Final(ClientError::CertificateRefused { alert });
                }
            }
            _ => {}
        }
        Self::Passing(Disconnect::Connection(error))
    }
}

/// The error for a close code, if another attempt cannot help. A code this client does not know may
/// be of a newer server, so it is tried again.
pub(crate) fn refused(code: u64) -> Option<ClientError> {
    let code = CloseCode::from_code(code)?;
    (!code.is_retryable()).then_some(ClientError::Refused { code })
}

/// The TLS alert in a QUIC transport error code (RFC 9001, 4.8), but for internal errors of the
/// peer, which pass.
fn alert_of(code: u64) -> Option<u8> {
    const INTERNAL_ERROR: u8 = 80;
    let alert = u8::try_from(code.checked_sub(0x100)?).ok()?;
    (alert != INTERNAL_ERROR).then_some(alert)
}

/// The names of RFC 8446, 6 for alerts a client meets.
const fn alert_name(alert: u8) -> &'static str {
    match alert {
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        48 => "unknown_ca",
        49 => "access_denied",
        51 => "decrypt_error",
        70 => "protocol_version",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "see RFC 8446, section 6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed_with(code: u32) -> Fault {
        let close = quinn::ApplicationClose {
            error_code: code.into(),
            reason: Default::default(),
        };
        Fault::from(ConnectionError::ApplicationClosed(close))
    }

    #[test]
    fn close_codes_that_nobody_can_wait_out_are_final() {
        for code in CloseCode::ALL {
            let is_final = matches!(closed_with(code.code()), Fault::Final(_));
            assert_eq!(is_final, !code.is_retryable(), "{code}");
        }
        assert!(matches!(
            closed_with(CloseCode::UnknownTenant.code()),
            Fault::Final(_)
        ));
        assert!(matches!(
            closed_with(CloseCode::Draining.code()),
            Fault::Passing(_)
        ));
    }

    #[test]
    fn an_unknown_close_code_is_tried_again() {
        assert!(matches!(closed_with(0x7777), Fault::Passing(_)));
    }

    #[test]
    fn tls_alerts_are_told_apart_from_other_transport_errors() {
        assert_eq!(alert_of(0x100 + 48), Some(48));
        assert_eq!(alert_of(0x100 + 80), None, "internal error of the peer");
        assert_eq!(alert_of(0x2), None, "connection refused");
        assert_eq!(alert_of(0x200), None);
    }

    #[test]
    fn a_refusal_says_what_happened_and_who_must_act() {
        let error = refused(u64::from(CloseCode::IdentityMissing.code())).unwrap();
        let text = error.to_string();
        assert!(
            text.contains("identityMissing") && text.contains("client operator"),
            "{text}"
        );
    }
}
