//! A disk for somebody else's server, which hangs when it is told to.
//!
//! Mounts the disk in memory over a directory and obeys lines: `hang` lets every sync of a log of RocksDB wait
//! from then on, `waiting` asks how many do, `go on` ends the wait, `end` unmounts, as does the end of the input. Each line gets one line for
//! an answer, so that a script knows when it is done. For scripts/overload.
//!
//! Bounds: one disk of the [default size](DiskSettings), in memory. What it does not do: it starts no server and
//! judges none.

use std::io::{BufRead, Write};
use std::path::Path;

use crate::disk::{Action, DiskSettings, FileKind, ForgetfulDisk, Operation, Rule};
use crate::error::CrashError;

/// A line longer than every order is none, and is not read to its end.
const LINE_BYTES_MAX: u64 = 64;

/// Mounts a disk over a directory that exists, answers `mounted`, and obeys until there is nothing more to obey.
///
/// # Errors
/// If nothing can be mounted, or nobody takes the answers.
pub fn obey(
    at: &Path,
    mut orders: impl BufRead,
    mut answers: impl Write,
) -> Result<(), CrashError> {
    let disk = ForgetfulDisk::mount(at, DiskSettings::default())
        .map_err(|error| CrashError::Usage(error.to_string()))?;
    let mut answer = |text: &str| writeln!(answers, "{text}").and_then(|()| answers.flush());
    let unheard = |source| CrashError::File {
        path: at.to_owned(),
        source,
    };
    answer("mounted").map_err(unheard)?;
    loop {
        let mut line = String::new();
        let mut limited = std::io::Read::take(&mut orders, LINE_BYTES_MAX);
        // What is no text is no order; the disk must not outlive whoever gives them.
        if limited.read_line(&mut line).unwrap_or(0) == 0 {
            return Ok(());
        }
        let told = match line.trim() {
            "hang" => {
                disk.disarm();
                disk.arm(HANG);
                answer("hangs")
            }
            "waiting" => answer(&disk.hanging().to_string()),
            "go on" => {
                disk.disarm();
                answer(&format!("goes on, {} waited", disk.let_go()))
            }
            "end" => return answer("ended").map_err(unheard),
            _ => answer("not an order: hang, waiting, go on, end"),
        };
        told.map_err(unheard)?;
    }
}

const HANG: Rule = Rule {
    operation: Operation::Sync,
    file: Some(FileKind::Log),
    thread: None,
    passing: 0,
    lasting: true,
    action: Action::Hang,
};
