//! Standard output, which carries data only.

use std::io::{ErrorKind, Write};

use crate::exit::Failure;

/// Writes `text` to standard output, with a final newline. A closed pipe (as of `head`) is not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| {
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    });
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::File(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
