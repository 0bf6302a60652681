//! `muster devices`: lists every device in a data directory that no server uses.
//!
//! One JSON object per line, written as it is read, so that a listing of any size takes the memory of one shard. For
//! comparison with an external ledger; a running server returns one device at a time.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use muster_ingest::open_files;

use crate::exit::Failure;
use crate::offline::{OfflineError, listing};

/// The arguments of `muster devices`.
#[derive(Debug, Args)]
pub(super) struct DevicesArguments {
    /// The data directory, not in use by a server. It is only read.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// Why a listing ended early.
#[derive(Debug)]
enum Ended {
    Unreadable(OfflineError),
    Output(io::Error),
}

impl From<OfflineError> for Ended {
    fn from(error: OfflineError) -> Self {
        Self::Unreadable(error)
    }
}

pub(super) fn run(arguments: &DevicesArguments) -> Result<(), Failure> {
    open_files::require(open_files::max_of_command())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let listed = listing::devices(&arguments.data_dir, |device| {
        serde_json::to_writer(&mut out, device).map_err(|error| Ended::Output(error.into()))?;
        out.write_all(b"\n").map_err(Ended::Output)
    });
    match listed.and_then(|()| out.flush().map_err(Ended::Output)) {
        Ok(()) => Ok(()),
        Err(Ended::Unreadable(error)) => Err(Failure::DataDirectory(error.to_string())),
        // A closed pipe (as of `head`) is not an error.
        Err(Ended::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Ended::Output(error)) => Err(Failure::File(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}
