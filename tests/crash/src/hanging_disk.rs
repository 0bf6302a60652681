//! An in-memory disk whose log syncs hang on command, for a server that a script starts (scripts/overload).
//!
//! Mounts the disk on a directory and serves commands, one per line: `hang` lets every sync of a write-ahead log of
//! RocksDB hang from then on, `waiting` returns how many hang, `resume` completes them, `end` unmounts, as does the end
//! of the input. Each command gets one line of reply, so that a script knows when it is complete.
//!
//! Bounds: one disk of the [default size](DiskSettings), in memory.

use std::io::{BufRead, Write};
use std::path::Path;

use crate::disk::{Action, DiskSettings, FaultDisk, FileKind, Operation, Rule};
use crate::error::CrashError;

/// A longer line is not a command; the rest of it is read as the next line.
const LINE_BYTES_MAX: u64 = 64;

/// Mounts a disk on an existing directory, replies `mounted`, and serves commands until `end` or the end of the input.
///
/// # Errors
/// If the disk cannot be mounted or a reply cannot be written.
pub fn serve(
    at: &Path,
    mut commands: impl BufRead,
    mut replies: impl Write,
) -> Result<(), CrashError> {
    let disk = FaultDisk::mount(at, DiskSettings::default())
        .map_err(|error| CrashError::Usage(error.to_string()))?;
    let mut reply = |text: &str| {
        writeln!(replies, "{text}")
            .and_then(|()| replies.flush())
            .map_err(CrashError::file(at))
    };
    reply("mounted")?;
    loop {
        let mut line = String::new();
        let mut limited = std::io::Read::take(&mut commands, LINE_BYTES_MAX);
        // Input that is not text ends the disk, like the end of the input: it must not outlive its script.
        if limited.read_line(&mut line).unwrap_or(0) == 0 {
            return Ok(());
        }
        match line.trim() {
            "hang" => {
                disk.disarm();
                disk.arm(HANG);
                reply("hanging")?;
            }
            "waiting" => reply(&disk.hanging_syncs().to_string())?,
            "resume" => {
                disk.disarm();
                reply(&format!("resumed, {} waited", disk.resume_syncs()))?;
            }
            "end" => return reply("ended"),
            _ => reply("unknown command; the commands are hang, waiting, resume and end")?,
        }
    }
}

const HANG: Rule = Rule {
    operation: Operation::Sync,
    file: Some(FileKind::Log),
    thread: None,
    skip: 0,
    persistent: true,
    action: Action::Hang,
};
