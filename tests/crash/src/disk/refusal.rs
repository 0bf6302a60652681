//! Why a disk refused an operation, in the terms of the operating system.

/// Why an operation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such name.
    NoEntry,
    /// The name is taken.
    Exists,
    /// A directory was needed.
    NotDirectory,
    /// A file was needed.
    IsDirectory,
    /// The directory has entries.
    NotEmpty,
    /// The file or handle is of before a loss of power.
    Stale,
    /// The capacity is used up.
    NoSpace,
    /// The disk fails, or has no power.
    InputOutput,
}
