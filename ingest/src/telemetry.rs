//! Sets up the log.
//!
//! The log goes to standard error; standard output is for data. Nothing is logged per check-in. Owner: the main thread;
//! only the thread `log` waits for the reader (`queue`, which also has the bounds). Metrics are not set up here.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use queue::Queue;

pub(crate) use queue::{BYTES_MAX as QUEUE_BYTES_MAX, LINES_MAX as QUEUE_LINES_MAX};

/// The queue of this process, set by [`init`]. Global, as standard error is.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level cannot be parsed. A validated configuration never causes this.
    #[error("invalid log level: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// A log was set up before: a bug.
    #[error("the log is already set up")]
    Twice,
    /// The thread that writes the log cannot be started.
    #[error("cannot start the log thread: {0}")]
    Start(#[from] io::Error),
}

/// Initializes the log of this process. Called once, by `muster serve`.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(&config.level)?;
    start_queue()?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| StandardError)
        .with_ansi(false)
        .with_thread_names(true);
    match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn start_queue() -> Result<(), TelemetryError> {
    let (queue, receiver) = Queue::new();
    // A duplicate descriptor, because a write that blocks would hold the lock of `std::io::stderr`.
    let to = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    QUEUE.set(queue).map_err(|_| TelemetryError::Twice)?;
    let write = move || {
        if let Some(queue) = QUEUE.get() {
            queue.write_to(&receiver, to);
        }
    };
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(write)?;
    Ok(())
}

/// Waits until the log is written, for at most a second if its reader hangs. Call it before the process ends.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush();
    }
}

/// Log lines dropped since the start.
pub fn lines_dropped() -> u64 {
    QUEUE.get().map_or(0, Queue::dropped)
}

/// Standard error. After [`init`], each write queues one line; before, it goes to the descriptor directly. Writes never
/// return an error, because it could not be reported anywhere.
#[derive(Debug)]
pub struct StandardError;

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match QUEUE.get() {
            Some(queue) => queue.push(line),
            None => {
                let _ = io::stderr().write_all(line);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs a panic on one line at any log level, with a backtrace if RUST_BACKTRACE is set. Replaces the hook of the
/// standard library, which would wait for the reader of the log.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let message = panic.to_string();
    let message = message.replace(|character: char| character.is_control(), " ");
    let mut text = format!("muster: thread {name} {message}\n");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text.push_str(&backtrace.to_string());
    }
    let _ = StandardError.write_all(text.as_bytes());
    // A panic of the main thread ends the process.

    if name == "main" {
        flush();
    }
}
