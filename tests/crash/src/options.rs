//! The options of a data directory, sampled from its seed: settings of the server, the fleet and its behavior.
//!
//! The seed determines everything, so it reproduces a directory that fails. The ranges are chosen so that a cycle takes
//! about a second and has checkpoints and trims. Pure.

use muster_testkit::fleet::Shape;
use muster_testkit::random::Random;

use crate::environment::{DIRECT_MAX, GATEWAYS_MAX, TENANTS};
use crate::sampling::{log_uniform, uniform};

const KIB: u64 = 1024;

/// The kinds of clients that connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Gateways, each for many devices.
    Gateway,
    /// Devices, each with its own connection.
    Device,
    /// Both.
    Mixed,
}

impl Mode {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Device => "device",
            Self::Mixed => "mixed",
        }
    }
}

/// Whether clients resend unacknowledged frames after a restart of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResendPolicy {
    /// They resend them in order, before new frames.
    Always,
    /// They drop them and continue with the next number.
    Never,
    /// Each client decides at random after each restart.
    Random,
}

impl ResendPolicy {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Random => "random",
        }
    }
}

/// The settings of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `shards.batch_check_ins_max`
    pub batch_check_ins_max: u64,
    /// `shards.inbox_batches`
    pub inbox_batches: u64,
    /// `shards.commits_in_flight`
    pub commits_in_flight: u64,
    /// `store.group_bytes_max`
    pub group_bytes_max: u64,
    /// `store.checkpoint_journal_bytes`
    pub checkpoint_journal_bytes: u64,
    /// `listen.window_frames_gateway`
    pub window_frames_gateway: u64,
    /// `listen.window_frames_device`
    pub window_frames_device: u64,
    /// `listen.network_threads`
    pub network_threads: u64,
}

impl Settings {
    fn sample(random: &mut Random) -> Self {
        let group_bytes_max = random.choose(&[64 * KIB, 256 * KIB, 8192 * KIB]);
        let checkpoint = random.choose(&[64 * KIB, 64 * KIB, 256 * KIB, 4096 * KIB]);
        Self {
            batch_check_ins_max: random.choose(&[4096, 16_384, 65_536]),
            inbox_batches: random.choose(&[16, 64, 256]),
            commits_in_flight: uniform(random, 1, 8),
            group_bytes_max,
            // The configuration is invalid if it is below group_bytes_max.
            checkpoint_journal_bytes: checkpoint.max(group_bytes_max),
            window_frames_gateway: log_uniform(random, 1, 64),
            window_frames_device: log_uniform(random, 1, 8),
            network_threads: uniform(random, 1, 2),
        }
    }
}

/// The fleet of every tenant and how it sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FleetOptions {
    /// The kinds of clients.
    pub mode: Mode,
    /// Tenants at the beginning; restarts may add more.
    pub tenants: usize,
    /// Gateways per tenant.
    pub gateways: usize,
    /// Devices with their own connection per tenant.
    pub direct_devices: usize,
    /// Devices behind each gateway.
    pub devices_per_gateway: u64,
    /// Maximum number of check-ins in a frame of a gateway.
    pub frame_check_ins_max: usize,
    /// Frames of a connection that may be unacknowledged.
    pub window_frames: u16,
    /// Check-ins that are sent twice, per thousand.
    pub duplicates: u64,
    /// Check-ins that are sent after the next one of their device, per thousand.
    pub reorder: u64,
    /// Check-ins whose device has changed, per thousand.
    pub churn: u64,
    /// Frames that are an inventory, per thousand.
    pub inventories: u64,
    /// Whether unacknowledged frames are resent.
    pub resend: ResendPolicy,
}

