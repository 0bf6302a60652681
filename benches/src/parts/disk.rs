//! How long the disk takes to keep what was appended: the floor under every ack.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use muster_ingest::clock;

/// Latencies of appending so many bytes and flushing them (fdatasync).
#[derive(Clone, Debug)]
pub struct Flushes {
    /// Bytes appended before each flush.
    pub bytes: usize,
    microseconds: Vec<u64>,
}

impl Flushes {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            microseconds: Vec::new(),
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
            let elapsed = clock::stamp().since(started);
            self.microseconds.push(elapsed.as_micros() as u64);
        }
        self.microseconds.sort_unstable();
        std::fs::remove_file(path)
    }

    /// How many were measured.
    pub fn count(&self) -> usize {
        self.microseconds.len()
    }

    /// A percentile by nearest rank; 0 if nothing was measured.
    pub fn percentile_us(&self, percentile: f64) -> u64 {
        let rank = (percentile / 100.0 * self.count() as f64).ceil() as usize;
        let index = rank.clamp(1, self.count().max(1)) - 1;
        self.microseconds.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let flushes = Flushes {
            bytes: 1,
            microseconds: (1..=200).collect(),
        };
        assert_eq!(flushes.percentile_us(50.0), 100);
        assert_eq!(flushes.percentile_us(99.0), 198);
        assert_eq!(flushes.percentile_us(100.0), 200);
        assert_eq!(Flushes::new(1).percentile_us(50.0), 0);
    }
}
