//! `muster pki`: files, their modes, and errors.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use muster_ingest::pki::identity_of;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::{Ended, muster, text};

const DEVICE: &str = "0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01";

fn init(directory: &Path, server_name: &str) -> Ended {
    let directory = text(directory);
    muster(&[
        "pki",
        "init",
        "--out",
        directory,
        "--server-name",
        server_name,
    ])
}

/// Issues certificates of the authority in `pki` for the tenant `contoso`; `subject` says for whom.
fn issue(pki: &Path, out: &Path, subject: &[&str]) -> Ended {
    let (pki, out) = (text(pki), text(out));
    let issue = [
        "pki", "issue", "--pki", pki, "--out", out, "--tenant", "contoso",
    ];
    muster(&[&issue[..], subject].concat())
}

fn identity(file: &Path) -> String {
    let der = CertificateDer::from_pem_file(file).expect("the file contains a certificate");
    identity_of(&der)
        .expect("the certificate has an identity")
        .to_string()
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file)
        .expect("the file exists")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn an_authority_is_created_and_issues_certificates() {
    let scratch = tempfile::tempdir().unwrap();
    let (pki, out) = (scratch.path().join("pki"), scratch.path().join("out"));
    init(&pki, "muster.example").done();
    for name in ["ca.key", "server.key"] {
        assert_eq!(mode(&pki.join(name)), 0o600, "{name}");
    }

    let gateway = out.join("west.pem");
    let printed = issue(&pki, &out, &["--gateway", "west"]);
    assert_eq!(printed.done(), format!("{}\n", gateway.display()));
    assert_eq!(identity(&gateway), "muster://contoso/gateway/west");

    issue(&pki, &out, &["--device", DEVICE, "--days", "1"]).done();
    let device = out.join(format!("{DEVICE}.pem"));
    assert_eq!(
        identity(&device),
        format!("muster://contoso/device/{DEVICE}")
    );
    assert_eq!(mode(&device), 0o600);
}

#[test]
fn a_seed_reproduces_the_ids_of_random_devices() {
    let scratch = tempfile::tempdir().unwrap();
    let pki = scratch.path().join("pki");
    init(&pki, "muster.example").done();
    let names = |out: &str, seed: &[&str]| -> BTreeSet<String> {
        let out = scratch.path().join(out);
        issue(&pki, &out, &[&["--random-devices", "5"], seed].concat()).done();
        fs::read_dir(out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let seeded = names("one", &["--seed", "7"]);
    assert_eq!(seeded.len(), 5);
    assert_eq!(seeded, names("two", &["--seed", "7"]));
    assert!(seeded.is_disjoint(&names("three", &["--seed", "8"])));
    assert!(seeded.is_disjoint(&names("four", &[])));
}

#[test]
fn existing_files_are_not_overwritten() {
    let scratch = tempfile::tempdir().unwrap();
    let pki = scratch.path().join("pki");
    init(&pki, "muster.example").done();
    let before = fs::read(pki.join("ca.key")).unwrap();
    let again = init(&pki, "muster.example");
    assert!(
        again
            .one_line(4)
            .contains("ca.pem exists and is not overwritten")
    );
    assert_eq!(fs::read(pki.join("ca.key")).unwrap(), before);

    let conflict = issue(&pki, &pki, &["--gateway", "server"]);
    assert!(
        conflict.one_line(4).contains("server.pem exists"),
        "the certificate of a gateway does not replace that of the server"
    );
}

#[test]
fn a_certificate_that_cannot_be_issued_is_an_error_of_one_line() {
    let scratch = tempfile::tempdir().unwrap();
    let pki = scratch.path().join("pki");
    let missing = issue(&pki, &pki, &["--gateway", "west"]);
    assert!(missing.one_line(4).contains("ca.pem"));

    init(&pki, "muster.example").done();
    let zero = "00000000-0000-0000-0000-000000000000";
    issue(&pki, &pki, &["--device", zero]).one_line(2);
    issue(&pki, &pki, &["--device", DEVICE, "--device", DEVICE]).one_line(2);
    assert_eq!(
        init(&scratch.path().join("b"), "a b").one_line(2),
        "\"a b\" is neither a host name nor an IP address"
    );
}
