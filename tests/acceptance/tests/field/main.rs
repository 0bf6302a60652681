//! What went wrong in the field, row by row.

mod protocol;

use muster_testkit::harness;
