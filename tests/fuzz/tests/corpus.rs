//! Runs every target over its corpus and over seeded mutations of it, as a part of every test run.
//!
//! `MUSTER_WRITE_SEEDS=DIR` with `--ignored` writes the seed inputs, the first files of a corpus, to DIR/TARGET.
//! `MUSTER_FUZZ_SEED` and `MUSTER_FUZZ_MUTATIONS` set the seed and the number of mutations.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use muster_cli::pki::{CertificateAuthority, Validity};
use muster_fuzz::{TARGETS, Target, seed_inputs};

/// Mutations per target, so that all targets together take seconds.
const MUTATIONS: u64 = 20_000;

/// Maximum size of a mutated input.
const INPUT_BYTES_MAX: usize = 16 << 10;

/// The directory of this crate. Read at run time, since clones that share a target directory share this binary.
fn crate_directory() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo sets the variable")
        .into()
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = crate_directory().join("corpus").join(target);
    let files =
        fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = files
        .map(|file| file.expect("the directory is readable").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).expect("the file is readable");
            (path, bytes)
        })
        .collect()
}

/// The seed inputs of a target.
fn seed_inputs_of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "certificate" => vec![client_certificate("muster://contoso/gateway/gw-1")],
        other => seed_inputs::of(other),
    }
}

/// A client certificate (DER). Its key and signature differ in every run.
fn client_certificate(identity: &str) -> Vec<u8> {
    let validity = Validity::from_now(UNIX_EPOCH + Duration::from_secs(1_800_000_000), 10);
    let authority = CertificateAuthority::create(validity).expect("the authority is created");
    let identity = identity.parse().expect("the identity is valid");
    let issued = authority.issue_client(&identity, validity);
    pem_to_der(&issued.expect("the certificate is issued").certificate_pem)
}

/// Decodes a PEM text with one certificate.
fn pem_to_der(pem: &str) -> Vec<u8> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut der = Vec::new();
    for letter in pem
        .lines()
        .filter(|line| !line.starts_with('-'))
        .flat_map(str::bytes)
    {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            der.push((bits >> count) as u8);
        }
    }
    der
}

/// SplitMix64: small, and equal on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Applies up to four mutations of the kinds that fuzzers use.
    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..1 + self.below(4) {
            let at = self.below(input.len());
            let few = 1 + self.below(16);
            match self.below(7) {
                0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
                1 if !input.is_empty() => input[at] = self.next() as u8,
                2 if !input.is_empty() => {
                    let boundaries = [0, 1, 0x7f, 0x80, 0xff];
                    let end = (at + few).min(input.len());
                    input[at..end].fill(boundaries[self.below(boundaries.len())]);
                }
                3 => input.truncate(at),
                4 => {
                    let end = (at + few).min(input.len());
                    input.drain(at..end);
                }
                5 => {
                    let piece = input[at..(at + few).min(input.len())].to_vec();
                    input.splice(at..at, piece);
                }
                _ => {
                    let from = self.below(other.len());
                    let piece = other[from..(from + few).min(other.len())].to_vec();
                    input.splice(at..at, piece);
                }
            }
        }
        input.truncate(INPUT_BYTES_MAX);
    }
}

/// A number from an environment variable.
fn environment_number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, it is \"{text}\""))
    })
}

fn run(name: &dyn std::fmt::Display, target: Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        panic!("{name} fails for the input {}", hex(input));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a target over its corpus, its seed inputs, the empty input, and mutations.
fn check(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(listed, _)| *listed == name)
        .expect("the target is listed");
    let mut inputs = seed_inputs_of(name);
    assert!(!inputs.is_empty(), "{name} has no seed inputs");
    for (path, bytes) in corpus(name) {
        run(&path.display(), *target, &bytes);
        inputs.push(bytes);
    }
    for input in &inputs {
        run(&name, *target, input);
    }
    run(&name, *target, &[]);
    let seed = environment_number("MUSTER_FUZZ_SEED", 1);
    let mut random = Random(seed);
    for number in 0..environment_number("MUSTER_FUZZ_MUTATIONS", MUTATIONS) {
        let other = random.below(inputs.len());
        let chosen = random.below(inputs.len());
        let mut input = inputs[chosen].clone();
        random.mutate(&mut input, &inputs[other]);
        run(
            &format!("{name}, seed {seed}, mutation {number},"),
            *target,
            &input,
        );
    }
}

macro_rules! targets {
    ($($target:ident)+) => {
        /// Targets with a test, in the order of the list.
        const TESTED: &[&str] = &[$(stringify!($target)),+];

        $(
            #[test]
            fn $target() {
                check(stringify!($target));
            }
        )+
    };
}

targets! {
    decoder answers hello check_in inventory identity stored_records recovery shard control_entry
    control_document filter_rule query_options certificate configuration stored_values
}

#[test]
fn every_target_has_a_test_and_a_binary() {
    let listed: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, TESTED);
    let directory = crate_directory().join("libfuzzer/fuzz_targets");
    let manifest = fs::read_to_string(directory.with_file_name("Cargo.toml"))
        .expect("the manifest is readable");
    for target in listed {
        let text = fs::read_to_string(directory.join(format!("{target}.rs")));
        let text = text.unwrap_or_else(|error| panic!("{target}: {error}"));
        assert!(
            text.contains(&format!("muster_fuzz::{target}(data)")),
            "{target}"
        );
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "{target}"
        );
    }
}

#[test]
fn seed_inputs_are_valid() {
    // Mutations of an input that is refused at its first byte would test nothing.
    let identity =
        muster_ingest::pki::identity_of(&client_certificate("muster://contoso/gateway/gw-1"));
    assert_eq!(
        identity.expect("the certificate is valid").to_string(),
        "muster://contoso/gateway/gw-1"
    );
    for archive in seed_inputs::of("inventory") {
        assert!(muster_wire::Inventory::from_bytes(&archive).is_ok());
    }
    for entry in seed_inputs::of("control_entry") {
        assert!(muster_control::Entry::decode(&entry).is_ok());
    }
    for rule in seed_inputs::of("filter_rule") {
        let rule = String::from_utf8(rule).expect("the rule is text");
        let rule = muster_control::FilterRule::parse(&rule);
        assert!(rule.is_ok(), "{rule:?}");
    }
    for query in seed_inputs::of("query_options") {
        let query = String::from_utf8(query).expect("the query is text");
        let options = muster_api::odata::Options::parse(&query, &[]);
        assert!(options.is_ok(), "{options:?}");
    }
    for text in seed_inputs::of("configuration") {
        let text = String::from_utf8(text).expect("the configuration is text");
        let config = muster_ingest::config::Config::parse(&text, Path::new("/etc"));
        assert!(config.is_ok(), "{config:?}");
    }
}

#[test]
#[ignore = "writes files: MUSTER_WRITE_SEEDS=DIR and --ignored"]
fn seed_inputs_are_written() {
    let directory = std::env::var("MUSTER_WRITE_SEEDS").expect("MUSTER_WRITE_SEEDS is set");
    for (target, _) in TARGETS {
        let directory = Path::new(&directory).join(target);
        fs::create_dir_all(&directory).expect("the directory is created");
        for (number, input) in seed_inputs_of(target).into_iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), input)
                .expect("the file is written");
        }
    }
}
