//! `[shutdown]`: how long a graceful stop may take.

use serde::Serialize;

use super::key::{Key, KeyRow, Span};
use super::reader::Section;
use super::units::ConfigDuration;

/// The graceful stop. The reference in docs/reference/CONFIGURATION.md says what each key means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShutdownConfig {
    /// From the signal to the end of the process.
    pub deadline: ConfigDuration,
}

const DEADLINE: Key<Span> = Key {
    path: "shutdown.deadline",
    kind: Span {
        default: ConfigDuration::from_secs(10),
        min: ConfigDuration::from_millis(100),
        max: ConfigDuration::from_secs(600),
    },
    meaning: "How long the drain after SIGTERM or SIGINT may take: sessions get Goodbye and at most half of it, shards commit and checkpoint. What is acknowledged is durable even when the time runs out; only the next start takes longer.",
};

impl ShutdownConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![DEADLINE.row()]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let config = Self {
            deadline: section.read(&DEADLINE),
        };
        section.finish("");
        config
    }
}
