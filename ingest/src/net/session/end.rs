//! How a session ends, and its close code: see docs/reference/PROTOCOL.md, "How a client ends a stream".
//!
//! An open connection is always closed with a code: without one the client would see 0, which is `done`.

use muster_wire::CloseCode;
use quinn::{Connection, ReadError, WriteError};

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server closes the connection with this code.
    Close(CloseCode),
    /// The connection is lost, or the client closed it.
    Gone,
}

impl End {
    /// The close code of the server or of the client.
    pub(super) fn code(self, connection: &Connection) -> Option<CloseCode> {
        match self {
            Self::Close(code) => Some(code),
            Self::Gone => connection
                .close_reason()
                .and_then(|reason| client_code(&reason)),
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
            // The stream ended without the frames in flight.
            ReadError::Reset(_) => CloseCode::TruncatedFrame.into(),
            // A bug of the session, which reads in order and never stops its receive side.
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
            // A client that stops reading cannot receive acks.
            WriteError::Stopped(_) => CloseCode::StreamStopped.into(),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => CloseCode::Internal.into(),
        }
    }
}

/// The close code of the client.
fn client_code(reason: &quinn::ConnectionError) -> Option<CloseCode> {
    match reason {
        quinn::ConnectionError::ApplicationClosed(close) => {
            CloseCode::from_code(close.error_code.into_inner())
        }
        _ => None,
    }
}
