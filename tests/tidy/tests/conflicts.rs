//! No file of the clone contains merge conflict markers. The compiler would not find them in documents and fixtures.

use super::{assert_none, root, shown};
use std::fs;
use std::path::PathBuf;

/// Folders with generated files, which are not committed.
const NOT_COMMITTED: [&str; 2] = [".git", "target"];

/// Every file of the clone, in a stable order.
fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the clone can be listed") {
            let entry = entry.expect("a folder of the clone can be listed");
            let kind = entry.file_type().expect("a file has a kind");
            let name = entry.file_name();
            if kind.is_dir() && !NOT_COMMITTED.iter().any(|other| name == *other) {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// The numbers of the lines with conflict markers. Seven equal signs may also underline a heading, so they count only
/// if the two other markers are present.
fn conflict_markers(text: &str) -> Vec<usize> {
    let is_end = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    if !text.lines().any(is_end) {
        return Vec::new();
    }
    let is_marker = |line: &str| is_end(line) || line == "=======";
    let numbered = text.lines().zip(1..);
    let marked = numbered.filter(|(line, _)| is_marker(line));
    marked.map(|(_, number)| number).collect()
}

#[test]
fn no_file_holds_conflict_markers() {
    let files = all_files();
    // Hidden folders are searched too.
    for name in ["Cargo.toml", ".ci/run", "docs/ARCHITECTURE.md"] {
        assert!(files.contains(&root().join(name)), "{name} is not found");
    }
    let mut faults = Vec::new();
    for path in files {
        // Git does not merge binary files.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let lines = conflict_markers(&text);
        faults.extend(
            lines
                .iter()
                .map(|line| format!("{}:{line}: a conflict marker", shown(&path))),
        );
    }
    assert_none(&faults);
}

#[test]
fn a_heading_that_is_underlined_is_no_conflict() {
    let ours = "<".repeat(7) + " ours";
    let theirs = ">".repeat(7) + " theirs";
    let conflict = format!("a\n{ours}\nb\n=======\nc\n{theirs}\nd\n");
    assert_eq!(conflict_markers(&conflict), [2, 4, 6]);
    // A conflict that was only partly resolved.
    assert_eq!(conflict_markers(&format!("b\n=======\n{theirs}")), [2, 3]);
    let heading = format!("Heading\n=======\n {ours}\n{theirs}{theirs}", theirs = ">>");
    assert!(conflict_markers(&heading).is_empty());
}
