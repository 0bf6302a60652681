//! `[test]`: what only a configuration of tests has.

use serde::Serialize;

use super::key::{Flag, Key, KeyRow};
use super::reader::Section;

/// What tests may do to a server. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestConfig {
    /// Whether its clocks may be moved.
    pub clock: bool,
}

const CLOCK: Key<Flag> = Key {
    path: "test.clock",
    kind: Flag { default: false },
    meaning: "For tests only: the clocks of this server may be moved (`muster serve --test-clock`), and the data directory keeps how far. Never set it for a directory with real devices: whoever moves its clock decides who is inactive. The start logs a warning.",
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