impl FleetOptions {
    fn sample(random: &mut Random) -> Self {
        let mode = random.choose(&[Mode::Gateway, Mode::Gateway, Mode::Mixed, Mode::Device]);
        let gateways = uniform(random, 1, GATEWAYS_MAX as u64) as usize;
        let direct = uniform(random, 1, DIRECT_MAX as u64) as usize;
        Self {
            mode,
            tenants: uniform(random, 1, TENANTS.len() as u64) as usize,
            gateways: if mode == Mode::Device { 0 } else { gateways },
            direct_devices: if mode == Mode::Gateway { 0 } else { direct },
            devices_per_gateway: log_uniform(random, 30, 3000),
            frame_check_ins_max: log_uniform(random, 1, 4096) as usize,
            window_frames: log_uniform(random, 1, 32) as u16,
            duplicates: random.choose(&[0, 20, 200]),
            reorder: random.choose(&[0, 20, 200]),
            churn: random.choose(&[0, 20, 500]),
            inventories: random.choose(&[0, 10, 200]),
            resend: random.choose(&[
                ResendPolicy::Always,
                ResendPolicy::Never,
                ResendPolicy::Random,
            ]),
        }
    }

    /// The shape of a fleet of the load generator.
    pub fn shape(&self, seed: u64) -> Shape {
        let fraction = |per_mille: u64| per_mille as f64 / 1000.0;
        Shape {
            seed,
            churn: fraction(self.churn),
            duplicates: fraction(self.duplicates),
            reorder: fraction(self.reorder),
            // Every device has an inventory; the sender samples for each frame whether it is one.
            inventory: 1.0,
        }
    }
}

/// The options of a data directory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DirectoryOptions {
    /// Settings of the server.
    pub settings: Settings,
    /// The fleet.
    pub fleet: FleetOptions,
    /// Cycles on this directory.
    pub cycles: u64,
    /// Restarts after which operators change rules, per thousand.
    pub policy_changes: u64,
}

impl DirectoryOptions {
    /// Samples the options of a seed.
    pub fn sample(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        Self {
            settings: Settings::sample(&mut random),
            fleet: FleetOptions::sample(&mut random),
            cycles: uniform(&mut random, 5, 25),
            policy_changes: random.choose(&[0, 200, 700]),
        }
    }

    /// All options by name, for log and report.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let Self {
            settings, fleet, ..
        } = self;
        vec![
            (
                "batch_check_ins_max",
                settings.batch_check_ins_max.to_string(),
            ),
            ("inbox_batches", settings.inbox_batches.to_string()),
            ("commits_in_flight", settings.commits_in_flight.to_string()),
            ("group_bytes_max", settings.group_bytes_max.to_string()),
            (
                "checkpoint_journal_bytes",
                settings.checkpoint_journal_bytes.to_string(),
            ),
            (
                "window_frames_gateway",
                settings.window_frames_gateway.to_string(),
            ),
            (
                "window_frames_device",
                settings.window_frames_device.to_string(),
            ),
            ("mode", fleet.mode.name().to_owned()),
            ("tenants", fleet.tenants.to_string()),
            ("gateways", fleet.gateways.to_string()),
            ("direct_devices", fleet.direct_devices.to_string()),
            ("devices_per_gateway", fleet.devices_per_gateway.to_string()),
            ("frame_check_ins_max", fleet.frame_check_ins_max.to_string()),
            ("window_frames", fleet.window_frames.to_string()),
            ("duplicates", fleet.duplicates.to_string()),
            ("reorder", fleet.reorder.to_string()),
            ("churn", fleet.churn.to_string()),
            ("inventories", fleet.inventories.to_string()),
            ("resend", fleet.resend.name().to_owned()),
            ("policy_changes", self.policy_changes.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_options() {
        assert_eq!(DirectoryOptions::sample(7), DirectoryOptions::sample(7));
        assert_ne!(DirectoryOptions::sample(7), DirectoryOptions::sample(8));
    }

    #[test]
    fn all_sampled_options_are_valid() {
        for seed in 0..500 {
            let DirectoryOptions {
                settings, fleet, ..
            } = DirectoryOptions::sample(seed);
            assert!(settings.checkpoint_journal_bytes >= settings.group_bytes_max);
            assert!(
                fleet.gateways + fleet.direct_devices > 0,
                "there are clients"
            );
            assert!((1..=4096).contains(&fleet.frame_check_ins_max) && fleet.window_frames > 0);
        }
    }

    #[test]
    fn every_mode_is_sampled() {
        let all: Vec<DirectoryOptions> = (0..100).map(DirectoryOptions::sample).collect();
        for mode in [Mode::Gateway, Mode::Device, Mode::Mixed] {
            assert!(all.iter().any(|options| options.fleet.mode == mode));
        }
    }
}
