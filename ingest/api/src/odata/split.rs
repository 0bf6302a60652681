//! Splits a text at a separator outside parentheses and quotes.
//!
//! Owner: the parser of options. One pass; it does not change the parts.

/// The parts between separators; `None` if a parenthesis or a quote is not closed, or a parenthesis is closed twice.
pub(super) fn outside(text: &str, separator: char) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut depth = 0_usize;
    let mut is_quoted = false;
    let mut start = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            // A doubled quote closes the string and opens it again.
            '\'' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            other if other == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + other.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (depth == 0 && !is_quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_parentheses_and_quotes_do_not_count() {
        assert_eq!(
            outside("a,b(c,d),'e,''f'", ',').unwrap(),
            ["a", "b(c,d)", "'e,''f'"]
        );
        assert_eq!(outside("", ',').unwrap(), [""]);
        assert_eq!(outside(",", ',').unwrap(), ["", ""]);
        for unbalanced in ["(", ")", "a(b))(", "'", "a,'b''"] {
            assert_eq!(outside(unbalanced, ','), None, "{unbalanced}");
        }
    }
}
