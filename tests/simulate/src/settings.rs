//! The settings of a run, sampled from its seed: sizes, bounds, and rates of events.
//!
//! Values are small, so that a run reaches every bound: inboxes with room for one shard batch, batches of one
//! check-in, a checkpoint every few journal values.

use muster_engine::{ShardLimits, TenantPolicy, Threshold};
use muster_loadgen::random::Random;
use muster_wire::Platform;

use crate::fleet::choose;

/// The settings of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of shards.
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
    /// `store.checkpoint_journal_bytes` of each shard.
    pub checkpoint_journal_bytes: u64,
    /// `store.group_bytes_max`.
    pub group_bytes_max: usize,
    /// `listen.window_frames_device` and `_gateway`.
    pub window_frames: u16,
    /// The limits of each shard.
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
    /// An operator changes the policy set.
    pub policy_change: u64,
    /// Seconds, hours or days pass at once.
    pub clock_jump: u64,
}

impl Settings {
    /// Samples the settings of a run.
    pub fn sample(random: &mut Random) -> Self {
        let unlimited = ShardLimits {
            devices_max: u32::MAX,
            cells_max: usize::MAX,
            cohorts_max: usize::MAX,
        };
        let limits = match random.below(8) {
            0 => ShardLimits {
                devices_max: 2 + random.below(20) as u32,
                ..unlimited
            },
            1 => ShardLimits {
                cells_max: 4 + random.below(40) as usize,
                cohorts_max: 1 + random.below(4) as usize,
                ..unlimited
            },
            _ => unlimited,
        };
        Self {
            shards: choose(&[1, 1, 2, 3, 4], random),
            tenants: choose(&[1, 2, 3], random),
            devices_per_tenant: choose(&[2, 5, 20, 60, 300], random),
            clients: 1 + random.below(5) as usize,
            steps: choose(&[500, 1500, 3000], random),
            inbox_batches: choose(&[1, 1, 2, 4], random),
            batch_check_ins_max: choose(&[1, 4, 16, 64], random),
            commits_in_flight: choose(&[1, 2, 3, 4], random),
            checkpoint_journal_bytes: choose(&[1, 300, 2_000, 20_000], random),
            group_bytes_max: choose(&[1, 200, 2_000, 1 << 20], random),
            window_frames: choose(&[1, 2, 4, 8], random),
            limits,
            rates: EventRates::sample(random),
        }
    }

    /// Whether there is always room for a new cell, so that every device is in the cell of its facets.
    pub fn is_unlimited(&self) -> bool {
        self.limits.cells_max == usize::MAX
    }
}

impl EventRates {
    fn sample(random: &mut Random) -> Self {
        Self {
            crash: choose(&[0, 50, 200, 800], random),
            crash_in_write: choose(&[0, 50, 400], random),
            write_failure: choose(&[0, 0, 100], random),
            connection_loss: choose(&[0, 100, 1_000], random),
            stop: choose(&[0, 0, 100], random),
            policy_change: choose(&[0, 100, 1_000], random),
            clock_jump: choose(&[100, 1_000, 5_000], random),
        }
    }
}

/// Samples the policy of one tenant among all that an operator can set.
pub(crate) fn sample_policy(random: &mut Random) -> TenantPolicy {
    let mut policy = TenantPolicy::default();
    policy.secure_by_default = random.below(2) == 0;
    policy.auto_create_devices = random.below(5) != 0;
    if random.below(3) == 0 {
        policy.sensor_limits.inactive_seconds = 3_600 * (1 + random.below(200) as u32);
        policy.sensor_limits.no_sensor_data_seconds = 3_600 * (1 + random.below(48) as u32);
    }
    for &platform in Platform::ALL {
        policy.set_threshold(platform, choose(Threshold::ALL, random));
        policy.set_blocked_on_missing(platform, random.below(2) == 0);
    }
    policy
}
