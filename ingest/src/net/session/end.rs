//! How a session ends, and with which code: the codes of docs/reference/PROTOCOL.md, "How a client ends a stream".
//!
//! A connection that is alive always ends with a code: without one the peer would see 0, which is `done`.

use muster_wire::CloseCode;
use quinn::{Connection, ReadError, WriteError};

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// We close, with this code.
    Close(CloseCode),
    /// The connection is lost, or the peer closed it.
    Gone,
}

impl End {
    /// Its code: ours, or the one with which the peer closed.
    pub(super) fn code(self, connection: &Connection) -> Option<CloseCode> {
        match self {
            Self::Close(code) => Some(code),
            Self::Gone => connection
                .close_reason()
                .and_then(|reason| peer_code(&reason)),
        }
    }
}

impl From<CloseCode> for End {
    fn from(code: CloseCode) -> Self {
        Self::Close(code)
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(_) => Self::Gone,
            // An end of the stream without the frames that were on their way.
            ReadError::Reset(_) => CloseCode::TruncatedFrame.into(),
            // A fault of the session itself, which reads in order and never stops its own side.
            ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => CloseCode::Internal.into(),
        }
    }
}

impl From<WriteError> for End {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(_) => Self::Gone,
            // What the client does not want to read cannot be acknowledged.
            WriteError::Stopped(_) => CloseCode::StreamStopped.into(),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => CloseCode::Internal.into(),
        }
    }
}

/// The code with which the peer closed.
fn peer_code(reason: &quinn::ConnectionError) -> Option<CloseCode> {
    match reason {
        quinn::ConnectionError::ApplicationClosed(close) => {
            CloseCode::from_code(close.error_code.into_inner())
        }
        _ => None,
    }
}
