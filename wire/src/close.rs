//! The close codes, and who must act on each.
//!
//! Purpose: the closed table of QUIC application error codes, used in CONNECTION_CLOSE and in Goodbye. What it does not
//! define: failures of the TLS handshake, which are TLS alerts (QUIC error code 0x100 + alert).

use std::fmt;

/// Who must act before a connection can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// No one: the connection ended normally, or the cause is temporary. Reconnect as usual.
    None,
    /// The developer of the client, which violates the protocol. Reconnecting does not help.
    ClientDeveloper,
    /// The operator who issues certificates or creates tenants. Reconnecting does not help before that.
    ClientOperator,
    /// The operator of the server. Clients reconnect with backoff.
    ServerOperator,
}

impl Actor {
    /// The name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientDeveloper => "client developer",
            Self::ClientOperator => "client operator",
            Self::ServerOperator => "server operator",
        }
    }
}

macro_rules! close_table {
    ( $( $close:ident = $code:literal, $name:literal, $actor:ident, $meaning:literal; )+ ) => {
        /// The code with which a connection is closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum CloseCode {
            $( #[doc = $meaning] $close = $code, )+
        }

        impl CloseCode {
            /// Every code, in ascending order.
            pub const ALL: &[Self] = &[ $( Self::$close, )+ ];

            /// The member with this QUIC application error code, or `None` if there is none.
            #[must_use]
            pub const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $( $code => Some(Self::$close), )+
                    _ => None,
                }
            }

            /// The QUIC application error code.
            #[must_use]
            pub const fn code(self) -> u32 {
                self as u32
            }

            /// The name in metrics, logs and documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$close => $name, )+
                }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $( Self::$close => $meaning, )+
                }
            }

            /// Who must act.
            #[must_use]
            pub const fn actor(self) -> Actor {
                match self {
                    $( Self::$close => Actor::$actor, )+
                }
            }
        }
    };
}

close_table! {
    Done = 0, "done", None, "The client sent Goodbye and everything is acknowledged.";
    Internal = 0x01, "internal", ServerOperator,
        "The session failed inside the server; its log says why.";
    UnsupportedVersion = 0x10, "unsupportedVersion", ClientDeveloper,
        "Client and server have no protocol version in common.";
    MalformedFrame = 0x11, "malformedFrame", ClientDeveloper,
        "A frame is not what this document describes.";
    FrameTooLarge = 0x12, "frameTooLarge", ClientDeveloper,
        "A frame's count or length exceeds its limit.";
    UnexpectedFrame = 0x13, "unexpectedFrame", ClientDeveloper,
        "A frame of this kind is not allowed here.";
    TruncatedFrame = 0x14, "truncatedFrame", ClientDeveloper,
        "The stream ended within a frame or before Hello, or was reset.";
    EmptyFrame = 0x15, "emptyFrame", ClientDeveloper,
        "A frame that must carry records has a count of zero.";
    HelloTimeout = 0x16, "helloTimeout", ClientDeveloper, "No Hello arrived in time.";
    FrameTimeout = 0x17, "frameTimeout", ClientDeveloper,
        "A frame was not complete in time, or the client did not read what the server sent.";
    WindowExceeded = 0x18, "windowExceeded", ClientDeveloper,
        "More frames are unacknowledged than the window allows.";
    StreamStopped = 0x19, "streamStopped", ClientDeveloper,
        "The client stopped the server's side of the stream, so no ack can reach it.";
    IdentityMissing = 0x20, "identityMissing", ClientOperator,
        "The certificate has no muster URI.";
    IdentityInvalid = 0x21, "identityInvalid", ClientOperator,
        "The certificate's muster URI is malformed, or not the only one.";
    UnknownTenant = 0x22, "unknownTenant", ClientOperator, "The server does not serve this tenant.";
    IdentityExpired = 0x23, "identityExpired", ClientOperator,
        "A certificate that the client showed, now or when its TLS session began, is not valid at this time.";
    Draining = 0x30, "draining", None, "The server is shutting down or restarting.";
    Overloaded = 0x31, "overloaded", ServerOperator, "The server sheds load.";
    StoreUnavailable = 0x32, "storeUnavailable", ServerOperator,
        "The server cannot make anything durable.";
    TooManyConnections = 0x33, "tooManyConnections", ServerOperator,
        "A limit of connections is reached.";
}

impl CloseCode {
    /// The position in [`Self::ALL`], for counters.
    #[must_use]
    pub fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|code| *code == self)
            .unwrap_or_default()
    }

    /// Whether the client may reconnect with backoff: neither it nor its certificate has to change.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self.actor(), Actor::None | Actor::ServerOperator)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_reversible_and_ascending() {
        for (index, code) in CloseCode::ALL.iter().enumerate() {
            assert_eq!(CloseCode::from_code(u64::from(code.code())), Some(*code));
            assert_eq!(code.index(), index);
        }
        assert!(CloseCode::ALL.is_sorted());
        assert_eq!(CloseCode::from_code(u64::MAX), None);
    }

    #[test]
    fn a_client_retries_only_temporary_causes() {
        assert!(CloseCode::Draining.is_retryable());
        assert!(CloseCode::StoreUnavailable.is_retryable());
        assert!(!CloseCode::MalformedFrame.is_retryable());
        assert!(!CloseCode::UnknownTenant.is_retryable());
    }
}
