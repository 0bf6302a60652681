//! Every target over its corpus and over mutations of it that a seed chooses: the part of fuzzing that every
//! run of the tests repeats.
//!
//! `MUSTER_WRITE_SEEDS=DIR` with `--ignored` writes the good inputs below DIR, one directory a target: the first
//! files of a corpus. `MUSTER_FUZZ_SEED` and `MUSTER_FUZZ_MUTATIONS` choose other mutations and more of them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use muster_cli::pki::{CertificateAuthority, Validity};
use muster_fuzz::{TARGETS, Target, seeds};

/// Mutations a target; all targets together take seconds.
const MUTATIONS: u64 = 20_000;

/// Bytes of an input that grows by mutation.
const INPUT_BYTES_MAX: usize = 16 << 10;

/// This crate, where the test runs: a build that two clones share remembers only one of them.
fn here() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo runs this")
        .into()
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = here().join("corpus").join(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files
        .map(|file| file.expect("a file of the clone").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).expect("a file of the clone");
            (path, bytes)
        })
        .collect()
}

/// What a target begins with.
fn good_inputs(target: &str) -> Vec<Vec<u8>> {
    match target {
        "certificate" => vec![client_certificate("muster://contoso/gateway/gw-1")],
        other => seeds::of(other),
    }
}

/// A client's certificate (DER); only its key and signature differ from run to run.
fn client_certificate(identity: &str) -> Vec<u8> {
    let validity = Validity::from_now(UNIX_EPOCH + Duration::from_secs(1_800_000_000), 10);
    let authority = CertificateAuthority::create(validity).expect("an authority can be made");
    let identity = identity.parse().expect("an identity");
    let issued = authority.issue_client(&identity, validity);
    pem_to_der(&issued.expect("a certificate can be issued").certificate_pem)
}

/// The bytes of the one certificate in a PEM text.
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

/// SplitMix64: small, and the same on every machine.
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

    /// Some changes of the kinds that a fuzzer makes.
    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..1 + self.below(4) {
            let at = self.below(input.len());
            let few = 1 + self.below(16);
            match self.below(7) {
                0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
                1 if !input.is_empty() => input[at] = self.next() as u8,
                2 if !input.is_empty() => {
                    let odd = [0, 1, 0x7f, 0x80, 0xff];
                    let end = (at + few).min(input.len());
                    input[at..end].fill(odd[self.below(odd.len())]);
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

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

fn holds(what: &dyn std::fmt::Display, run: Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
        panic!("{what} does not hold for {}", hex(input));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Its corpus, its good inputs, and mutations of both.
fn check(target: &str) {
    let (_, run) = TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .expect("a target");
    let mut inputs = good_inputs(target);
    assert!(!inputs.is_empty(), "a target begins with something");
    for (path, bytes) in corpus(target) {
        holds(&path.display(), *run, &bytes);
        inputs.push(bytes);
    }
    inputs.iter().for_each(|input| holds(&target, *run, input));
    holds(&target, *run, &[]);
    let seed = setting("MUSTER_FUZZ_SEED", 1);
    let mut random = Random(seed);
    for number in 0..setting("MUSTER_FUZZ_MUTATIONS", MUTATIONS) {
        let other = random.below(inputs.len());
        let chosen = random.below(inputs.len());
        let mut input = inputs[chosen].clone();
        random.mutate(&mut input, &inputs[other]);
        holds(
            &format!("{target}, seed {seed}, mutation {number},"),
            *run,
            &input,
        );
    }
}

macro_rules! targets {
    ($($target:ident)+) => {
        /// Those with a test, to compare with the list.
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
    decoder answers hello check_in inventory identity stored_records recovery shard certificate
    configuration stored_values
}

#[test]
fn every_target_has_a_test_a_binary_and_good_inputs() {
    let listed: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, TESTED);
    let folder = here().join("libfuzzer/fuzz_targets");
    let manifest = fs::read_to_string(folder.with_file_name("Cargo.toml")).expect("a manifest");
    for target in listed {
        let text = fs::read_to_string(folder.join(format!("{target}.rs")));
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
fn good_inputs_are_good() {
    // A seed that is refused at its first byte would make every mutation of it worthless.
    let identity =
        muster_ingest::pki::identity_of(&client_certificate("muster://contoso/gateway/gw-1"));
    assert_eq!(
        identity.expect("a good certificate").to_string(),
        "muster://contoso/gateway/gw-1"
    );
    for archive in seeds::of("inventory") {
        assert!(muster_wire::Inventory::from_bytes(&archive).is_ok());
    }
    for text in seeds::of("configuration") {
        let text = String::from_utf8(text).expect("a text");
        let config = muster_ingest::config::Config::parse(&text, Path::new("/etc"));
        assert!(config.is_ok(), "{config:?}");
    }
}

#[test]
#[ignore = "writes files: MUSTER_WRITE_SEEDS=DIR and --ignored"]
fn good_inputs_are_written_where_asked() {
    let folder = std::env::var("MUSTER_WRITE_SEEDS").expect("a directory");
    for (target, _) in TARGETS {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder).expect("a directory can be made");
        for (number, input) in good_inputs(target).into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), input).expect("a file can be written");
        }
    }
}
