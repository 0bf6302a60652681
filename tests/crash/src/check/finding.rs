//! The findings of a check.

use std::fmt;

use muster_engine::FacetWord;
use muster_wire::Digest;

use super::device_name;
use crate::environment::TENANTS;
use crate::ledger::{DeviceKey, Kind};

/// Something wrong that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A device is older than its acknowledged state, or than an earlier recovered state.
    Behind {
        /// The device.
        device: DeviceKey,
        /// The kind of record.
        kind: Kind,
        /// The lowest number that it may have.
        floor: u64,
        /// The number that it has; 0 if it is missing.
        found: u64,
        /// Number of lost records.
        lost: u64,
    },
    /// A device has a record that no client sent.
    NeverSent {
        /// The device.
        device: DeviceKey,
        /// The kind of record.
        kind: Kind,
        /// The number that it has.
        number: u64,
    },
    /// A device has the right number with other content.
    ContentMismatch {
        /// The device.
        device: DeviceKey,
        /// The kind of record.
        kind: Kind,
        /// The number that it has.
        number: u64,
        /// The digest that was sent with the number.
        sent: Digest,
        /// The digest on disk.
        found: Option<Digest>,
    },
    /// A device is listed twice.
    DuplicateDevice(DeviceKey),
    /// A recount differs from the counters, or from the number of devices on disk.
    Recount {
        /// Which recount.
        context: &'static str,
        /// Devices that it counted.
        counted: u64,
        /// Devices on disk.
        listed: u64,
        /// Cells that differ.
        differing_cells: u64,
    },
    /// A running server counts another number of devices in a cell than were on disk.
    Cell {
        /// Index of the tenant.
        tenant: usize,
        /// The facets of the cell.
        facets: FacetWord,
        /// Devices on disk.
        expected: u64,
        /// Devices that the server counts.
        counted: u64,
    },
    /// The answers on a connection do not follow from the recovered state and the frames.
    Answers {
        /// Name of the connection.
        connection: String,
        /// Accepted, duplicate, stale.
        expected: [u64; 3],
        /// Accepted, duplicate, stale, rejected.
        answered: [u64; 4],
    },
    /// A server does something that it must never do, whatever its state.
    Behavior(String),
}

impl Finding {
    /// Number of lost acknowledged records.
    pub const fn lost(&self) -> u64 {
        match self {
            Self::Behind { lost, .. } => *lost,
            // The record that was sent, and perhaps acknowledged, is not on disk.
            Self::ContentMismatch { .. } => 1,
            _ => 0,
        }
    }

    /// By how much counters are off.
    pub const fn drift(&self) -> u64 {
        match self {
            Self::Recount {
                counted,
                listed,
                differing_cells,
                ..
            } => {
                let drift = counted.abs_diff(*listed) + *differing_cells;
                // A recount that is not verified counts as a drift even if its numbers agree.
                if drift == 0 { 1 } else { drift }
            }
            Self::Cell {
                expected, counted, ..
            } => expected.abs_diff(*counted),
            Self::DuplicateDevice(_) => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind {
                device,
                kind,
                floor,
                found,
                lost,
            } => write!(
                out,
                "{}: {} {floor} was acknowledged or recovered before, {found} is on disk ({lost} lost)",
                device_name(*device),
                kind.name(),
            ),
            Self::NeverSent {
                device,
                kind,
                number,
            } => write!(
                out,
                "{}: {} {number} is on disk but was never sent",
                device_name(*device),
                kind.name(),
            ),
            Self::ContentMismatch {
                device,
                kind,
                number,
                sent,
                found,
            } => {
                let found = found.map_or_else(|| "no digest".to_owned(), |found| found.to_string());
                write!(
                    out,
                    "{}: {} {number} was sent with digest {sent}, {found} is on disk",
                    device_name(*device),
                    kind.name(),
                )
            }
            Self::DuplicateDevice(device) => {
                write!(out, "{}: the device is listed twice", device_name(*device))
            }
            Self::Behavior(text) => out.write_str(text),
            counts => counts.fmt_counts(out),
        }
    }
}

impl Finding {
    /// Formats the findings that compare counts.
    fn fmt_counts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recount {
                context,
                counted,
                listed,
                differing_cells,
            } => write!(
                out,
                "the recount {context} is not verified: {counted} devices, {listed} on disk, \
                 {differing_cells} cells differ",
            ),
            Self::Cell {
                tenant,
                facets,
                expected,
                counted,
            } => write!(
                out,
                "{}: the server counts {counted} devices with facets {:#x}, {expected} are on disk",
                TENANTS.get(*tenant).unwrap_or(&"?"),
                facets.0,
            ),
            Self::Answers {
                connection,
                expected,
                answered,
            } => write!(
                out,
                "{connection}: the server answered {answered:?} accepted, duplicate, stale and rejected instead \
                 of {expected:?} and 0 rejected",
            ),
            Self::Behind { .. }
            | Self::NeverSent { .. }
            | Self::ContentMismatch { .. }
            | Self::DuplicateDevice(_)
            | Self::Behavior(_) => unreachable!("fmt formats these"),
        }
    }
}
