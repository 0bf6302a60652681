//! How long the disk takes to keep what was appended: the floor under every ack.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use muster_ingest::clock;
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

use crate::latencies::Latencies;

/// A file that is appended to at a pace has at most so many bytes: as many as a file of the journal.
const FILE_BYTES_MAX: usize = 32 << 20;

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

    /// Measures more, one each `interval` for so long, in new files in a directory of their own below `directory`. One
    /// that takes longer than that makes the next ones follow at once until they have caught up. What is measured is
    /// how long each took, not how late it was.
    ///
    /// Other than a short burst, this meets what a disk does now and then, and new blocks of files that grow. Returns
    /// the directory: whoever measures goes on before the files are removed, because that keeps a disk busy for a while.
    pub(crate) async fn sample_at_a_pace(
        &mut self,
        directory: &Path,
        interval: Duration,
        lasting: Duration,
    ) -> std::io::Result<TempDir> {
        let folder = tempfile::Builder::new()
            .prefix("paced-")
            .tempdir_in(directory)?;
        let data = vec![0x5a; self.bytes];
        let appends = lasting.div_duration_f64(interval) as usize;
        let appends_in_file = (FILE_BYTES_MAX / self.bytes.max(1)).max(1);
        let mut file: Option<File> = None;
        let mut due = Instant::now();
        for number in 0..appends {
            sleep_until(due).await;
            due += interval;
            let file = match &mut file {
                Some(file) if !number.is_multiple_of(appends_in_file) => file,
                _ => file.insert(File::create_new(folder.path().join(number.to_string()))?),
            };
            let started = clock::stamp();
            file.write_all(&data)?;
            file.sync_data()?;
            self.latencies.add(clock::stamp().since(started));
        }
        Ok(folder)
    }

    /// How many were measured.
    pub fn count(&self) -> usize {
        self.latencies.count()
    }

    /// The median, the 99th percentile and the longest, in microseconds; 0 if nothing was measured.
    pub fn percentiles_us(&self) -> [u64; 3] {
        self.latencies.percentiles_us([50.0, 99.0, 100.0])
    }

    /// The median, the 99th percentile and the one of 1,000, in microseconds; 0 if nothing was measured.
    pub(crate) fn high_percentiles_us(&self) -> [u64; 3] {
        self.latencies.percentiles_us([50.0, 99.0, 99.9])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn appends_at_a_pace_keep_their_schedule_and_share_files_that_are_not_too_large() {
        let directory = tempfile::tempdir().unwrap();
        let mut flushes = Flushes::new(12 << 20);
        let (interval, lasting) = (Duration::from_millis(4), Duration::from_millis(19));
        let started = Instant::now();
        let folder = flushes
            .sample_at_a_pace(directory.path(), interval, lasting)
            .await
            .unwrap();
        assert_eq!(flushes.count(), 4);
        assert!(started.elapsed() >= 3 * interval, "then the last was due");
        let [p50, p99, p999] = flushes.high_percentiles_us();
        assert!(0 < p50 && p50 <= p99 && p99 <= p999);
        let files = std::fs::read_dir(folder.path()).unwrap();
        let bytes: Vec<u64> = files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(bytes, [24 << 20, 24 << 20]);
    }
}
