//! Problems found in the field, one test or more for each row of the table that `scripts/acceptance field` prints.
//!
//! To add a test: pick the file of its subject, name the test by its row
//! (`x24_an_ack_lists_the_rejections_of_the_frames_it_covers`), and begin its comment with the row as `rows/field.md`
//! has it, `X24: input -> right`; `tests/tidy` compares name and comment with that file. A row may have several tests
//! and passes when all of them pass. A new row is added to `rows/field.md` first.
//! Helpers for servers, clients and operators are in `muster_testkit::harness`.

mod api;
mod cli;
mod clock;
mod open_files;
mod output;
mod paths;
mod protocol;
mod sequence;
mod signals;
mod tables;
mod threads;

use muster_testkit::harness;
