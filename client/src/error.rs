//! The errors that end a client, and those that end a connection.
//!
//! Purpose: a [`ClientError`] ends the client; after a [`Disconnect`] the driver retries. [`Failure`] and the functions
//! below it decide between the two.

use std::{io, net::SocketAddr, sync::Arc};

use muster_wire::{CloseCode, DecodeError, InventoryError};
use quinn::ConnectionError;

use crate::window::AckError;

/// Why a client ended or a call failed. The comment on each variant says who must act.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The configuration has an invalid value. To be fixed in the configuration of the client.
    #[error("invalid client configuration: {0}")]
    Configuration(String),
    /// The CA certificate or the identity cannot be used. To be fixed in the installation of the client.
    #[error("{0}; issue it with `muster pki issue`, or check the path and its permissions")]
    Credentials(String),
    /// A UDP socket cannot be opened. To be fixed by the administrator of the client's machine.
    #[error("cannot open a UDP socket: {0}")]
    Socket(Arc<io::Error>),
    /// The server's certificate was not signed by the configured CA, or is for another name. To be fixed in the
    /// installation of the client or the server.
    #[error("the server's certificate is not trusted ({0}); check the CA file and the server name")]
    ServerNotTrusted(String),
    /// The server refused the client's certificate in the TLS handshake. To be fixed by the issuer of the certificate.
    #[error(
        "the server refused the client's certificate with TLS alert {alert} ({}); issue a new one",
        alert_name(*alert)
    )]
    CertificateRefused {
        /// The number of the TLS alert.
        alert: u8,
    },
    /// The server closed the connection with a code that a retry does not change. To be fixed by [`CloseCode::actor`].
    #[error(
        "the server closed the connection with {code}, to be fixed by the {}: {}",
        code.actor().name(), code.meaning().trim_end_matches('.')
    )]
    Refused {
        /// The close code.
        code: CloseCode,
    },
    /// No connection within `offline_timeout`. To be fixed by the operator of the server or the network.
    #[error(
        "no connection to {server} after {attempts} attempts ({last}); check that the server is running and reachable"
    )]
    Unreachable {
        /// The server's address.
        server: SocketAddr,
        /// Attempts since the last connection that worked.
        attempts: u32,
        /// Why the last attempt failed.
        last: Disconnect,
    },
    /// The server sent bytes that violate the protocol: a bug of the server.
    #[error("the server violated the protocol: {0}")]
    Protocol(#[from] DecodeError),
    /// The server sent an impossible ack: a bug of the server.
    #[error("the server violated the protocol: {0}")]
    Ack(#[from] AckError),
    /// The frame was not sent because it is invalid: a bug of the caller.
    #[error("invalid frame: {0}")]
    InvalidFrame(&'static str),
    /// The inventory was not sent because it exceeds a limit: a bug of the caller.
    #[error("invalid inventory: {0}")]
    InvalidInventory(#[from] InventoryError),
    /// [`crate::Client::close`] did not receive the last acks in time. The caller may send these frames again: a frame
    /// that is already durable has no effect.
    #[error(
        "closed with {unacknowledged} frames not acknowledged within the timeout; send them again"
    )]
    CloseTimeout {
        /// Frames that may or may not be durable.
        unacknowledged: u64,
    },
    /// The client's task has stopped, for example because its tokio runtime has shut down. The caller connects again.
    #[error("the client has stopped; connect again within a running tokio runtime")]
    Stopped,
}

/// Why a connection ended or could not be established. A retry may help.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Disconnect {
    /// No Hello from the server within `handshake_timeout`.
    #[error("the server did not respond within the handshake timeout")]
    Timeout,
    /// The server sent Goodbye.
    #[error("the server sent Goodbye with code {code:#x}")]
    Goodbye {
        /// The close code in it.
        code: u32,
    },
    /// The server ended the stream without Goodbye.
    #[error("the server ended the stream")]
    StreamEnded,
    /// The QUIC connection failed or was closed.
    #[error("{0}")]
    Connection(ConnectionError),
}

/// A failed attempt or a lost connection, and whether to retry.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// A retry may help.
    Retryable(Disconnect),
    /// Every retry would fail the same way.
    Fatal(ClientError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Fatal(error)
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Fatal(error.into())
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        match &error {
            ConnectionError::ApplicationClosed(close) => {
                if let Some(error) = refusal(close.error_code.into_inner()) {
                    return Self::Fatal(error);
                }
            }
            // Raised by our own TLS stack, which does not accept the server's certificate.
            ConnectionError::TransportError(error) if tls_alert(error.code.into()).is_some() => {
                return Self::Fatal(ClientError::ServerNotTrusted(error.reason.clone()));
            }
            ConnectionError::ConnectionClosed(close) => {
                if let Some(alert) = tls_alert(close.error_code.into()) {
                    return Self::Fatal(ClientError::CertificateRefused { alert });
                }
            }
            _ => {}
        }
        Self::Retryable(Disconnect::Connection(error))
    }
}

/// The error for a close code that a retry does not change. An unknown code may come from a newer server, so it is
/// retried.
pub(crate) fn refusal(code: u64) -> Option<ClientError> {
    let code = CloseCode::from_code(code)?;
    (!code.is_retryable()).then_some(ClientError::Refused { code })
}

/// The TLS alert in a QUIC transport error code (RFC 9001, 4.8), except `internal_error`, which is temporary.
fn tls_alert(code: u64) -> Option<u8> {
    const INTERNAL_ERROR: u8 = 80;
    let alert = u8::try_from(code.checked_sub(0x100)?).ok()?;
    (alert != INTERNAL_ERROR).then_some(alert)
}

/// The RFC 8446 names of the alerts that a client may receive.
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

    fn closed_with(code: u32) -> Failure {
        let close = quinn::ApplicationClose {
            error_code: code.into(),
            reason: Default::default(),
        };
        Failure::from(ConnectionError::ApplicationClosed(close))
    }

    #[test]
    fn close_codes_that_are_not_retryable_are_fatal() {
        for code in CloseCode::ALL {
            let is_fatal = matches!(closed_with(code.code()), Failure::Fatal(_));
            assert_eq!(is_fatal, !code.is_retryable(), "{code}");
        }
        assert!(matches!(
            closed_with(CloseCode::UnknownTenant.code()),
            Failure::Fatal(_)
        ));
        assert!(matches!(
            closed_with(CloseCode::Draining.code()),
            Failure::Retryable(_)
        ));
    }

    #[test]
    fn an_unknown_close_code_is_retried() {
        assert!(matches!(closed_with(0x7777), Failure::Retryable(_)));
    }

    #[test]
    fn tls_alerts_are_distinguished_from_other_transport_errors() {
        assert_eq!(tls_alert(0x100 + 48), Some(48));
        assert_eq!(tls_alert(0x100 + 80), None, "internal error of the server");
        assert_eq!(tls_alert(0x2), None, "connection refused");
        assert_eq!(tls_alert(0x200), None);
    }

    #[test]
    fn a_refusal_says_what_happened_and_who_has_to_fix_it() {
        let error = refusal(u64::from(CloseCode::IdentityMissing.code())).unwrap();
        assert_eq!(
            error.to_string(),
            "the server closed the connection with identityMissing, to be fixed by the client operator: \
             The certificate has no muster URI"
        );
    }
}
