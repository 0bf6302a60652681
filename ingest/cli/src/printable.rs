//! Sanitizes untrusted text for a terminal.

/// Returns `text` on one line and without control characters: it may quote a file or a server's response, and a
/// terminal interprets escape sequences.
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
