//! `[log]`: level and format of the log.

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use super::key::{Choice, Key, KeyRow, Text};
use super::reader::Section;

/// The log. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogConfig {
    /// The level, or directives with a level per module.
    pub level: String,
    /// The format of a line.
    pub format: LogFormat,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text, for people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

const LEVEL: Key<Text<String>> = Key {
    path: "log.level",
    kind: Text {
        default: || "info".to_owned(),
        allowed: "error, warn, info, debug, trace or off, also per module, like \"info,muster_ingest=debug\"",
        parse: filter,
    },
    meaning: "Level of the log, which goes to standard error. No level logs individual check-ins. Lines that standard error does not accept, or not fast enough, are dropped and counted in muster_log_lines_dropped_total.",
};

const FORMAT: Key<Choice<LogFormat>> = Key {
    path: "log.format",
    kind: Choice {
        default: LogFormat::Text,
        choices: &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    },
    meaning: "Format of a log line: text for people, or one JSON object for machines.",
};

fn filter(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("the level is empty".to_owned());
    }
    // `EnvFilter` takes a bare word that is not a level as a module name, which would silence everything else.
    let bare = text.split(',').find(|part| {
        !part.contains('=')
            && part
                .trim()
                .parse::<tracing::level_filters::LevelFilter>()
                .is_err()
    });
    if let Some(part) = bare {
        return Err(format!("\"{}\" is not a level", part.trim()));
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("\"{text}\" cannot be parsed: {error}")),
    }
}

impl LogConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![LEVEL.row(), FORMAT.row()]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let config = Self {
            level: section.read(&LEVEL),
            format: section.read(&FORMAT),
        };
        section.finish();
        config
    }
}
