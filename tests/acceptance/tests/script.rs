//! The results that `scripts/acceptance` reports for a run, in a clone with three rows and a fake cargo.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use muster_testkit::harness::repository_root;
use tempfile::TempDir;

/// A clone with the table `t`: a row with one test, a row with two, and a row without tests.
struct Clone(TempDir);

impl Clone {
    fn new() -> Self {
        let clone = Self(tempfile::tempdir().expect("a temporary directory can be created"));
        let scripts = repository_root().join("scripts");
        for name in ["acceptance", "lib.sh"] {
            let text = fs::read_to_string(scripts.join(name)).expect("the script exists");
            clone.program(&format!("scripts/{name}"), &text);
        }
        clone.program("scripts/setup", "#!/bin/sh\n");
        clone.write(
            "tests/acceptance/rows/t.md",
            "# Rows\n\n| row | input | right |\n|---|---|---|\n\
             | X1 | a | b |\n| X2 | c | d |\n| X3 | e | f |\n",
        );
        clone.write(
            "tests/acceptance/tests/t/main.rs",
            "mod more;\n#[test]\nfn x1_one() {}\n",
        );
        clone.write(
            "tests/acceptance/tests/t/more.rs",
            "fn help() {}\n\n/// A comment.\n#[test]\nfn x2_one() {}\n\n\
             #[test]\n#[ignore = \"slow\"]\nfn x2_two() {}\n",
        );
        clone
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        let folder = path.parent().expect("the path is in the clone");
        fs::create_dir_all(folder).expect("a scratch directory is writable");
        fs::write(path, text).expect("a scratch directory is writable");
    }

    fn program(&self, name: &str, text: &str) {
        self.write(name, text);
        let path = self.0.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .expect("the test owns the file");
    }

    /// Runs the script with a fake cargo: the build exits with `build`, the tests print `events` and exit with `code`.
    fn run(&self, build: u8, events: &[(&str, &str)], code: u8, arguments: &[&str]) -> Output {
        let events: String = events
            .iter()
            .map(|(name, event)| {
                format!(
                    "{{\"type\":\"test\",\"event\":\"{event}\",\"name\":\"muster-acceptance::t${name}\",\
                     \"stdout\":\"\\\"event\\\":\\\"ok\\\"\"}}\n"
                )
            })
            .collect();
        self.write(
            "events",
            &format!("{{\"type\":\"suite\",\"event\":\"started\"}}\n{events}"),
        );
        let clone = self.0.path().display();
        let cargo = format!(
            "#!/bin/sh\ncase $1 in\n  metadata) echo '{{\"target_directory\":\"{clone}\"}}' ;;\n  \
             build) exit {build} ;;\n  nextest) cat '{clone}/events'; exit {code} ;;\nesac\n"
        );
        self.program("bin/cargo", &cargo);
        let path = std::env::var("PATH").expect("PATH is set");
        Command::new(self.0.path().join("scripts/acceptance"))
            .args(arguments)
            .env("PATH", format!("{clone}/bin:{path}"))
            .env("CARGO_HOME", Path::new("/nonexistent"))
            .output()
            .expect("the script starts")
    }

    /// The last line of the output and the exit code.
    fn verdict(&self, build: u8, events: &[(&str, &str)], code: u8) -> (String, Option<i32>) {
        let output = self.run(build, events, code, &["t", "--json"]);
        let out = String::from_utf8(output.stdout).expect("the output is UTF-8");
        let last = out.lines().last().unwrap_or_default().to_owned();
        (last, output.status.code())
    }
}

const ALL_OK: [(&str, &str); 3] = [
    ("x1_one", "ok"),
    ("more::x2_one", "ok"),
    ("more::x2_two", "ok"),
];
const NONE_PASSES: &str = r#"{"rows":3,"passed":0,"failed":["X1","X2"],"skipped":["X3"]}"#;
const X2_FAILS: &str = r#"{"rows":3,"passed":1,"failed":["X2"],"skipped":["X3"]}"#;

#[test]
fn a_row_passes_if_all_its_tests_pass_and_is_skipped_if_it_has_none() {
    let verdict = Clone::new().verdict(0, &ALL_OK, 0);
    let expected = r#"{"rows":3,"passed":2,"failed":[],"skipped":["X3"]}"#;
    assert_eq!(verdict, (expected.to_owned(), Some(0)));
}

#[test]
fn a_row_fails_if_one_of_its_tests_fails() {
    let clone = Clone::new();
    for event in ["failed", "timeout", "ignored", "started"] {
        for code in [0, 100] {
            let events = [ALL_OK[0], ALL_OK[1], ("more::x2_two", event)];
            let verdict = clone.verdict(0, &events, code);
            assert_eq!(verdict, (X2_FAILS.to_owned(), Some(1)), "{event}, {code}");
        }
    }
    // A test that passed in a retry.
    let events = [&ALL_OK[..], &[("more::x2_two", "failed")]].concat();
    assert_eq!(clone.verdict(0, &events, 0), (X2_FAILS.to_owned(), Some(1)));
    // A run that ended before the test.
    let verdict = clone.verdict(0, &ALL_OK[..2], 0);
    assert_eq!(verdict, (X2_FAILS.to_owned(), Some(1)));
}

#[test]
fn no_row_passes_in_a_run_that_fails_for_another_reason() {
    let clone = Clone::new();
    let none = (NONE_PASSES.to_owned(), Some(1));
    assert_eq!(clone.verdict(0, &ALL_OK, 101), none);
    assert_eq!(clone.verdict(0, &[], 101), none, "the tests do not compile");
    assert_eq!(
        clone.verdict(1, &ALL_OK, 0),
        none,
        "the server does not compile"
    );

    let stray = [&ALL_OK[..], &[("x9_no_row", "failed")]].concat();
    assert_eq!(clone.verdict(0, &stray, 100), none);
}

#[test]
fn the_table_shows_the_same_results() {
    let clone = Clone::new();
    let events = [ALL_OK[0], ("more::x2_one", "failed"), ALL_OK[2]];
    let output = clone.run(0, &events, 100, &["t"]);
    let out = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "X1 passed a | b |",
            "X2 failed c | d |",
            "X3 skipped e | f |",
            "3 rows: 1 passed, 1 failed, 1 skipped"
        ]
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn wrong_arguments_are_refused() {
    let clone = Clone::new();
    for arguments in [&[][..], &["u"], &["t", "t"], &["t", "--jason"], &["../t"]] {
        let output = clone.run(0, &ALL_OK, 0, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}
