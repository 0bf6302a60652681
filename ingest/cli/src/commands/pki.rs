//! `muster pki`: creates an authority and issues certificates.
//!
//! Prints the files it wrote, one per line. Reads the clock and the system's random numbers, and passes both to
//! [`crate::pki`].

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use muster_ingest::clock;
use muster_wire::{DeviceId, GatewayName, Identity, Subject, TenantName};

use crate::exit::Failure;
use crate::output;
use crate::pki::{self, CertificateAuthority, PkiDirectory, Validity};

/// Maximum number of devices of one call; each gets a key and a file.
const RANDOM_DEVICES_MAX: i64 = 1_000_000;
/// Maximum validity in days, about thirty years.
const DAYS_MAX: i64 = 11_000;

#[derive(Debug, Subcommand)]
pub(super) enum PkiCommand {
    /// Create an authority and the server's certificate: ca.pem, ca.key, server.pem, server.key.
    Init(InitArguments),
    /// Issue certificates for a gateway or for devices: one PEM file each, with certificate and key.
    Issue(IssueArguments),
}

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The directory to write to. Existing files are not overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// An additional host name or IP address of the server; may be repeated. The certificate always contains
    /// localhost, 127.0.0.1 and ::1.
    #[arg(long = "server-name", value_name = "NAME")]
    server_names: Vec<String>,
    /// Validity of both certificates in days.
    #[arg(long, value_name = "D", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
}

#[derive(Debug, Args)]
pub(super) struct IssueArguments {
    /// The directory created by `muster pki init`.
    #[arg(long, value_name = "DIR")]
    pki: PathBuf,
    /// The directory to write to. Existing files are not overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The tenant of the gateway or devices.
    #[arg(long, value_name = "T")]
    tenant: TenantName,
    #[command(flatten)]
    subjects: Subjects,
    /// The seed of --random-devices, for reproducible IDs.
    #[arg(long, value_name = "S", conflicts_with_all = ["gateway", "devices"])]
    seed: Option<u64>,
    /// Validity of the certificates in days.
    #[arg(long, value_name = "D", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Subjects {
    /// Issue a certificate for the gateway with this name.
    #[arg(long, value_name = "NAME")]
    gateway: Option<GatewayName>,
    /// Issue a certificate for the device with this ID, a UUID; may be repeated.
    #[arg(long = "device", value_name = "ID")]
    devices: Vec<DeviceId>,
    /// Issue certificates for N devices with random IDs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=RANDOM_DEVICES_MAX))]
    random_devices: Option<u32>,
}

pub(super) fn run(command: &PkiCommand) -> Result<(), Failure> {
    match command {
        PkiCommand::Init(arguments) => init(arguments),
        PkiCommand::Issue(arguments) => issue(arguments),
    }
}

fn init(arguments: &InitArguments) -> Result<(), Failure> {
    let validity = Validity::from_now(now(), arguments.days);
    let authority = CertificateAuthority::create(validity)?;
    let server = authority.issue_server(&arguments.server_names, validity)?;
    let directory = PkiDirectory::at(&arguments.out);
    directory.create(&authority, &server)?;
    print_files(&[
        directory.ca_certificate,
        directory.ca_key,
        directory.server_certificate,
        directory.server_key,
    ])
}

fn issue(arguments: &IssueArguments) -> Result<(), Failure> {
    let identities: Vec<Identity> = subjects(arguments)?
        .into_iter()
        .map(|subject| Identity {
            tenant: arguments.tenant.clone(),
            subject,
        })
        .collect();
    let authority = PkiDirectory::at(&arguments.pki).load_authority()?;
    let validity = Validity::from_now(now(), arguments.days);
    print_files(&pki::write_identities(
        &authority,
        &identities,
        validity,
        &arguments.out,
    )?)
}

fn subjects(arguments: &IssueArguments) -> Result<Vec<Subject>, Failure> {
    let Subjects {
        gateway,
        devices,
        random_devices,
    } = &arguments.subjects;
    if devices.iter().any(DeviceId::is_zero) {
        return Err(Failure::Usage("the nil UUID is not a device ID".to_owned()));
    }
    let mut subjects: Vec<Subject> = gateway.iter().cloned().map(Subject::Gateway).collect();
    subjects.extend(devices.iter().copied().map(Subject::Device));
    if let Some(count) = random_devices {
        let mut random = RandomIds::new(arguments.seed)?;
        for _ in 0..*count {
            subjects.push(Subject::Device(random.next()));
        }
    }
    Ok(subjects)
}

/// Random device IDs. They must be unique, not secret: SplitMix64 from a random or given seed, with the same output on
/// every machine.
struct RandomIds {
    state: u64,
}

impl RandomIds {
    fn new(seed: Option<u64>) -> Result<Self, Failure> {
        if let Some(state) = seed {
            return Ok(Self { state });
        }
        let mut bytes = [0; 8];
        rustls::crypto::aws_lc_rs::default_provider()
            .secure_random
            .fill(&mut bytes)
            .map_err(|_| Failure::Internal("cannot read the system's random numbers".to_owned()))?;
        Ok(Self {
            state: u64::from_le_bytes(bytes),
        })
    }

    fn next(&mut self) -> DeviceId {
        let high = u128::from(self.next_word());
        let mut bytes = ((high << 64) | u128::from(self.next_word())).to_be_bytes();
        // Version and variant of a random UUID (RFC 9562, version 4); they also keep the ID from being zero.
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        DeviceId::from_bytes(bytes)
    }

    fn next_word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

fn print_files(files: &[PathBuf]) -> Result<(), Failure> {
    let lines: String = files
        .iter()
        .map(|file| format!("{}\n", file.display()))
        .collect();
    output::print(&lines)
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(clock::wall().as_millis())
}

#[cfg(test)]
mod tests {
    use super::RandomIds;

    #[test]
    fn a_seed_gives_the_same_ids_again_and_another_seed_others() {
        let ids = |seed| {
            let mut random = RandomIds::new(Some(seed)).unwrap();
            [random.next(), random.next()]
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
        assert_ne!(ids(7)[0], ids(7)[1]);
        assert_eq!(
            ids(7)[0].to_string().as_bytes()[14],
            b'4',
            "a version 4 UUID"
        );
    }
}
