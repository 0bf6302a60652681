//! Text of others, made fit for a terminal.

/// `text` on one line and without control characters: it may quote a file or a server's answer, and a
/// terminal obeys what it is sent.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => line.push(' '),
            other if other.is_control() => line.push('\u{fffd}'),
            other => line.push(other),
        }
    }
    line
}
