//! A pool of buffers for the check-ins of shard batches.
//!
//! Shared by sessions, which take, and shards, which give back. Lock-free; bounded by its capacity.

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
        // Full: the buffer is freed.
        let _ = self.buffers.push(buffer);
    }
}
