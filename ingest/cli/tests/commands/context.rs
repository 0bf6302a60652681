//! `muster context`, and what commands do with a context whose server cannot be used. No secret is ever printed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::{Ended, muster, muster_with, text};

const SECRET: &str = "muster_4f1d9c_secret";

/// A home directory, and an authority with its server certificate.
struct Home {
    scratch: TempDir,
}

impl Home {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch directory can be made");
        let pki = scratch.path().join("pki");
        assert_eq!(muster(&["pki", "init", "--out", text(&pki)]).code, 0);
        fs::write(scratch.path().join("token"), SECRET).expect("it is writable");
        Self { scratch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Runs a command with this home, and checks that its output has no secret.
    fn muster(&self, variables: &[(&str, &str)], input: &str, arguments: &[&str]) -> Ended {
        let mut all = vec![("XDG_CONFIG_HOME", text(self.scratch.path()))];
        all.extend(variables);
        let ended = muster_with(&all, input, arguments);
        let printed = format!("{}{}", ended.out, ended.err);
        assert!(!printed.contains("secret"), "{arguments:?}: {printed}");
        ended
    }

    fn add(&self, name: &str, server: &str) {
        let (ca, token) = (self.path("pki/ca.pem"), self.path("token"));
        let place = ["--server", server, "--ca", text(&ca)];
        let token = ["--token-file", text(&token)];
        let arguments = [&["context", "add", name], &place[..], &token[..]].concat();
        self.muster(&[], "", &arguments).done();
    }
}

#[test]
fn contexts_are_added_listed_used_and_removed() {
    let home = Home::new();
    home.add("contoso", "https://localhost:7443");
    home.add("fabrikam", "muster.example.org:7443");
    let file = home.path("muster/contexts.toml");
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&home.path("muster")), 0o700);
    assert!(fs::read_to_string(&file).unwrap().contains(SECRET));

    let listed = home.muster(&[], "", &["context", "list", "-o", "csv"]);
    let ca = home.path("pki/ca.pem");
    assert_eq!(
        listed.done(),
        format!(
            "name,current,server,ca\ncontoso,True,https://localhost:7443,{ca}\n\
             fabrikam,False,https://muster.example.org:7443,{ca}\n",
            ca = ca.display()
        )
    );
    home.muster(&[], "", &["context", "use", "fabrikam"]).done();
    let shown = home.muster(&[], "", &["context", "show", "-o", "json"]);
    assert!(shown.done().contains("https://muster.example.org:7443"));
    home.muster(&[], "", &["context", "remove", "fabrikam"])
        .done();
    let gone = home.muster(&[], "", &["context", "show"]);
    assert!(gone.one_line(2).contains("no context is in use"));
    let unknown = home.muster(&[], "", &["context", "use", "fabrikam"]);
    assert!(unknown.one_line(2).contains("there is no context fabrikam"));
}

#[test]
fn a_token_is_read_from_standard_input_and_a_bad_one_is_not_quoted() {
    let home = Home::new();
    let ca = home.path("pki/ca.pem");
    let place = ["--server", "localhost:1", "--ca", text(&ca)];
    let add = [&["context", "add", "a", "--token-stdin"], &place[..]].concat();
    home.muster(&[], "muster_secret two\n", &add).one_line(2);
    home.muster(&[], "", &add).one_line(2);
    home.muster(&[], "muster_secret\n", &add).done();

    let replaced = home.muster(&[], "muster_secret_2\n", &add);
    assert_eq!(replaced.done(), "context a replaced\n");
    let key = home.path("pki/server.key");
    let place = ["--server", "localhost:1", "--ca", text(&key)];
    let add = [&["context", "add", "b", "--token-stdin"], &place[..]].concat();
    let no_authority = home.muster(&[], "muster_secret", &add);
    assert!(no_authority.one_line(4).contains("no certificate"));
}

#[test]
fn a_file_that_others_may_read_or_that_is_damaged_is_refused() {
    let home = Home::new();
    home.add("contoso", "https://localhost:7443");
    let file = home.path("muster/contexts.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let open = home.muster(&[], "", &["context", "list"]);
    assert!(open.one_line(3).contains("chmod 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for damage in [
        "x = \"secret",
        "secret = 1",
        "contexts = \"secret\"",
        "current = \"a secret\"",
    ] {
        fs::write(&file, format!("\n{damage}\n")).unwrap();
        let damaged = home.muster(&[], "", &["counts"]);
        assert!(damaged.one_line(3).contains("line 2 of"), "{}", damaged.err);
    }
}

#[test]
fn a_server_that_does_not_run_is_unreachable_whichever_way_it_is_named() {
    let home = Home::new();
    let unused = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("https://{}", listener.local_addr().unwrap())
    };
    home.add("first", "https://localhost:9");
    home.add("contoso", &unused);
    let (ca, token) = (home.path("pki/ca.pem"), home.path("token"));
    let of_environment = [
        ("MUSTER_SERVER", unused.as_str()),
        ("MUSTER_CA", text(&ca)),
        ("MUSTER_TOKEN_FILE", text(&token)),
    ];
    for ended in [
        home.muster(&[], "", &["counts", "--context", "contoso"]),
        home.muster(&[("MUSTER_CONTEXT", "contoso")], "", &["get", "policies"]),
        home.muster(&of_environment, "", &["devices", "why", "x"]),
    ] {
        let line = ended.one_line(8);
        assert!(
            line.contains(&unused) && line.contains("connection refused"),
            "{line}"
        );
    }
    // Half an environment would send the token of a context to another server.
    let half = home.muster(&of_environment[..1], "", &["counts"]);
    assert!(half.one_line(2).contains("MUSTER_CA"));
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = muster(&["completions", shell]);
        for word in ["context", "role-assignments", "ndjson", "order-by"] {
            assert!(script.done().contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn documents_without_a_type_are_refused_before_a_server_is_asked() {
    let ended = muster_with(&[], "displayName: a\n", &["apply", "-f", "-"]);
    let line = ended.one_line(2);
    assert_eq!(
        line,
        "standard input, document 1 (a): its type is unknown: give it @odata.type, or use --type"
    );
}
