//! Why an operation on the disk failed.

/// Why an operation failed; `shared` maps it to an error number of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskError {
    /// The name does not exist.
    NotFound,
    /// The name exists already.
    AlreadyExists,
    /// The operation needs a directory.
    NotADirectory,
    /// The operation needs a file.
    IsADirectory,
    /// The directory has entries.
    DirectoryNotEmpty,
    /// The file does not exist any more.
    Stale,
    /// The capacity is exhausted.
    NoSpace,
    /// The disk fails or has no power.
    Io,
}
