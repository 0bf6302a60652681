//! `[shutdown]`: the timeout of a graceful stop.

use serde::Serialize;

use super::key::{Key, KeyRow, Span};
use super::reader::Section;
use super::units::ConfigDuration;

/// The graceful stop. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShutdownConfig {
    /// Timeout from the signal to the end of the process.
    pub deadline: ConfigDuration,
}

const DEADLINE: Key<Span> = Key {
    path: "shutdown.deadline",
    kind: Span {
        default: ConfigDuration::from_secs(10),
        min: ConfigDuration::from_millis(100),
        max: ConfigDuration::from_secs(600),
    },
    meaning: "Timeout of the drain after SIGTERM, SIGINT, SIGQUIT or SIGHUP: sessions get a Goodbye and at most half of this time to end, then shards commit and checkpoint. Acknowledged check-ins are durable even if the timeout expires; only the next start takes longer.",
};

impl ShutdownConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![DEADLINE.row()]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let config = Self {
            deadline: section.read(&DEADLINE),
        };
        section.finish();
        config
    }
}
