//! The reasons for which a server rejects a record, and the entry of an Ack for a rejected or stale record.
//!
//! Bounds: the table is closed for a server. A client accepts unknown codes, because every rejection means the same to
//! it: do not send this record again. What it does not do: count; the session has the counters.

use std::fmt;

use crate::{device_id::DeviceId, error::DecodeError, frame_kind::FrameKind};

macro_rules! reject_table {
    ( $( $reason:ident = $code:literal, $name:literal, $meaning:literal; )+ ) => {
        /// Why a server rejects a record. The record changed nothing and must not be sent again unchanged.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum RejectReason {
            $( #[doc = $meaning] $reason = $code, )+
        }

        impl RejectReason {
            /// Every reason, in ascending order of code.
            pub const ALL: &[Self] = &[ $( Self::$reason, )+ ];

            /// The reason with this code, or `None` if there is none.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $( $code => Some(Self::$reason), )+
                    _ => None,
                }
            }

            /// The code on the wire.
            #[must_use]
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The name in metrics, logs and documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$reason => $name, )+
                }
            }

            /// What the reason means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $( Self::$reason => $meaning, )+
                }
            }
        }
    };
}

reject_table! {
    UnknownPlatform = 1, "unknownPlatform", "The platform code is not in the table.";
    UnknownManagementAgent = 2, "unknownManagementAgent",
        "The management agent code is not in the table.";
    UnknownRisk = 3, "unknownRisk", "The risk code is not in the table.";
    UnknownPartnerThreatState = 4, "unknownPartnerThreatState",
        "The partner threat state code is not in the table.";
    UnknownOnboarding = 5, "unknownOnboarding", "The onboarding code is not in the table.";
    ReservedNotZero = 6, "reservedNotZero", "A reserved byte or flag bit is set.";
    DeviceIdZero = 7, "deviceIdZero", "The device id is all zero.";
    SeqZero = 8, "seqZero", "The sequence number (or inventory revision) is zero.";
    IdentityMismatch = 9, "identityMismatch", "The certificate does not allow check-ins of this device.";
    UnknownDevice = 10, "unknownDevice", "The tenant does not accept unknown devices.";
    InvalidInventory = 11, "invalidInventory",
        "The inventory archive is not in the form of section 7 or exceeds a limit.";
    DeviceLimit = 12, "deviceLimit", "The server's limit of devices is reached.";
    UnknownOwner = 13, "unknownOwner", "The owner code is not in the table.";
    SeqAhead = 14, "seqAhead",
        "The sequence number (or inventory revision) is too far ahead of the stored one and of the clock.";
    DeviceRemoved = 15, "deviceRemoved", "An operator has removed the device, and its retention has not ended.";
}

impl RejectReason {
    /// The position in [`Self::ALL`], for counters.
    #[must_use]
    pub const fn index(self) -> usize {
        // The codes have no gaps and start at 1, which a test checks.
        self.code() as usize - 1
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// The reason code of a record that is listed because it is stale. It is counted as stale and not as rejected.
pub const STALE_CODE: u8 = 0;

/// The latest number that a server has of a device; 0 if it has none. The device continues after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stored {
    /// The seq of its check-ins.
    Seq(u64),
    /// The revision of its inventory.
    Revision(u32),
}

impl Stored {
    /// Code and number on the wire.
    pub(crate) const fn encode(stored: Option<Self>) -> (u8, u64) {
        match stored {
            None => (0, 0),
            Some(Self::Seq(seq)) => (1, seq),
            Some(Self::Revision(revision)) => (2, revision as u64),
        }
    }

    /// Reads [`Stored::encode`] in a frame of this kind.
    pub(crate) fn decode(
        kind: FrameKind,
        code: u8,
        number: u64,
    ) -> Result<Option<Self>, DecodeError> {
        let stored = match (code, u32::try_from(number)) {
            (0, Ok(0)) => None,
            (1, _) => Some(Self::Seq(number)),
            (2, Ok(revision)) => Some(Self::Revision(revision)),
            _ => return Err(DecodeError::ReservedNotZero { kind }),
        };
        Ok(stored)
    }
}

/// A rejected record, as listed in an Ack; or a stale one, which an Ack lists with the stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// The device id in the record, which may be [`DeviceId::ZERO`].
    pub device_id: DeviceId,
    /// The check-in's sequence number, or the inventory's revision.
    pub seq: u64,
    /// What the server has of the device, in a stale record and with [`RejectReason::SeqAhead`].
    pub stored: Option<Stored>,
    /// The code of the reason; see [`Rejection::reason`]. [`STALE_CODE`] in a stale record.
    pub reason_code: u8,
}

impl Rejection {
    /// The rejection of one record.
    #[must_use]
    pub const fn new(device_id: DeviceId, seq: u64, reason: RejectReason) -> Self {
        Self {
            device_id,
            seq,
            stored: None,
            reason_code: reason.code(),
        }
    }

    /// The entry of a record whose number is too far ahead.
    #[must_use]
    pub const fn ahead(device_id: DeviceId, seq: u64, stored: Stored) -> Self {
        Self {
            device_id,
            seq,
            stored: Some(stored),
            reason_code: RejectReason::SeqAhead.code(),
        }
    }

    /// The entry of a stale record.
    #[must_use]
    pub const fn stale(device_id: DeviceId, seq: u64, stored: Stored) -> Self {
        Self {
            device_id,
            seq,
            stored: Some(stored),
            reason_code: STALE_CODE,
        }
    }

    /// Whether the record is stale, and not rejected.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.reason_code == STALE_CODE
    }

    /// The reason; `None` in a stale record, and if a newer server sent one that is not in this table.
    #[must_use]
    pub const fn reason(&self) -> Option<RejectReason> {
        RejectReason::from_code(self.reason_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_dense_from_one_and_reversible() {
        for (index, reason) in RejectReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(RejectReason::from_code(reason.code()), Some(*reason));
        }
        assert_eq!(RejectReason::from_code(0), None);
        assert_eq!(RejectReason::from_code(16), None);
    }

    #[test]
    fn a_reason_of_a_newer_server_is_kept_as_a_code() {
        let rejection = Rejection {
            device_id: DeviceId::ZERO,
            seq: 1,
            stored: None,
            reason_code: 200,
        };
        assert_eq!(rejection.reason(), None);
        assert!(!rejection.is_stale());
    }

    #[test]
    fn a_stale_record_is_not_rejected_and_one_ahead_is() {
        let stale = Rejection::stale(DeviceId::ZERO, 1, Stored::Seq(5));
        assert_eq!((stale.is_stale(), stale.reason()), (true, None));
        let ahead = Rejection::ahead(DeviceId::ZERO, 9, Stored::Revision(0));
        let reason = Some(RejectReason::SeqAhead);
        assert_eq!((ahead.is_stale(), ahead.reason()), (false, reason));
    }

    #[test]
    fn a_stored_number_has_one_encoding() {
        for stored in [
            None,
            Some(Stored::Seq(0)),
            Some(Stored::Seq(u64::MAX)),
            Some(Stored::Revision(u32::MAX)),
        ] {
            let (code, number) = Stored::encode(stored);
            assert_eq!(Stored::decode(FrameKind::Ack, code, number), Ok(stored));
        }
        for (code, number) in [(0, 1), (2, 1 << 32), (3, 0)] {
            let refused = Stored::decode(FrameKind::Ack, code, number);
            assert!(refused.is_err(), "{code} {number}");
        }
    }
}
