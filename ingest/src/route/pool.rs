//! Buffers for the check-ins of a shard batch, used again and again.

use crossbeam::queue::ArrayQueue;
use muster_wire::CheckInRecord;

/// A bounded pool. Taking from an empty pool allocates; giving to a full one frees.
#[derive(Debug)]
pub struct BufferPool {
    buffers: ArrayQueue<Vec<CheckInRecord>>,
}

impl BufferPool {
    /// A pool that keeps at most `buffers_max` buffers. Memory: up to 192 KiB each.
    pub fn new(buffers_max: usize) -> Self {
        Self {
            buffers: ArrayQueue::new(buffers_max.max(1)),
        }
    }

    /// An empty buffer.
    pub fn take(&self) -> Vec<CheckInRecord> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub fn give(&self, mut buffer: Vec<CheckInRecord>) {
        buffer.clear();
        // A full pool has enough: this buffer's memory goes.
        let _ = self.buffers.push(buffer);
    }
}
