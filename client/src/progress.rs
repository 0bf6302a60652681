//! The progress of a client: numbers that any task may read at any time.
//!
//! Owner: the driver task, which writes them; other tasks read copies. Bounds: fixed size.

use crate::error::ClientError;

/// Counters since [`crate::Client::connect`], over all connections, and the latest values from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Whether a connection is open. A client with nothing to send may have none.
    pub is_connected: bool,
    /// Connections opened so far, including the first.
    pub connections: u64,
    /// Frames submitted by the caller. A change of this number alone does not wake [`crate::ProgressWatch::changed`].
    pub frames_submitted: u64,
    /// Frames acknowledged by the server, in the order in which they were submitted. Exact across reconnects.
    pub frames_acked: u64,
    /// Frames sent again because an established connection was lost before their ack.
    pub frames_resent: u64,
    /// Records that changed something. If the ack of a record was lost with its connection, the record is sent again
    /// and counts as a duplicate instead.
    pub accepted: u64,
    /// Records that the server already had.
    pub duplicate: u64,
    /// Records older than the server's state of the device.
    pub stale: u64,
    /// Records that the server rejected.
    pub rejected: u64,
    /// Rejections that were counted but dropped, because [`crate::Rejections`] was full.
    pub rejections_dropped: u64,
    /// Frames dropped before they were sent, because the server would have refused all of their check-ins as stale or
    /// ahead; once all frames before them are acknowledged, they count as acknowledged too. See
    /// [`crate::Client::next_seq`].
    pub frames_dropped: u64,
    /// Busy frames received.
    pub busy: u64,
    /// Seconds until the server wants the next check-in; 0 if it does not say.
    pub next_check_in_seconds: u32,
    /// The window in the server's last Hello, in frames; 0 before the first.
    pub window_frames: u16,
    /// The maximum number of check-ins in a frame, from the server's last Hello; 0 before the first.
    pub check_ins_per_frame_max: u32,
}

/// The state that the driver publishes.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) progress: Progress,
    /// Why the driver ended, unless it ended by [`crate::Client::close`].
    pub(crate) failure: Option<ClientError>,
}
