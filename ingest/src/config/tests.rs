//! Tests of parsing, defaults, errors and the reference of the configuration.

mod reference;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Config, ConfigFaults, LogFormat};

/// The smallest configuration that is valid: every key without a default.
pub(crate) const MINIMAL: &str = include_str!("../../tests/fixtures/minimal.toml");

fn parse(text: &str) -> Result<Config, ConfigFaults> {
    Config::parse(text, Path::new("/srv/muster"))
}

/// The errors of `text` as lines.
#[track_caller]
fn faults(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => panic!("this is valid:\n{text}"),
        Err(faults) => faults.lines().collect(),
    }
}

/// The only error of the minimal configuration with `section` added.
#[track_caller]
fn fault_with(section: &str) -> String {
    let found = faults(&format!("{MINIMAL}\n{section}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

#[test]
fn the_minimal_configuration_is_filled_with_defaults() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:7440");
    assert_eq!(config.ops.address.to_string(), "127.0.0.1:7441");
    assert_eq!(config.listen.idle_timeout.get(), Duration::from_secs(30));
    assert_eq!(
        config.listen.next_check_in.get(),
        Duration::from_secs(8 * 3_600)
    );
    assert_eq!(config.listen.udp_receive_buffer.get(), 8 << 20);
    assert_eq!(config.store.checkpoint_journal_bytes.get(), 256 << 20);
    assert_eq!(
        (config.shards.threads, config.shards.inbox_batches),
        (0, 256)
    );
    assert_eq!(
        (config.log.level.as_str(), config.log.format),
        ("info", LogFormat::Text)
    );
    assert_eq!(config.shards.tenants_max, 16);
}

#[test]
fn relative_paths_are_resolved_against_the_directory_of_the_file() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(
        config.listen.certificate,
        PathBuf::from("/srv/muster/pki/server.pem")
    );
    assert_eq!(config.listen.client_ca, PathBuf::from("/etc/muster/ca.pem"));
    assert_eq!(config.store.directory, PathBuf::from("/srv/muster/data"));
}

#[test]
fn a_printed_configuration_parses_back_to_an_equal_one() {
    let text = format!(
        "{MINIMAL}\n[listen.unused]\n[log]\nlevel = \"warn,muster_ingest=debug\"\nformat = \"json\"\n"
    )
    .replace("[listen.unused]\n", "");
    let config = parse(&text).unwrap();
    let printed = config.to_toml();
    assert_eq!(
        Config::parse(&printed, Path::new("/elsewhere")).unwrap(),
        config,
        "{printed}"
    );
}

#[test]
fn every_fault_is_reported_at_once_with_its_line() {
    let found = faults(
        r#"[listen]
adress = "0.0.0.0:7440"
certificate = "server.pem"
key = 7
connections_max = 0
idle_timeout = "30"

[ops]
address = "0.0.0.0:7441"

[stor]
directory = "data"

[[tenants]]
name = "contoso"
"#,
    );
    let expected = [
        "line 2: listen.adress: unknown key; known keys: ",
        "line 4: listen.key: expected string, found integer",
        "line 5: listen.connections_max: 0 is out of range; allowed: 1 to 1000000",
        "line 6: listen.idle_timeout: \"30\" is not a duration: its unit is missing or unknown (ms, s, m, h or d); allowed: ",
        "line 9: ops.address: 0.0.0.0:7441 can be reached from other machines",
        "line 11: stor: unknown key; known keys: listen, api, ops, store, shards, shutdown, log, test",
        "line 14: tenants: unknown key; tenants are created with POST /tenants on the operations endpoint",
        "listen.client_ca: missing",
        "store.directory: missing",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for start in expected {
        assert!(
            found.iter().any(|line| line.starts_with(start)),
            "no line starts with {start:?}: {found:#?}"
        );
    }
    let numbered: Vec<bool> = found.iter().map(|line| line.starts_with("line ")).collect();
    assert!(
        numbered.is_sorted_by(|one, two| one >= two),
        "faults without a line come last: {found:#?}"
    );
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let text = MINIMAL.replace("[listen]", "[listen]\nconnections_max = 10");
    let found = faults(&text);
    assert_eq!(
        found,
        ["listen.handshakes_max: 256 exceeds listen.connections_max, which is 10"],
        "a key that is not set has no line"
    );
    let text = MINIMAL.replace("[store]", "[store]\ncheckpoint_journal_bytes = \"1MiB\"");
    assert!(faults(&text)[0].contains("less than store.group_bytes_max"));
    let text = MINIMAL.replace("[listen]", "[listen]\nnext_check_in = \"1500ms\"");
    assert!(faults(&text)[0].contains("not a whole number of seconds"));
}

#[test]
fn backups_are_off_unless_they_have_a_directory() {
    assert_eq!(parse(MINIMAL).unwrap().store.backup_directory, None);
    let text = MINIMAL.replace("[store]", "[store]\nbackup_directory = \"backups\"");
    let config = parse(&text).unwrap();
    let base = config.store.directory.parent().unwrap();
    assert_eq!(config.store.backup_directory, Some(base.join("backups")));
}

#[test]
fn sections_of_another_type_are_refused() {
    assert_eq!(
        faults(&format!("ops = 1\n{MINIMAL}")),
        ["line 1: ops: expected a table, found integer"]
    );
}

#[test]
fn numbers_outside_of_the_range_of_the_integer_are_out_of_range() {
    for number in [
        "-1",
        "65537",
        "9223372036854775808",
        "99999999999999999999999",
    ] {
        let found = fault_with(&format!("[shards]\ninbox_batches = {number}"));
        assert!(
            found.contains("out of range; allowed: 16 to 65536"),
            "{found}"
        );
    }
    let text = format!("{MINIMAL}\n[shards]\ninbox_batches = 0x1_00");
    assert_eq!(parse(&text).unwrap().shards.inbox_batches, 256);
}

#[test]
fn a_log_level_that_would_silence_everything_is_refused() {
    for level in ["", "verbose", "info,loud", "muster_ingest=loud"] {
        let found = fault_with(&format!("[log]\nlevel = \"{level}\""));
        assert!(found.contains("log.level"), "{found}");
    }
}

#[test]
fn every_syntax_error_is_reported_and_nothing_else() {
    let found = faults("[listen\naddress = \nkey = \"a\"\n= 3\n");
    assert!(found.len() >= 2, "{found:#?}");
    assert!(
        found.iter().all(|line| line.contains("not valid TOML")),
        "{found:#?}"
    );
    let found = faults(&format!("{MINIMAL}directory = \"twice\"\n"));
    assert!(found[0].contains("duplicate key"), "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_one_fault() {
    let missing = Path::new("/nonexistent/muster.toml");
    let found: Vec<String> = Config::load(missing).unwrap_err().lines().collect();
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("/nonexistent/muster.toml: cannot be read: "),
        "{found:?}"
    );
}

#[test]
fn a_file_is_named_in_each_of_its_faults() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("muster.toml");
    std::fs::write(&file, format!("{MINIMAL}\n[ops]\nport = 1\n")).unwrap();
    let found: Vec<String> = Config::load(&file).unwrap_err().lines().collect();
    assert!(
        found[0].starts_with(&format!("{}:10: ops.port: unknown key", file.display())),
        "{found:?}"
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]a-z0-9.=\"{}\n ,#-]{0,200}") {
        let _ = parse(&text);
    }
}

