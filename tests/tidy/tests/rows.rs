//! The tests of `scripts/acceptance`: the name of each begins with the id of a row, and its comment with the row's
//! text.

use super::{assert_none, files_below, read, root, shown};
use std::collections::HashMap;

/// A test in a source: its place, its name, and its comment in one line.
#[derive(Debug, PartialEq, Eq)]
struct NamedTest {
    name: String,
    comment: String,
}

/// The tests of a source.
fn tests_in(text: &str) -> Vec<NamedTest> {
    let mut tests = Vec::new();
    let (mut comment, mut is_test) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if line == "#[test]" {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            let name = rest.split('(').next().unwrap_or(rest).to_owned();
            let comment = std::mem::take(&mut comment).join(" ");
            tests.push(NamedTest { name, comment });
            is_test = false;
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    tests
}

/// For each row, the text with which the comments of its tests must begin.
fn rows_of(list: &str) -> HashMap<String, String> {
    let rows = list.lines().filter_map(|line| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let mut cells = cells.splitn(3, " | ");
        let (row, input, right) = (cells.next()?, cells.next()?, cells.next()?);
        let is_row = row.len() > 1 && row[1..].bytes().all(|byte| byte.is_ascii_digit());
        is_row.then(|| (row.to_owned(), format!("{row}: {input} -> {right}")))
    });
    rows.collect()
}

/// The fault of a test of these rows, if it has one.
fn fault(rows: &HashMap<String, String>, test: &NamedTest) -> Option<String> {
    let row = test.name.split('_').next().unwrap_or_default();
    let Some(text) = rows.get(&row.to_uppercase()) else {
        return Some(format!("{}: its name begins with no row", test.name));
    };
    let says_it = test.comment.starts_with(text);
    (!says_it).then(|| format!("{}: its comment does not begin with \"{text}\"", test.name))
}

#[test]
fn acceptance_tests_are_named_by_their_rows() {
    let acceptance = root().join("tests/acceptance");
    let lists = files_below(&acceptance.join("rows"), "md");
    assert!(!lists.is_empty(), "tests/acceptance/rows has the tables");
    let mut faults = Vec::new();
    for list in lists {
        let rows = rows_of(&read(&list));
        let table = list.file_stem().expect("a file of rows has a name");
        for source in files_below(&acceptance.join("tests").join(table), "rs") {
            for test in tests_in(&read(&source)) {
                let fault = fault(&rows, &test).map(|fault| format!("{}: {fault}", shown(&source)));
                faults.extend(fault);
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn a_test_under_a_wrong_row_is_found() {
    let rows = rows_of("| row | input | right |\n|---|---|---|\n| X1 | a `|` b | c |\n");
    assert_eq!(rows["X1"], "X1: a `|` b -> c");
    let test = |name: &str, comment: &str| NamedTest {
        name: name.to_owned(),
        comment: comment.to_owned(),
    };
    assert_eq!(
        fault(&rows, &test("x1_it", "X1: a `|` b -> c. More.")),
        None
    );
    for (name, comment) in [
        ("x2_it", "X1: a `|` b -> c"),
        ("x1_it", "X1: another"),
        ("it_holds", "X1: a `|` b -> c"),
    ] {
        assert!(
            fault(&rows, &test(name, comment)).is_some(),
            "{name}, {comment}"
        );
    }
}

#[test]
fn tests_are_read_with_their_comments() {
    let text = "/// Helps.\nfn help() {}\n\n/// One\n/// two.\n#[test]\n#[ignore]\nfn a_b() {}\n#[test]\nfn c() {}\n";
    let found: Vec<(String, String)> = tests_in(text)
        .into_iter()
        .map(|test| (test.name, test.comment))
        .collect();
    let expected = [("a_b", "One two."), ("c", "")];
    assert_eq!(
        found,
        expected.map(|(name, comment)| (name.to_owned(), comment.to_owned()))
    );
}
