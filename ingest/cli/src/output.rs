//! Standard output, which carries data only.

use std::io::{BufWriter, ErrorKind, StdoutLock, Write};

use crate::exit::Failure;

/// Writes `text` to standard output, with a final newline. A closed pipe (as of `head`) is not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = Output::new();
    output.write(text)?;
    if !text.ends_with('\n') {
        output.write("\n")?;
    }
    output.flush()
}

/// Standard output for a text of any length, in parts, until its reader has seen enough.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    is_closed: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self {
            out: BufWriter::new(std::io::stdout().lock()),
            is_closed: false,
        }
    }

    /// Whether the reader has closed the pipe: what is written from then on is dropped.
    pub(crate) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.is_closed {
            return Ok(());
        }
        let written = self.out.write_all(text.as_bytes());
        self.check(written)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.is_closed {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.check(flushed)
    }

    fn check(&mut self, written: std::io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            Err(error) => Err(Failure::File(format!(
                "cannot write to standard output: {error}"
            ))),
            Ok(()) => Ok(()),
        }
    }
}
