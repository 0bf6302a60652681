//! Arbitrary bytes against everything in Muster that reads bytes.
//!
//! Purpose: one function a target. Each takes any bytes and panics if something does not hold: not only
//! that nothing panics, but that cutting a stream changes nothing, that what is accepted is written back
//! as it came, that a second, slow reading of the documented format agrees.
//!
//! Owner: whoever calls; `tests/corpus.rs` does with every file of `corpus/` and with seeded mutations of
//! [`seeds`], `libfuzzer/` with cargo-fuzz behind it (`scripts/fuzz`).
//!
//! Bounds: an input of any length is taken; the work is linear in it. What it does not do: no IO, no
//! threads. Sockets and processes are tested by `ingest/tests/it`.

mod frames;
mod names;
mod records;
mod recovery;
pub mod seeds;
#[cfg(feature = "server")]
mod server;
mod shard;
mod stored;

pub use frames::{answers, decoder, hello};
pub use names::identity;
pub use records::{check_in, inventory};
pub use recovery::recovery;
#[cfg(feature = "server")]
pub use server::{certificate, configuration, stored_values};
pub use shard::shard;
pub use stored::stored_records;

/// What takes an input.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus and of its libFuzzer binary.
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
    #[cfg(feature = "server")]
    ("certificate", certificate),
    #[cfg(feature = "server")]
    ("configuration", configuration),
    #[cfg(feature = "server")]
    ("stored_values", stored_values),
];

/// Takes numbers off the front of an input, for targets that need more than one value. An input that has
/// ended gives zeros.
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
