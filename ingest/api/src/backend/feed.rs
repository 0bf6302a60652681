//! What a reader of the change feed gets.

use muster_engine::FacetWord;
use muster_wire::DeviceId;

/// A device that moved to another cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceChange {
    /// Its place in the changes of the tenant.
    pub position: u64,
    /// The device.
    pub device_id: DeviceId,
    /// Its facets before; `None` if it was in no count: new, or removed.
    pub before: Option<FacetWord>,
    /// Its facets afterwards; `None` if it is in no count any more: removed, or gone.
    pub after: Option<FacetWord>,
    /// Service time of the change in seconds since the epoch.
    pub at: u32,
}

/// The change feed does not go back to a position: list all devices, and continue from the head of before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the changes since then are no longer known: list all devices again")]
pub struct TooOld;
