//! Source files: their length, their first line, and words that they must not contain.

use super::{CRATES, assert_none, files_below, read, root, shown};
use std::path::PathBuf;

/// Maximum number of lines of a source file without its tests.
const LINES_MAX: usize = 400;

/// Files that may be longer, each with the reason.
const MAY_BE_LONGER: [(&str, &str); 0] = [];

/// Must not be in product code. Clippy rejects the macros too, but an allow attribute would hide them.
const BANNED: [&str; 8] = [
    "todo!(",
    "unimplemented!(",
    "dbg!(",
    // They panic if the write fails: use write! and decide what a failed write means.
    "print!(",
    "println!(",
    "thread::sleep(",
    "unbounded(",
    "unbounded_channel(",
];

/// Must not be in the pure crates, which do no IO, start no threads and read no clock.
const BANNED_IN_PURE_CRATES: [&str; 12] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "println!",
    "tokio::",
    "quinn::",
    "rocksdb::",
    "crossbeam::",
];

/// Modules of std that a grouped import, `use std::{fs, net::...}`, could bring into a pure crate.
const BANNED_GROUPED: [&str; 5] = ["env", "fs", "net", "process", "thread"];

/// The sources of all crates that are not tests from their first line to their last.
fn source_files() -> Vec<PathBuf> {
    CRATES
        .iter()
        .flat_map(|name| {
            let below = root().join(name).join("src");
            // Crates whose own folder lies in tests/ have sources like any other.
            let is_source = |path: &PathBuf| {
                let path = path.strip_prefix(&below).expect("found below it");
                !path.components().any(|part| part.as_os_str() == "tests")
            };
            files_below(&below, "rs")
                .into_iter()
                .filter(is_source)
                .collect::<Vec<_>>()
        })
        .filter(|path| path.file_name().is_some_and(|name| name != "tests.rs"))
        .collect()
}

/// The lines outside inline test modules, each with its number. rustfmt puts the closing brace of a
/// module at the column of its opening, so no parser is needed.
fn lines_without_tests(text: &str) -> Vec<(usize, &str)> {
    let mut kept = Vec::new();
    let mut attribute_seen = false;
    let mut in_tests = false;
    for (index, line) in text.lines().enumerate() {
        if in_tests {
            in_tests = line != "}";
            continue;
        }
        let opens_module = line.starts_with("mod ") && line.ends_with('{');
        if attribute_seen && opens_module {
            in_tests = true;
            attribute_seen = false;
            continue;
        }
        attribute_seen = line == "#[cfg(test)]" || (attribute_seen && line.starts_with("#["));
        kept.push((index + 1, line));
    }
    kept
}

/// The code of a line, without a comment that fills the line.
fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        ""
    } else {
        line
    }
}

#[test]
fn source_files_are_short() {
    let mut faults = Vec::new();
    for path in source_files() {
        let lines = lines_without_tests(&read(&path)).len();
        let excused = MAY_BE_LONGER.iter().any(|(name, _)| *name == shown(&path));
        if lines > LINES_MAX && !excused {
            faults.push(format!(
                "{}: {lines} lines, at most {LINES_MAX}",
                shown(&path)
            ));
        }
    }
    assert_none(&faults);
}

#[test]
fn source_files_open_with_what_they_are_for() {
    let faults: Vec<String> = CRATES
        .iter()
        .flat_map(|name| files_below(&root().join(name).join("src"), "rs"))
        .filter(|path| !read(path).starts_with("//! "))
        .map(|path| format!("{}: the first line is not a //! line", shown(&path)))
        .collect();
    assert_none(&faults);
}

#[test]
fn banned_words_are_in_no_source() {
    let mut faults = Vec::new();
    for path in source_files() {
        let text = read(&path);
        for (number, line) in lines_without_tests(&text) {
            for word in BANNED {
                if code(line).contains(word) {
                    faults.push(format!("{}:{number}: {word}", shown(&path)));
                }
            }
            // No one finds these again; an issue is tracked.
            if ["TODO", "FIXME", "XXX"]
                .iter()
                .any(|word| line.contains(word))
            {
                faults.push(format!("{}:{number}: open an issue instead", shown(&path)));
            }
        }
    }
    assert_none(&faults);
}

/// Two clones may share a target directory, so a path that is fixed at build time may be that of the other clone.
#[test]
fn no_source_remembers_where_it_was_built() {
    let remembered = concat!("env!(\"CARGO_MANIFEST", "_DIR\")");
    let faults: Vec<String> = CRATES
        .iter()
        .flat_map(|name| files_below(&root().join(name), "rs"))
        .filter(|path| read(path).contains(remembered))
        .map(|path| format!("{}: {remembered}", shown(&path)))
        .collect();
    assert_none(&faults);
}

#[test]
fn pure_crates_do_no_io_and_read_no_clock() {
    let mut faults = Vec::new();
    for path in source_files() {
        if !["wire/", "ingest/engine/", "ingest/control/"]
            .iter()
            .any(|name| shown(&path).starts_with(name))
        {
            continue;
        }
        let text = read(&path);
        for (number, line) in lines_without_tests(&text) {
            for word in BANNED_IN_PURE_CRATES {
                if code(line).contains(word) {
                    faults.push(format!("{}:{number}: {word}", shown(&path)));
                }
            }
            if grouped_std_import(line).any(|module| BANNED_GROUPED.contains(&module)) {
                faults.push(format!("{}:{number}: {}", shown(&path), line.trim()));
            }
        }
    }
    assert_none(&faults);
}

/// The modules named by `use std::{a, b::c};` on one line.
fn grouped_std_import(line: &str) -> impl Iterator<Item = &str> {
    let group = line
        .trim_start()
        .strip_prefix("use std::{")
        .unwrap_or_default();
    group
        .split(',')
        .map(|item| item.trim().split([':', '}']).next().unwrap_or_default())
}

#[test]
fn an_inline_test_module_is_not_counted() {
    let text = "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
    let kept: Vec<usize> = lines_without_tests(text)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(kept, [1, 2, 3, 8]);
}
