//! One thing that is wrong, and how much it counts.

use std::fmt;

use muster_loadgen::oracle::CellName;
use muster_wire::Digest;

use super::named;
use crate::ledger::{DeviceKey, Kind};
use crate::site::TENANTS;

/// What a check found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A device is behind what was acknowledged, or what an earlier recovery showed.
    Behind {
        /// The device.
        device: DeviceKey,
        /// Of which records.
        kind: Kind,
        /// The number it must have at least.
        floor: u64,
        /// The number it has; 0 if it is not there at all.
        found: u64,
        /// Promises broken.
        lost: u64,
    },
    /// A device shows a record that nobody sent.
    NeverSent {
        /// The device.
        device: DeviceKey,
        /// Of which records.
        kind: Kind,
        /// The number it has.
        number: u64,
    },
    /// A device shows the right number with other content.
    OtherContent {
        /// The device.
        device: DeviceKey,
        /// Of which records.
        kind: Kind,
        /// The number it has.
        number: u64,
        /// What was sent under it.
        sent: Digest,
        /// What is there.
        found: Option<Digest>,
    },
    /// A device is there twice.
    Twice(DeviceKey),
    /// A recount differs from the counters, or from the number of devices on disk.
    Counts {
        /// Whose recount.
        place: &'static str,
        /// Devices it counted.
        counted: u64,
        /// Devices on disk.
        listed: u64,
        /// Cells that differ.
        differing_cells: u64,
    },
    /// A running server counts another number of devices in a cell than there were on disk.
    Cell {
        /// Place of the tenant.
        tenant: usize,
        /// The cell.
        cell: CellName,
        /// On disk.
        expected: u64,
        /// By the server.
        counted: u64,
    },
    /// A connection was answered otherwise than the state at its beginning and its frames say.
    Answers {
        /// Whose connection.
        connection: String,
        /// Accepted, duplicate, stale.
        expected: [u64; 3],
        /// The same, and rejected.
        answered: [u64; 4],
    },
    /// Something that may never happen, whatever the data.
    Conduct(String),
}

impl Finding {
    /// Promises broken.
    pub const fn lost(&self) -> u64 {
        match self {
            Self::Behind { lost, .. } => *lost,
            // What was sent, and perhaps acknowledged, is not what is there.
            Self::OtherContent { .. } => 1,
            _ => 0,
        }
    }

    /// By how much counters are off.
    pub const fn drift(&self) -> u64 {
        match self {
            Self::Counts {
                counted,
                listed,
                differing_cells,
                ..
            } => {
                let drift = counted.abs_diff(*listed) + *differing_cells;
                // A recount that does not say "verified" is off, whatever else it says.
                if drift == 0 { 1 } else { drift }
            }
            Self::Cell {
                expected, counted, ..
            } => expected.abs_diff(*counted),
            Self::Twice(_) => 1,
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
                "{}: {} {floor} was acknowledged or recovered before, {found} is there ({lost} lost)",
                named(*device),
                kind.name(),
            ),
            Self::NeverSent {
                device,
                kind,
                number,
            } => write!(
                out,
                "{}: {} {number} is there and was never sent",
                named(*device),
                kind.name(),
            ),
            Self::OtherContent {
                device,
                kind,
                number,
                sent,
                found,
            } => {
                let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
                write!(
                    out,
                    "{}: {} {number} was sent with digest {sent}, {found} is there",
                    named(*device),
                    kind.name(),
                )
            }
            Self::Twice(device) => write!(out, "{}: it is there twice", named(*device)),
            Self::Conduct(text) => out.write_str(text),
            counts => counts.fmt_counts(out),
        }
    }
}

impl Finding {
    /// Those that are about numbers of several devices.
    fn fmt_counts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts {
                place,
                counted,
                listed,
                differing_cells,
            } => write!(
                out,
                "the recount {place} is not verified: {counted} devices, {listed} on disk, \
                 {differing_cells} cells differ",
            ),
            Self::Cell {
                tenant,
                cell,
                expected,
                counted,
            } => write!(
                out,
                "{}: the server counts {counted} devices in {} {:?} {:#010x}, {expected} were on disk",
                TENANTS.get(*tenant).unwrap_or(&"?"),
                cell.owner,
                cell.tags,
                cell.facets,
            ),
            Self::Answers {
                connection,
                expected,
                answered,
            } => write!(
                out,
                "{connection}: accepted, duplicate, stale, rejected should be {expected:?} and 0, \
                 the server says {answered:?}",
            ),
            Self::Behind { .. }
            | Self::NeverSent { .. }
            | Self::OtherContent { .. }
            | Self::Twice(_)
            | Self::Conduct(_) => unreachable!("they are written above"),
        }
    }
}
