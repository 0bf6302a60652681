//! A real provider of OpenID Connect (`oidc-provider`), as a child process with the certificate of the server under test.
//!
//! Its packages are installed by npm, once for each version of the lock file, into the target directory.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::harness::*;

/// A running provider, which ends when dropped.
pub(crate) struct Provider {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    ca: PathBuf,
    /// Its URL.
    pub(crate) issuer: String,
}

/// Whether a program can be run.
fn exists(program: &str) -> bool {
    let ran = Command::new(program).arg("--version").output();
    ran.is_ok_and(|output| output.status.success())
}

/// The folder with the provider and its packages.
fn installed() -> PathBuf {
    let source = repository_root().join("tests/acceptance/issuer");
    let test = std::env::current_exe().expect("the system reports the path of the test");
    let target = test.ancestors().nth(3).expect("cargo puts tests into it");
    let files = ["package.json", "package-lock.json", "provider.js"];
    let mut hasher = DefaultHasher::new();
    for file in files {
        let content = fs::read(source.join(file));
        content.expect("it is in the repository").hash(&mut hasher);
    }
    let folder = target.join(format!("issuer-{:016x}", hasher.finish()));
    if folder.exists() {
        return folder;
    }
    // Another process may do the same: each installs into a separate folder, and the first one stays.
    let scratch = tempfile::tempdir_in(target).expect("the target directory is writable");
    for file in files {
        fs::copy(source.join(file), scratch.path().join(file)).expect("both can be used");
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let output = npm.current_dir(scratch.path()).output();
    let output = output.expect("npm can be run");
    assert!(
        output.status.success(),
        "npm cannot install the provider: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    // It fails if the other process was faster.
    let _ = fs::rename(scratch.path(), &folder);
    folder
}

impl Provider {
    /// Starts a provider with the certificate of an installation; `None` without Node.js.
    pub(crate) fn start(place: &Installation) -> Option<Self> {
        if !exists("node") || !exists("npm") {
            eprintln!(
                "SKIPPED, NOTHING WAS CHECKED: node or npm is missing; run scripts/setup --tests"
            );
            return None;
        }
        let path = |name: &str| place.path("pki").join(name);
        let mut node = Command::new("node");
        node.current_dir(installed())
            .arg("provider.js")
            .args([path("server.pem"), path("server.key")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = node.spawn().expect("node can be run");
        let output = process.stdout.take().expect("it is a pipe");
        let mut provider = Self {
            input: process.stdin.take(),
            output: BufReader::new(output),
            process,
            ca: path("ca.pem"),
            issuer: String::new(),
        };
        provider.issuer = provider.line();
        Some(provider)
    }

    /// The next line that is not a notice of the package.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line);
            assert!(read.expect("it writes text") > 0, "the provider has ended");
            if !line.starts_with("oidc-provider ") {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Replaces its keys: the old ones are withdrawn at once.
    pub(crate) fn rotate(&mut self) {
        let input = self.input.as_mut().expect("it runs");
        writeln!(input, "rotate").expect("it runs");
        assert_eq!(self.line(), "rotated");
    }

    /// A new access token of a client for an audience.
    #[track_caller]
    pub(crate) fn token(&self, client: &str, audience: &str) -> String {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "60"])
            .args(["--cacert", text(&self.ca)])
            .args(["--user", &format!("{client}:{client}")])
            .args(["--data", "grant_type=client_credentials"])
            .args(["--data", "scope=api"])
            .args(["--data-urlencode", &format!("resource={audience}")])
            .arg(format!("{}/token", self.issuer))
            .output()
            .expect("curl is installed");
        let body = String::from_utf8_lossy(&output.stdout);
        let document: Value = serde_json::from_str(&body).unwrap_or_default();
        let token = document["access_token"].as_str();
        token
            .unwrap_or_else(|| panic!("{body}{}", String::from_utf8_lossy(&output.stderr)))
            .to_owned()
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It fails only if the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The section of the configuration for an issuer.
pub(crate) fn section(issuer: &str, audience: &str, ca: &Path) -> String {
    format!(
        r#"
[[api.issuers]]
issuer = "{issuer}"
audience = "{audience}"
tenant = "contoso"
ca = "{}"
roles = {{ "Muster.Admin" = "Administrator", "Muster.Reader" = "Read Only Operator", "Muster.Helper" = "Help Desk Operator" }}
"#,
        ca.display()
    )
}
