//! Tests of the written files, their modes, and that none is overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use muster_wire::Identity;

use super::{PkiDirectory, write_identities};
use crate::pki::{CertificateAuthority, PkiError, Validity};

const DEVICE: &str = "muster://contoso/device/0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01";
const GATEWAY: &str = "muster://contoso/gateway/building-7";

fn validity() -> Validity {
    Validity::from_now(
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        30,
    )
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn make(directory: &PkiDirectory) -> Result<CertificateAuthority, PkiError> {
    let authority = CertificateAuthority::create(validity()).unwrap();
    let server = authority.issue_server(&[], validity()).unwrap();
    directory.create(&authority, &server).map(|()| authority)
}

#[test]
fn an_authority_written_to_files_loads_again_and_its_keys_are_private() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = PkiDirectory::at(&scratch.path().join("new"));
    let authority = make(&directory).unwrap();
    assert_eq!(mode(&directory.ca_key), 0o600);
    assert_eq!(mode(&directory.server_key), 0o600);
    let loaded = directory.load_authority().unwrap();
    assert_eq!(loaded.certificate_pem(), authority.certificate_pem());
}

#[test]
fn one_existing_file_is_enough_to_write_none() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = PkiDirectory::at(scratch.path());
    fs::write(&directory.server_key, "precious").unwrap();
    let refused = make(&directory).unwrap_err();
    assert!(matches!(refused, PkiError::Exists { path } if path == directory.server_key));
    assert_eq!(
        fs::read_to_string(&directory.server_key).unwrap(),
        "precious"
    );
    assert!(!directory.ca_certificate.exists() && !directory.ca_key.exists());
}

#[test]
fn each_identity_is_one_private_file_with_certificate_and_key() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::create(validity()).unwrap();
    let identities: Vec<Identity> = [DEVICE, GATEWAY].map(|text| text.parse().unwrap()).into();
    let files = write_identities(&authority, &identities, validity(), scratch.path()).unwrap();
    assert_eq!(
        files[0],
        scratch
            .path()
            .join("0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01.pem")
    );
    assert_eq!(files[1], scratch.path().join("building-7.pem"));
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 1);
        assert_eq!(text.matches("BEGIN PRIVATE KEY").count(), 1);
        assert_eq!(mode(file), 0o600);
    }
    let again = write_identities(&authority, &identities, validity(), scratch.path());
    assert!(matches!(again, Err(PkiError::Exists { .. })));
}

#[test]
fn the_same_identity_twice_is_refused_before_anything_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::create(validity()).unwrap();
    let identities: Vec<Identity> = [GATEWAY, DEVICE, DEVICE]
        .map(|text| text.parse().unwrap())
        .into();
    let refused = write_identities(&authority, &identities, validity(), scratch.path());
    assert!(matches!(refused, Err(PkiError::Repeated(_))));
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}
