//! How long the disk takes to keep what was appended: the floor under every ack.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use muster_ingest::clock;

use crate::latencies::Latencies;

/// Latencies of appending so many bytes and flushing them (fdatasync).
#[derive(Clone, Debug)]
pub struct Flushes {
    /// Bytes appended before each flush.
    pub bytes: usize,
    latencies: Latencies,
}

impl Flushes {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            latencies: Latencies::default(),
        }
    }

    /// Measures so many more, in a file below `directory`.
    pub(crate) fn sample(&mut self, directory: &Path, count: u64) -> std::io::Result<()> {
        let path = directory.join("flushes");
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        let data = vec![0x5a; self.bytes];
        for _ in 0..count {
            let started = clock::stamp();
            file.write_all(&data)?;
            file.sync_data()?;
            self.latencies.add(clock::stamp().since(started));
        }
        std::fs::remove_file(path)
    }

    /// How many were measured.
    pub fn count(&self) -> usize {
        self.latencies.count()
    }

    /// The median, the 99th percentile and the longest, in microseconds; 0 if nothing was measured.
    pub fn percentiles_us(&self) -> [u64; 3] {
        self.latencies.percentiles_us([50.0, 99.0, 100.0])
    }
}
