//! Comparison of strings without regard to case.
//!
//! Owner: whoever compares; it may run once per row. It allocates only in [`folded`]. A character is folded to one
//! character (Unicode simple lowercase), so lengths in characters do not change. It knows no language: neither
//! normalization nor collation.

use std::cmp::Ordering;

/// The simple lowercase of a character.
fn fold(letter: char) -> char {
    if letter.is_ascii() {
        return letter.to_ascii_lowercase();
    }
    let mut lower = letter.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(single), None) => single,
        _ => letter,
    }
}

/// The text in lowercase, as the second argument of the functions below.
pub(crate) fn folded(text: &str) -> String {
    text.chars().map(fold).collect()
}

/// Compares two texts by their folded characters.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    left.chars().map(fold).cmp(right.chars().map(fold))
}

/// Whether `text` starts with `prefix`, which is folded.
pub(super) fn starts_with(text: &str, prefix: &str) -> bool {
    let mut letters = text.chars().map(fold);
    prefix.chars().all(|letter| letters.next() == Some(letter))
}

/// Whether `text` ends with `suffix`, which is folded.
pub(super) fn ends_with(text: &str, suffix: &str) -> bool {
    let mut letters = text.chars().rev().map(fold);
    suffix
        .chars()
        .rev()
        .all(|letter| letters.next() == Some(letter))
}

/// Whether `text` contains `part`, which is folded. The cost is at most the product of their lengths.
pub(super) fn contains(text: &str, part: &str) -> bool {
    let Some(first) = part.chars().next() else {
        return true;
    };
    text.char_indices()
        .any(|(at, letter)| fold(letter) == first && starts_with(&text[at..], part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_in_any_script() {
        assert_eq!(compare("FIN-Lap", "fin-lAP"), Ordering::Equal);
        assert_eq!(compare("ÄÖÜ ΣΔ Ж", "äöü σδ ж"), Ordering::Equal);
        assert_eq!(compare("a", "ab"), Ordering::Less);
        assert_eq!(compare("", "a"), Ordering::Less);
        // Its lowercase has two characters, so it stays as it is.
        assert_eq!(folded("İ"), "İ");
        assert_eq!(compare("b", "A"), Ordering::Greater);
        assert_eq!(compare("a", "B"), Ordering::Less);
    }

    #[test]
    fn parts_are_found_at_both_ends_and_between() {
        for (part, starts, ends, within) in [
            ("", true, true, true),
            ("fin", true, false, true),
            ("0142", false, true, true),
            ("ä-lap", false, false, true),
            ("fin-ä-lap-0142", true, true, true),
            ("fin-ä-lap-0142x", false, false, false),
            ("aa", false, false, false),
        ] {
            let text = "FIN-Ä-LAP-0142";
            assert_eq!(starts_with(text, part), starts, "{part}");
            assert_eq!(ends_with(text, part), ends, "{part}");
            assert_eq!(contains(text, part), within, "{part}");
        }
    }
}
