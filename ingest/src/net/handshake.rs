//! Reads from a failed handshake what the peer got wrong.

use quinn::ConnectionError;

use crate::metrics::HandshakeFailure;

/// QUIC codes from here on are TLS alerts (RFC 9001, 4.8).
const TLS_ALERTS: u64 = 0x100;

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
