//! What went wrong in the field, as the table of `scripts/acceptance field` has it.
//!
//! To add a test: pick the file of its subject, name the test by its row
//! (`x24_an_ack_lists_the_rejections_of_the_frames_it_covers`), and begin its comment with the row as `rows/field.md`
//! has it, `X24: input -> right`; `tests/tidy` holds name and comment against that file. A row may have several tests
//! and passes when all of them do. A new row is added to `rows/field.md` first.
//! What a test needs of a server, its clients and its operators is in `muster_testkit::harness`.

mod api;
mod cli;
mod open_files;
mod output;
mod paths;
mod protocol;
mod signals;

use muster_testkit::harness;
