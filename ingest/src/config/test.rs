//! `[test]`: keys that only the configuration of a test sets.

use serde::Serialize;

use super::key::{Flag, Key, KeyRow};
use super::reader::Section;

/// What tests may do to a server. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestConfig {
    /// Whether the clocks of the server may be moved.
    pub clock: bool,
}

const CLOCK: Key<Flag> = Key {
    path: "test.clock",
    kind: Flag { default: false },
    meaning: "For tests only: the clocks of this server may be moved (`muster serve --test-clock`), and the data directory records how far. Never set it for a directory with real devices: moving its clock makes devices inactive. The start logs a warning.",
};

impl TestConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![CLOCK.row()]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let config = Self {
            clock: section.read(&CLOCK),
        };
        section.finish();
        config
    }
}
