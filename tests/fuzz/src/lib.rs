//! Fuzz targets for everything in Muster that decodes bytes.
//!
//! Each target is a function that takes any bytes and panics if a property is violated: decoders never panic, chunk
//! boundaries do not change the result, accepted input encodes back to the same bytes, and a second, slow decoder
//! written from the documented format agrees.
//!
//! Callers: `tests/corpus.rs` runs every file of `corpus/` and seeded mutations of [`seed_inputs`]; `libfuzzer/`
//! runs the targets under cargo-fuzz (`scripts/fuzz`).
//!
//! Bounds: inputs have any length and cost linear time. No IO, no threads: `ingest/tests/it` tests sockets and
//! processes.

mod control;
mod frames;
mod names;
mod odata;
mod records;
mod recovery;
mod rules;
pub mod seed_inputs;
#[cfg(feature = "server")]
mod server;
mod shard;
mod stored;

pub use control::{control_document, control_entry};
pub use frames::{answers, decoder, hello};
pub use names::identity;
pub use odata::query_options;
pub use records::{check_in, inventory};
pub use recovery::recovery;
pub use rules::filter_rule;
#[cfg(feature = "server")]
pub use server::{certificate, configuration, stored_values};
pub use shard::shard;
pub use stored::stored_records;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets by name; corpus and libFuzzer binary have the same name.
pub const TARGETS: &[(&str, Target)] = &[
    ("decoder", decoder),
    ("answers", answers),
    ("hello", hello),
    ("check_in", check_in),
    ("inventory", inventory),
    ("identity", identity),
    ("stored_records", stored_records),
    ("recovery", recovery),
    ("shard", shard),
    ("control_entry", control_entry),
    ("control_document", control_document),
    ("filter_rule", filter_rule),
    ("query_options", query_options),
    #[cfg(feature = "server")]
    ("certificate", certificate),
    #[cfg(feature = "server")]
    ("configuration", configuration),
    #[cfg(feature = "server")]
    ("stored_values", stored_values),
];

/// Reads values from the front of an input, for targets that need more than one. Past the end it reads zeros.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head
    }

    fn array<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let mut bytes = [0; COUNT];
        let head = self.take(COUNT);
        bytes[..head.len()].copy_from_slice(head);
        bytes
    }

    fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
