//! How far a client has come: numbers anyone may read at any time.
//!
//! Owner: the driver task writes, everybody else reads a copy. Bounds: fixed size.

use crate::error::ClientError;

/// Numbers since [`crate::Client::connect`], over all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Whether a connection is open. A client that has nothing to send need not have one.
    pub is_connected: bool,
    /// Connections opened so far, the first included.
    pub connections: u64,
    /// Frames taken over from the caller. A change of this number alone wakes nobody.
    pub frames_taken: u64,
    /// Frames the server has made durable, in the order in which they were taken. Exact over any
    /// number of connections.
    pub frames_acked: u64,
    /// Frames that were sent once more, because a connection that both sides had opened was lost before
    /// their ack.
    pub frames_resent: u64,
    /// Records that changed something, as acknowledged. A record whose ack was lost with its
    /// connection is counted as a duplicate instead when it is sent again.
    pub accepted: u64,
    /// Records the server already had.
    pub duplicate: u64,
    /// Records older than what the server had.
    pub stale: u64,
    /// Records refused for what they are.
    pub rejected: u64,
    /// Rejections that were counted but not kept, because nobody took them in time.
    pub rejections_dropped: u64,
    /// How often the server asked for a pause.
    pub busy: u64,
    /// After how many seconds the server wants the next check-in; 0 if it has no wish.
    pub next_check_in_seconds: u32,
    /// Frames that may be unacknowledged, by the last Hello of the server; 0 before it.
    pub window_frames: u16,
    /// Check-ins in one frame, at most, by the last Hello of the server.
    pub check_ins_per_frame_max: u32,
}

/// What the driver publishes.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) progress: Progress,
    /// Why the driver ended, if it did not end by [`crate::Client::close`].
    pub(crate) failure: Option<ClientError>,
}
