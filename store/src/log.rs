//! The seam below the writer thread: what makes commits durable.
//!
//! On one server that is RocksDB ([`Writer`]): a group is durable when [`Log::append`] returns. A distributed log would
//! complete a group later and have a bound of groups on their way; the writer thread needs no more than this trait,
//! because commits come back through a [`Sink`] and not as a result. Owned by the writer thread. No implementation
//! details, no threads.

use crate::commit::{Commit, Sink};
use crate::metrics::WriterMetrics;
use crate::value::ClockRecord;
use crate::writer::Writer;

/// A log of commits, in the order in which they are appended.
pub trait Log<P> {
    /// Bytes that the next group should have at most.
    fn room(&self) -> usize;

    /// Appends the commits of a group in their order, with the service time. Passes each commit to `sink` once its fate
    /// is known, in the same order. Leaves the group empty.
    fn append(&mut self, group: &mut Vec<Commit<P>>, clock: ClockRecord, sink: &mut impl Sink<P>);

    /// Counters since the start.
    fn metrics(&self) -> &WriterMetrics;

    /// Journal bytes that a recovery would replay.
    fn journal_bytes_live(&self) -> u64;
}

impl<P> Log<P> for Writer {
    fn room(&self) -> usize {
        self.group_bytes_max()
    }

    fn append(&mut self, group: &mut Vec<Commit<P>>, clock: ClockRecord, sink: &mut impl Sink<P>) {
        self.set_clock(clock);
        self.write(group, sink);
    }

    fn metrics(&self) -> &WriterMetrics {
        Self::metrics(self)
    }

    fn journal_bytes_live(&self) -> u64 {
        Self::journal_bytes_live(self)
    }
}
