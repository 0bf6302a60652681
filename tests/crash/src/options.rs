//! What is drawn for a data directory: the server's settings, the fleet, and how it behaves.
//!
//! Everything follows from the seed of the directory, so that a directory that fails is drawn again by its
//! seed alone. The bounds are chosen so that a cycle takes about a second, and so that checkpoints and
//! trims happen in it. Pure.

use muster_loadgen::fleet::Shape;
use muster_loadgen::random::Random;

use crate::draw::{between, one_of, spread};
use crate::site::{DIRECT_MAX, GATEWAYS_MAX, TENANTS};

const KIB: u64 = 1024;

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Gateways, each with many devices.
    Gateway,
    /// Devices, each on a connection of its own.
    Device,
    /// Both, side by side.
    Mixed,
}

impl Mode {
    /// For reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Device => "device",
            Self::Mixed => "mixed",
        }
    }
}

/// What devices do with frames whose ack they never got, once the server is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// They send them again, in order, before anything else.
    Resend,
    /// They have lost them and go on with the next number.
    Forget,
    /// The one or the other, connection by connection.
    Either,
}

impl Memory {
    /// For reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resend => "resend",
            Self::Forget => "forget",
            Self::Either => "either",
        }
    }
}

/// The settings of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `shards.count`
    pub shards: u64,
    /// `shards.batch_check_ins_max`
    pub batch_check_ins_max: u64,
    /// `shards.inbox_parts`
    pub inbox_parts: u64,
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
    fn draw(random: &mut Random) -> Self {
        let group_bytes_max = one_of(random, &[64 * KIB, 256 * KIB, 8192 * KIB]);
        let checkpoint = one_of(random, &[64 * KIB, 64 * KIB, 256 * KIB, 4096 * KIB]);
        Self {
            shards: between(random, 1, 4),
            batch_check_ins_max: one_of(random, &[4096, 16_384, 65_536]),
            inbox_parts: one_of(random, &[16, 64, 256]),
            commits_in_flight: between(random, 1, 8),
            group_bytes_max,
            // The configuration demands that it is not below the other.
            checkpoint_journal_bytes: checkpoint.max(group_bytes_max),
            window_frames_gateway: spread(random, 1, 64),
            window_frames_device: spread(random, 1, 8),
            network_threads: between(random, 1, 2),
        }
    }
}

/// The fleet of every tenant, and how it sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FleetOptions {
    /// Who connects.
    pub mode: Mode,
    /// Tenants at the beginning; one more may come later.
    pub tenants: usize,
    /// Connections of gateways, for each tenant.
    pub gateways: usize,
    /// Devices with a connection of their own, for each tenant.
    pub direct: usize,
    /// Devices behind each gateway.
    pub devices_per_gateway: u64,
    /// Check-ins in a frame of a gateway, at most.
    pub frame: usize,
    /// Frames of a connection that may be unacknowledged.
    pub window: u16,
    /// Check-ins sent twice, in thousandths.
    pub duplicates: u64,
    /// Check-ins overtaken by the next one of their device, in thousandths.
    pub reorder: u64,
    /// Check-ins before which a device changes, in thousandths.
    pub churn: u64,
    /// Frames that are an inventory, in thousandths.
    pub inventories: u64,
    /// Frames whose ack never came.
    pub memory: Memory,
}

impl FleetOptions {
    fn draw(random: &mut Random) -> Self {
        let mode = one_of(
            random,
            &[Mode::Gateway, Mode::Gateway, Mode::Mixed, Mode::Device],
        );
        let gateways = between(random, 1, GATEWAYS_MAX as u64) as usize;
        let direct = between(random, 1, DIRECT_MAX as u64) as usize;
        Self {
            mode,
            tenants: between(random, 1, TENANTS.len() as u64) as usize,
            gateways: if mode == Mode::Device { 0 } else { gateways },
            direct: if mode == Mode::Gateway { 0 } else { direct },
            devices_per_gateway: spread(random, 30, 3000),
            frame: spread(random, 1, 4096) as usize,
            window: spread(random, 1, 32) as u16,
            duplicates: one_of(random, &[0, 20, 200]),
            reorder: one_of(random, &[0, 20, 200]),
            churn: one_of(random, &[0, 20, 500]),
            inventories: one_of(random, &[0, 10, 200]),
            memory: one_of(random, &[Memory::Resend, Memory::Forget, Memory::Either]),
        }
    }

    /// What the devices of the load generator are told.
    pub fn shape(&self, seed: u64) -> Shape {
        let fraction = |thousandths: u64| thousandths as f64 / 1000.0;
        Shape {
            seed,
            churn: fraction(self.churn),
            duplicates: fraction(self.duplicates),
            reorder: fraction(self.reorder),
            // Every device has one in store; how often one is sent is drawn frame by frame.
            inventory: 1.0,
        }
    }
}

/// Everything that is drawn for a data directory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The server.
    pub settings: Settings,
    /// The devices.
    pub fleet: FleetOptions,
    /// Cycles on this directory.
    pub cycles: u64,
    /// How often a restart brings another policy set, in thousandths.
    pub policy_changes: u64,
}

impl Options {
    /// The options of this seed.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        Self {
            settings: Settings::draw(&mut random),
            fleet: FleetOptions::draw(&mut random),
            cycles: between(&mut random, 5, 25),
            policy_changes: one_of(&mut random, &[0, 200, 700]),
        }
    }

    /// Every option by name, for progress and report.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let Self {
            settings, fleet, ..
        } = self;
        vec![
            ("shards", settings.shards.to_string()),
            (
                "batch_check_ins_max",
                settings.batch_check_ins_max.to_string(),
            ),
            ("inbox_parts", settings.inbox_parts.to_string()),
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
            ("direct", fleet.direct.to_string()),
            ("devices_per_gateway", fleet.devices_per_gateway.to_string()),
            ("frame", fleet.frame.to_string()),
            ("window", fleet.window.to_string()),
            ("duplicates", fleet.duplicates.to_string()),
            ("reorder", fleet.reorder.to_string()),
            ("churn", fleet.churn.to_string()),
            ("inventories", fleet.inventories.to_string()),
            ("memory", fleet.memory.name().to_owned()),
            ("policy_changes", self.policy_changes.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again() {
        assert_eq!(Options::draw(7), Options::draw(7));
        assert_ne!(Options::draw(7), Options::draw(8));
    }

    #[test]
    fn every_draw_can_be_served() {
        for seed in 0..500 {
            let Options {
                settings, fleet, ..
            } = Options::draw(seed);
            assert!(settings.checkpoint_journal_bytes >= settings.group_bytes_max);
            assert!(fleet.gateways + fleet.direct > 0, "somebody connects");
            assert!((1..=4096).contains(&fleet.frame) && fleet.window > 0);
        }
    }

    #[test]
    fn every_mode_and_number_of_shards_comes_up() {
        let all: Vec<Options> = (0..100).map(Options::draw).collect();
        for mode in [Mode::Gateway, Mode::Device, Mode::Mixed] {
            assert!(all.iter().any(|options| options.fleet.mode == mode));
        }
        for shards in 1..=4 {
            let has = |options: &Options| options.settings.shards == shards;
            assert!(all.iter().any(has));
        }
    }
}
