//! One connection of a fleet: its devices, and its client, which a reconnect replaces.

use muster_client::{Client, ClientConfig, Progress};

use muster_testkit::fleet::FleetPart;

/// One connection; it has no client while it is closed for a reconnect storm.
#[derive(Debug)]
pub(super) struct FleetConnection {
    pub(super) client: Option<Client>,
    pub(super) config: ClientConfig,
    pub(super) part: FleetPart,
    pub(super) frame: usize,
    pub(super) inventories: u64,
    /// The progress of earlier clients of this connection.
    pub(super) past: Progress,
}

impl FleetConnection {
    pub(super) fn progress(&self) -> Progress {
        let current = self.client.as_ref().map(Client::progress);
        sum([self.past, current.unwrap_or_default()].into_iter())
    }
}

/// Adds up the progress of several clients.
pub(super) fn sum(all: impl Iterator<Item = Progress>) -> Progress {
    all.fold(Progress::default(), |sum, one| Progress {
        connections: sum.connections + one.connections,
        frames_submitted: sum.frames_submitted + one.frames_submitted,
        frames_acked: sum.frames_acked + one.frames_acked,
        frames_resent: sum.frames_resent + one.frames_resent,
        accepted: sum.accepted + one.accepted,
        duplicate: sum.duplicate + one.duplicate,
        stale: sum.stale + one.stale,
        rejected: sum.rejected + one.rejected,
        rejections_dropped: sum.rejections_dropped + one.rejections_dropped,
        frames_dropped: sum.frames_dropped + one.frames_dropped,
        busy: sum.busy + one.busy,
        ..sum
    })
}