/// An issuer, with `from` replaced by `to`.
fn issuer(from: &str, to: &str) -> String {
    let text = "[[api.issuers]]\nissuer = \"https://login.example.test\"\naudience = \"muster\"\n\
        tenant = \"contoso\"\nroles = { \"a.b\" = \"Administrator\" }\n";
    let replaced = text.replace(from, to);
    assert!(from.is_empty() || replaced != text);
    replaced
}

#[test]
fn issuers_are_read_with_their_defaults() {
    let other = issuer("\"muster\"", "\"other\"\nca = \"pki/ca.pem\"");
    let config = parse(&format!("{MINIMAL}\n{}{other}", issuer("", ""))).unwrap();
    let [first, second] = config.api.issuers.as_slice() else {
        panic!("{:?}", config.api.issuers);
    };
    assert_eq!(first.claim, "roles");
    assert_eq!(first.name_claim, "preferred_username");
    assert_eq!(first.roles["a.b"], "Administrator");
    assert_eq!(first.ca, None);
    assert_eq!(second.ca, Some(PathBuf::from("/srv/muster/pki/ca.pem")));
    assert_eq!(
        Config::parse(&config.to_toml(), Path::new("/elsewhere")).unwrap(),
        config
    );
}

#[test]
fn a_wrong_issuer_is_refused_with_its_line() {
    for (from, to, expected) in [
        (
            "https:",
            "http:",
            "line 10: api.issuers.issuer: it must be an https URL",
        ),
        (
            "\"https://login.example.test\"",
            "\"login\"",
            "api.issuers.issuer: ",
        ),
        (
            "issuer = \"https://login.example.test\"\n",
            "",
            "api.issuers.issuer: missing",
        ),
        (
            "audience = \"muster\"\n",
            "",
            "api.issuers.audience: missing",
        ),
        ("\"muster\"", "\"\"", "api.issuers.audience: it is empty"),
        ("tenant = \"contoso\"\n", "", "api.issuers.tenant: missing"),
        ("\"contoso\"", "\"no/tenant\"", "api.issuers.tenant: "),
        ("roles = {", "rolls = {", "api.issuers.roles: missing"),
        (
            "{ \"a.b\" = \"Administrator\" }",
            "{}",
            "api.issuers.roles: it has 0 pairs",
        ),
        (
            "\"Administrator\"",
            "7",
            "\"a.b\": expected string, found integer",
        ),
        (
            "{ \"a.b\" = \"Administrator\" }",
            "\"Administrator\"",
            "expected table",
        ),
    ] {
        let found = faults(&format!("{MINIMAL}\n{}", issuer(from, to)));
        let is_listed = found.iter().any(|line| line.contains(expected));
        assert!(is_listed, "{expected}: {found:#?}");
    }
    let twice = format!("{MINIMAL}\n{}", issuer("", "").repeat(2));
    assert!(faults(&twice)[0].contains("twice"));
    let many = (0..17).map(|number| issuer("\"muster\"", &format!("\"{number}\"")));
    let many = format!("{MINIMAL}\n{}", many.collect::<String>());
    assert!(faults(&many)[0].contains("17 issuers; at most 16"));
    for wrong in [
        "issuers = 7",
        "issuers = [7]",
        "[api.issuers]\nissuer = \"x\"",
    ] {
        let text = match wrong.strip_prefix('[') {
            Some(_) => wrong.to_owned(),
            None => format!("[api]\n{wrong}"),
        };
        assert!(faults(&format!("{MINIMAL}\n{text}"))[0].contains("expected a"));
    }
}
