//! Latency of an append with a flush: no ack can be faster.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use muster_ingest::clock;
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

use crate::latencies::Latencies;

/// Maximum size of a file in paced sampling, that of a journal file.
const FILE_BYTES_MAX: usize = 32 << 20;

/// Latencies of appending a number of bytes and flushing them (fdatasync).
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

    /// Measures this many flushes, in a file in `directory`.
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

    /// Measures one flush per `interval` for `duration`, in new files in a new directory in `directory`. If a flush
    /// takes longer than the interval, the next ones follow at once until the schedule is met again. Each latency is
    /// that of the flush alone, without its delay behind the schedule.
    ///
    /// Unlike a short burst, this covers occasional stalls of the disk, and the allocation of new blocks. Returns the
    /// directory, so that the caller can remove the files after its next measurement: removing them keeps the disk
    /// busy.
    pub(crate) async fn sample_paced(
        &mut self,
        directory: &Path,
        interval: Duration,
        duration: Duration,
    ) -> std::io::Result<TempDir> {
        let folder = tempfile::Builder::new()
            .prefix("paced-")
            .tempdir_in(directory)?;
        let data = vec![0x5a; self.bytes];
        let appends = duration.div_duration_f64(interval) as usize;
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

    /// Number of flushes measured.
    pub fn count(&self) -> usize {
        self.latencies.count()
    }

    /// The median, the 99th percentile and the maximum in microseconds; 0 if nothing was measured.
    pub fn percentiles_us(&self) -> [u64; 3] {
        self.latencies.percentiles_us([50.0, 99.0, 100.0])
    }

    /// The median, the 99th and the 99.9th percentile in microseconds; 0 if nothing was measured.
    pub(crate) fn tail_percentiles_us(&self) -> [u64; 3] {
        self.latencies.percentiles_us([50.0, 99.0, 99.9])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn paced_appends_keep_their_schedule_and_start_a_new_file_at_the_maximum_size() {
        let directory = tempfile::tempdir().unwrap();
        let mut flushes = Flushes::new(12 << 20);
        let (interval, duration) = (Duration::from_millis(4), Duration::from_millis(19));
        let started = Instant::now();
        let folder = flushes
            .sample_paced(directory.path(), interval, duration)
            .await
            .unwrap();
        assert_eq!(flushes.count(), 4);
        assert!(
            started.elapsed() >= 3 * interval,
            "the last append is due after three intervals"
        );
        let [p50, p99, p999] = flushes.tail_percentiles_us();
        assert!(0 < p50 && p50 <= p99 && p99 <= p999);
        let files = std::fs::read_dir(folder.path()).unwrap();
        let bytes: Vec<u64> = files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(bytes, [24 << 20, 24 << 20]);
    }
}
