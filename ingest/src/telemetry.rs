//! The log: where it goes, and how a flood of one cause becomes a line a minute.
//!
//! The log goes to standard error; standard output is for data. Nothing is logged for each check-in.
//! Bounds: [`OncePerCause`] holds a fixed number of causes. Metrics are not set up here.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not understood. A validated configuration does not lead here.
    #[error("the log level is not understood: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// A log is set up already: a fault of the program.
    #[error("the log is set up already: {0}")]
    Twice(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up the log of this process. Called once, by the command that serves.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse(&config.level)?)
        .with_writer(BoxMakeWriter::new(std::io::stderr))
        .with_ansi(false)
        .with_thread_names(true);
    match config.format {
        LogFormat::Text => builder.try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).try_init()?,
    }
    Ok(())
}
