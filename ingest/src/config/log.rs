//! `[log]`: what is logged, and how it is written to standard error.

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use super::key::{Choice, Key, KeyRow, Text};
use super::reader::Section;

/// The log. The reference in docs/reference/CONFIGURATION.md says what each key means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogConfig {
    /// The level, or directives of levels by module.
    pub level: String,
    /// How a line is written.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

const LEVEL: Key<Text<String>> = Key {
    path: "log.level",
    kind: Text {
        default: || "info".to_owned(),
        allowed: "error, warn, info, debug, trace or off, also by module, like \"info,muster_ingest=debug\"",
        parse: filter,
    },
    meaning: "What is logged to standard error. Nothing is logged for each check-in at any level.",
};

const FORMAT: Key<Choice<LogFormat>> = Key {
    path: "log.format",
    kind: Choice {
        default: LogFormat::Text,
        choices: &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    },
    meaning: "How a line is written: for people, or one JSON object for machines.",
};

fn filter(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    // A bare word that is no level would be taken as the name of a module and silence everything else.
    let bare = text.split(',').find(|part| {
        !part.contains('=')
            && part
                .trim()
                .parse::<tracing::level_filters::LevelFilter>()
                .is_err()
    });
    if let Some(part) = bare {
        return Err(format!("\"{}\" is no level", part.trim()));
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("\"{text}\" is not understood: {error}")),
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
        section.finish("");
        config
    }
}
