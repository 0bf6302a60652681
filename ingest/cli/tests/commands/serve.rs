//! `muster serve`: errors before anything is started.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{muster, text};

/// A configuration with a fresh authority; the data directory does not exist yet.
fn set_up(scratch: &Path) -> PathBuf {
    muster(&["pki", "init", "--out", text(&scratch.join("pki"))]).done();
    let file = scratch.join("muster.toml");
    let configuration = r#"
        [listen]
        address = "127.0.0.1:0"
        certificate = "pki/server.pem"
        key = "pki/server.key"
        client_ca = "pki/ca.pem"
        [api]
        address = "127.0.0.1:0"
        [ops]
        address = "127.0.0.1:0"
        [store]
        directory = "data"
    "#;
    fs::write(&file, configuration).expect("a scratch directory is writable");
    file
}

#[test]
fn an_unusable_certificate_is_named_in_one_line() {
    let scratch = tempfile::tempdir().unwrap();
    let file = set_up(scratch.path());
    let certificate = scratch.path().join("pki/server.pem");
    let serve = ["serve", "--config", text(&file)];

    fs::write(&certificate, "no certificate").unwrap();
    let ended = muster(&serve);
    let line = ended.one_line(4);
    assert!(
        line.starts_with(&format!(
            "{} (listen.certificate) contains no usable",
            certificate.display()
        )),
        "{line}"
    );

    fs::remove_file(&certificate).unwrap();
    assert!(muster(&serve).one_line(4).contains("cannot read"));
    assert!(
        !scratch.path().join("data").exists(),
        "the data directory is not touched"
    );
}

#[test]
fn an_invalid_configuration_is_refused_before_the_certificates_are_read() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("muster.toml");
    fs::write(&file, "[listen]\nport = 1\n").unwrap();
    let ended = muster(&["serve", "--config", text(&file)]);
    assert_eq!(ended.code, 3);
    assert!(
        ended.err.contains("listen.port: unknown key"),
        "{}",
        ended.err
    );
}
