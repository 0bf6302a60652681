//! The bounded queue of log lines, and the thread that writes them to standard error.
//!
//! Only the thread `log` waits for the reader of the log; all other threads push a line and continue. A line is dropped
//! and counted if the queue is full (the reader hangs or is slow) or if the write fails (the disk is full, the pipe is
//! closed). As soon as a line has been written and the queue is empty, the number of dropped lines is logged.
//!
//! Bounds: [`LINES_MAX`] lines, [`BYTES_MAX`] bytes in total; a flush takes at most [`FLUSH_MAX`]. The crate
//! tracing-appender is not sufficient: it bounds lines but not bytes, does not count failed writes, and prints with
//! macros that panic if standard output is closed.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::clock;
use crate::metrics::Counter;

/// Maximum number of queued lines. Their slots are allocated at start.
pub(crate) const LINES_MAX: usize = 8_192;

/// Maximum memory of the queued lines and of the one being written.
pub(crate) const BYTES_MAX: usize = 4 << 20;

/// Overhead of the allocator per line, rounded up.
const LINE_OVERHEAD: usize = 32;

/// How long an ending process waits for the reader of its log: enough for a busy reader, and a short delay if the
/// reader hangs.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Interval at which a flush checks whether the queue is empty.
const FLUSH_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Interval between retries of a write if standard error is non-blocking, which another process that shares the file
/// description can make it.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// A line with its newline.
type Line = Box<[u8]>;

/// The sending end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    lines: Sender<Line>,
    /// Memory of the queued lines and of the one being written; 0 means that all are written or dropped.
    bytes: AtomicUsize,
    dropped: Counter,
}

impl Queue {
    /// An empty queue and its receiving end, for [`Queue::write_to`].
    pub(super) fn new() -> (Self, Receiver<Line>) {
        let (lines, receiver) = bounded(LINES_MAX);
        let queue = Self {
            lines,
            bytes: AtomicUsize::new(0),
            dropped: Counter::default(),
        };
        (queue, receiver)
    }

    /// Adds a line, or drops it if the queue is full. Never blocks.
    pub(super) fn push(&self, line: &[u8]) {
        let bytes = memory_of(line);
        let others = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if others + bytes <= BYTES_MAX && self.lines.try_send(line.into()).is_ok() {
            return;
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.dropped.add(1);
    }

    /// Lines dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Waits until all lines are written or dropped, at most [`FLUSH_MAX`].
    pub(super) fn flush(&self) {
        let began = clock::stamp();
        // Acquire pairs with the release in `write_to`: the write happens before the end of the process.
        while self.bytes.load(Ordering::Acquire) > 0 && clock::stamp().since(began) < FLUSH_MAX {
            std::thread::park_timeout(FLUSH_POLL_INTERVAL);
        }
    }

    /// Writes lines as they arrive, until the process ends.
    pub(super) fn write_to(&self, receiver: &Receiver<Line>, to: impl Write) {
        let mut output = Output { to, is_torn: false };
        let mut reported = 0;
        for line in receiver {
            let is_written = output.write_line(&line).is_ok();
            if !is_written {
                self.dropped.add(1);
            }
            let dropped = self.dropped();
            // An empty queue has room for this line. It is pushed before the bytes of the previous one are released, so
            // a flush waits for it too.
            if is_written && dropped > reported && receiver.is_empty() {
                reported = dropped;
                tracing::error!(
                    dropped_total = dropped,
                    "log lines were dropped: writing to standard error failed or was too slow"
                );
            }
            self.bytes.fetch_sub(memory_of(&line), Ordering::Release);
        }
    }
}

fn memory_of(line: &[u8]) -> usize {
    line.len() + LINE_OVERHEAD
}

/// Standard error, and whether a failed write left an incomplete line there.
struct Output<W> {
    to: W,
    is_torn: bool,
}

impl<W: Write> Output<W> {
    /// Writes a line, preceded by a newline if the last one is incomplete.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.write(b"\n")?;
        }
        self.write(line)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.to.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    self.is_torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::park_timeout(RETRY_INTERVAL);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A writer whose first writes have predetermined results.
    struct Script {
        writes: VecDeque<io::Result<usize>>,
        text: Vec<u8>,
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let written = self.writes.pop_front().unwrap_or(Ok(bytes.len()))?;
            self.text.extend_from_slice(&bytes[..written]);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The output and the number of dropped lines, given the results of the first writes.
    fn written(lines: &[&str], writes: Vec<io::Result<usize>>) -> (String, u64) {
        let (queue, receiver) = Queue::new();
        for line in lines {
            queue.push(line.as_bytes());
        }
        let mut output = Script {
            writes: writes.into(),
            text: Vec::new(),
        };
        let Queue {
            lines,
            bytes,
            dropped,
        } = queue;
        // `write_to` returns when all senders are dropped.
        let (unused, _) = bounded(1);
        drop(lines);
        let queue = Queue {
            lines: unused,
            bytes,
            dropped,
        };
        queue.write_to(&receiver, &mut output);
        assert_eq!(queue.bytes.load(Ordering::Relaxed), 0);
        (String::from_utf8(output.text).unwrap(), queue.dropped())
    }

    fn failed(kind: ErrorKind) -> io::Result<usize> {
        Err(kind.into())
    }

    #[test]
    fn a_line_that_cannot_be_written_is_dropped_and_counted_and_the_next_is_whole() {
        let lines = ["one\n", "two\n", "three\n"];
        let (text, dropped) = written(&lines, vec![]);
        assert_eq!((text.as_str(), dropped), ("one\ntwo\nthree\n", 0));
        let full = vec![Ok(4), failed(ErrorKind::StorageFull)];
        let (text, dropped) = written(&lines, full);
        assert_eq!((text.as_str(), dropped), ("one\nthree\n", 1));
        // Half a line is written, then not even the newline before the next one.
        let torn = vec![
            Ok(2),
            failed(ErrorKind::StorageFull),
            failed(ErrorKind::StorageFull),
        ];
        let (text, dropped) = written(&lines, torn);
        assert_eq!((text.as_str(), dropped), ("on\nthree\n", 2));
    }

    #[test]
    fn a_line_is_written_whole_despite_short_interrupted_and_non_blocking_writes() {
        let writes = vec![
            Ok(1),
            failed(ErrorKind::Interrupted),
            Ok(1),
            failed(ErrorKind::WouldBlock),
        ];
        let (text, dropped) = written(&["one\n"], writes);
        assert_eq!((text.as_str(), dropped), ("one\n", 0));
    }

    #[test]
    fn a_queue_at_its_limit_of_lines_drops_the_next() {
        let (queue, receiver) = Queue::new();
        for _ in 0..LINES_MAX + 3 {
            queue.push(b"line\n");
        }
        assert_eq!((receiver.len(), queue.dropped()), (LINES_MAX, 3));
    }

    #[test]
    fn a_queue_at_its_limit_of_bytes_drops_lines_that_do_not_fit_and_accepts_those_that_do() {
        let (queue, receiver) = Queue::new();
        let long = vec![b'a'; BYTES_MAX / 2 - LINE_OVERHEAD];
        for _ in 0..3 {
            queue.push(&long);
        }
        assert_eq!((receiver.len(), queue.dropped()), (2, 1));
        queue.push(b"\n");
        assert_eq!((receiver.len(), queue.dropped()), (2, 2));
        let (queue, receiver) = Queue::new();
        queue.push(&vec![b'a'; BYTES_MAX]);
        queue.push(b"\n");
        assert_eq!((receiver.len(), queue.dropped()), (1, 1));
    }
}
