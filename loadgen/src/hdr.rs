//! Writes the latencies of a run for other tools: an HdrHistogram interval log with compressed V2 histograms, one line
//! per sample, values in microseconds.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError},
};

use muster_testkit::latency::Latency;

use crate::{error::RunError, series::Sample};

/// Writes the log. `started` is the start of the measured phase, as the time since 1970.
///
/// # Errors
/// [`RunError::File`] if the file cannot be written.
pub fn write_file(path: &Path, started: Duration, samples: &[Sample]) -> Result<(), RunError> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        write(&mut file, started, samples)?;
        file.flush()
    };
    write().map_err(|error| RunError::File(format!("cannot write {}: {error}", path.display())))
}

fn write(out: &mut impl Write, started: Duration, samples: &[Sample]) -> io::Result<()> {
    let start = UNIX_EPOCH + started;
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("Ack latencies of frames of check-ins, in microseconds, by muster-loadgen")
        .with_start_time(start)
        .with_base_time(start)
        // The divisor only affects the column with the maximum, which is for people.
        .with_max_value_divisor(1000.0)
        .begin_log_with(out, &mut serializer)?;
    // Required by tools that make charts from such logs.
    log.write_comment("[Histogram log format version 1.3]")?;
    for sample in samples {
        let latency = Latency::from(&sample.latency);
        let length = sample.until - sample.from;
        log.write_histogram(latency.histogram(), sample.from, length, None)
            .map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => {
                    io::Error::other(error.to_string())
                }
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Totals;
    use hdrhistogram::{
        Histogram,
        serialization::{
            Deserializer,
            interval_log::{IntervalLogIterator, LogEntry},
        },
    };
    use muster_testkit::latency::Packed;

    #[test]
    fn a_log_can_be_read_back() {
        let sample = |second: u64| {
            let mut latency = Latency::default();
            for milliseconds in 0..100 {
                latency.record(Duration::from_millis(second * 100 + milliseconds));
            }
            Sample {
                from: Duration::from_secs(second),
                until: Duration::from_secs(second + 1),
                added: Totals::default(),
                latency: Packed::from(&latency),
            }
        };
        let samples = [sample(0), sample(1), sample(2)];
        let mut log = Vec::new();
        write(&mut log, Duration::from_secs(1_750_000_000), &samples).unwrap();
        let entries = IntervalLogIterator::new(&log).map(|entry| entry.expect("a valid line"));
        let mut found = Vec::new();
        for entry in entries {
            if let LogEntry::Interval(interval) = entry {
                let bytes = base64(interval.encoded_histogram());
                let read: Histogram<u64> =
                    Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                found.push((interval.start_timestamp(), interval.duration(), read));
            }
        }
        assert_eq!(found.len(), 3);
        for ((from, length, histogram), sample) in found.iter().zip(&samples) {
            assert_eq!((*from, *length), (sample.from, Duration::from_secs(1)));
            assert_eq!(histogram, Latency::from(&sample.latency).histogram());
        }
    }

    /// Slow and obvious, because no other code here reads the log.
    fn base64(text: &str) -> Vec<u8> {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = text.bytes().filter(|byte| *byte != b'=');
        let mut bytes = Vec::new();
        let (mut bits, mut count) = (0_u32, 0);
        for digit in digits {
            let value = letters.iter().position(|letter| *letter == digit).unwrap();
            bits = bits << 6 | value as u32;
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
        bytes
    }
}
