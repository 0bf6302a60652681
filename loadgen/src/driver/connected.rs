//! One connection of a fleet: its client and its devices, whatever happens to the line between.

use muster_client::{Client, ClientConfig, Progress};

use muster_testkit::fleet::Part;

/// One connection; without a client while it is cut.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) client: Option<Client>,
    pub(super) config: ClientConfig,
    pub(super) part: Part,
    pub(super) frame: usize,
    pub(super) inventories: u64,
    /// What clients of it said that are gone.
    pub(super) past: Progress,
}

impl Connected {
    pub(super) fn progress(&self) -> Progress {
        let now = self.client.as_ref().map(Client::progress);
        sum([self.past, now.unwrap_or_default()].into_iter())
    }
}

/// What all of these say together.
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
        busy: sum.busy + one.busy,
        ..sum
    })
}
