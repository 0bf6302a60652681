//! The settings of a run, sampled from its seed: sizes, bounds, and rates of events.
//!
//! Values are small, so that a run reaches every bound: inboxes with room for one shard batch, batches of one
//! check-in, a checkpoint every few journal values.

use muster_engine::ShardLimits;
use muster_testkit::random::Random;

/// The settings of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of shards; a server has 48.
    pub shards: u16,
    /// Number of tenants.
    pub tenants: u16,
    /// Devices of each tenant.
    pub devices_per_tenant: u32,
    /// Number of clients, gateways and devices together.
    pub clients: usize,
    /// Steps before faults stop and the run ends.
    pub steps: u64,
    /// `shards.inbox_batches`.
    pub inbox_batches: usize,
    /// `shards.batch_check_ins_max`.
    pub batch_check_ins_max: usize,
    /// `shards.commits_in_flight`.
    pub commits_in_flight: usize,
    /// `store.checkpoint_journal_bytes` of each thread.
    pub checkpoint_journal_bytes: u64,
    /// `store.group_bytes_max`.
    pub group_bytes_max: usize,
    /// `listen.window_frames_device` and `_gateway`.
    pub window_frames: u16,
    /// `shards.devices_max`.
    pub limits: ShardLimits,
    /// Rates of events.
    pub rates: EventRates,
}

/// Rates of events, per 100,000 steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventRates {
    /// The process is killed.
    pub crash: u64,
    /// The process is killed during its next write.
    pub crash_in_write: u64,
    /// The next write fails.
    pub write_failure: u64,
    /// A connection is lost.
    pub connection_loss: u64,
    /// An operator stops the server.
    pub stop: u64,
    /// An operator changes an object of a tenant.
    pub policy_change: u64,
    /// Seconds, hours or days pass at once.
    pub clock_jump: u64,
}

impl Settings {
    /// Samples the settings of a run.
    pub fn sample(random: &mut Random) -> Self {
        let devices_max = match random.below(8) {
            0 => 2 + random.below(20) as u32,
            _ => u32::MAX,
        };
        Self {
            shards: random.choose(&[1, 2, 3, 4, 48]),
            tenants: random.choose(&[1, 2, 3]),
            devices_per_tenant: random.choose(&[2, 5, 20, 60, 300]),
            clients: 1 + random.below(5) as usize,
            steps: random.choose(&[500, 1500, 3000]),
            inbox_batches: random.choose(&[1, 1, 2, 4]),
            batch_check_ins_max: random.choose(&[1, 4, 16, 64]),
            commits_in_flight: random.choose(&[1, 2, 3, 4]),
            checkpoint_journal_bytes: random.choose(&[1, 300, 2_000, 20_000]),
            group_bytes_max: random.choose(&[1, 200, 2_000, 1 << 20]),
            window_frames: random.choose(&[1, 2, 4, 8]),
            limits: ShardLimits { devices_max },
            rates: EventRates::sample(random),
        }
    }
}

impl EventRates {
    fn sample(random: &mut Random) -> Self {
        Self {
            crash: random.choose(&[0, 50, 200, 800]),
            crash_in_write: random.choose(&[0, 50, 400]),
            write_failure: random.choose(&[0, 0, 100]),
            connection_loss: random.choose(&[0, 100, 1_000]),
            stop: random.choose(&[0, 0, 100]),
            policy_change: random.choose(&[0, 100, 1_000]),
            clock_jump: random.choose(&[100, 1_000, 5_000]),
        }
    }
}
