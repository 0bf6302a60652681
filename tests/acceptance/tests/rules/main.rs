//! What the rules decide, one test or more for each row of the table that `scripts/acceptance rules` prints.
//!
//! To add a test: pick the file of its subject, name the test by its row (`f3_a_toggle_that_is_off_fails_no_device`),
//! and begin its comment with the row as `rows/rules.md` has it, `F3: input -> right`; `tests/tidy` compares name and
//! comment with that file. Time moves by a test clock, and some real time passes as well: limits are tested a minute
//! before and after them here, and to the second in the engine.

mod compliance;
mod scene;
mod sensor;
mod targets;
mod threat;

use muster_testkit::harness;
