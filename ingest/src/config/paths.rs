//! Refuses configured paths inside the data directory, compared with symbolic links resolved.
//!
//! Reads the file system, so it is part of [`Config::load`] and not of [`Config::parse`]. The paths need not exist yet.
//! The server checks again before each backup, because a link may have changed since.

use std::path::Path;

use muster_store::is_inside;

use super::Config;
use super::fault::ConfigFault;

/// The faults in all paths.
pub(super) fn faults(config: &Config) -> Vec<ConfigFault> {
    let (listen, store) = (&config.listen, &config.store);
    let data = store.directory.as_path();
    let mut faults = Vec::new();
    for (key, path) in [
        ("listen.certificate", &listen.certificate),
        ("listen.key", &listen.key),
        ("listen.client_ca", &listen.client_ca),
    ] {
        // A file whose path cannot be resolved cannot be read either, and the error of that read says why.
        if is_inside(path, data).unwrap_or(false) {
            faults.push(fault(key, inside(path, data)));
        }
    }
    for (key, path) in [
        ("api.certificate", &config.api.certificate),
        ("api.key", &config.api.key),
    ] {
        if let Some(path) = path
            && is_inside(path, data).unwrap_or(false)
        {
            faults.push(fault(key, inside(path, data)));
        }
    }
    for issuer in &config.api.issuers {
        if let Some(path) = &issuer.ca
            && is_inside(path, data).unwrap_or(false)
        {
            faults.push(fault("api.issuers.ca", inside(path, data)));
        }
    }
    if let Some(path) = &store.backup_directory {
        let key = "store.backup_directory";
        match is_inside(path, data) {
            Ok(false) => {}
            Ok(true) => faults.push(fault(key, inside(path, data))),
            Err(error) => faults.push(fault(key, format!("{}: {error}", path.display()))),
        }
    }
    faults
}

fn fault(key: &str, message: String) -> ConfigFault {
    ConfigFault {
        line: None,
        path: key.to_owned(),
        message,
    }
}

fn inside(path: &Path, data: &Path) -> String {
    format!(
        "{} is inside store.directory, {}, which may contain only the store: use a path outside it",
        path.display(),
        data.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::tests::MINIMAL;
    use super::*;

    /// The faults in the minimal configuration, whose data directory is `data`, with `from` replaced by `to`.
    fn faults_with(scratch: &Path, from: &str, to: &str) -> Vec<String> {
        let text = MINIMAL.replace(from, to);
        assert_ne!(text, MINIMAL);
        let file = scratch.join("muster.toml");
        fs::write(&file, text).unwrap();
        Config::load(&file)
            .err()
            .map(|faults| faults.lines().collect())
            .unwrap_or_default()
    }

    #[test]
    fn a_path_inside_the_data_directory_is_refused_however_it_is_written() {
        let scratch = tempfile::tempdir().unwrap();
        let at = scratch.path();
        symlink("data", at.join("link")).unwrap();
        symlink("loop", at.join("loop")).unwrap();
        let with = |path: &str| {
            let keys = format!("[store]\nbackup_directory = \"{path}\"");
            faults_with(at, "[store]", &keys)
        };
        // First without the data directory, then with it.
        for _ in 0..2 {
            for good in ["backups", "link/../backups", "data2"] {
                assert_eq!(with(good), [""; 0], "{good}");
            }
            for bad in ["data", "data/backups", "x/../data/b", "link", "link/b"] {
                let found = with(bad);
                let [line] = found.as_slice() else {
                    panic!("{bad}: {found:?}");
                };
                assert!(line.contains("store.backup_directory: "), "{line}");
                assert!(line.contains("is inside store.directory"), "{line}");
            }
            assert!(with("loop/b")[0].contains("links"), "{:?}", with("loop/b"));
            fs::create_dir_all(at.join("data")).unwrap();
        }
        let found = faults_with(at, "pki/server.pem", "link/server.pem");
        assert!(found[0].contains("listen.certificate: "), "{found:?}");
    }
}
