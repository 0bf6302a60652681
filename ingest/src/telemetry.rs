//! The log and its rate limiter.
//!
//! The log goes to standard error; standard output is for data. No check-in is logged individually. Bounds:
//! [`OncePerCause`] holds a fixed number of causes. Metrics are not initialized here.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level cannot be parsed. A validated configuration never causes this.
    #[error("the log level is not understood: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The log is already initialized: a bug.
    #[error("the log is set up already: {0}")]
    Twice(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Initializes the log of this process. Called once, by `muster serve`.
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
