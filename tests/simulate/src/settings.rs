//! What kind of world a seed makes: sizes, bounds, and how often what goes wrong.
//!
//! Everything is small, so that every bound is met: inboxes of one part, batches of one check-in, checkpoints every
//! few values.

use muster_engine::{ShardLimits, TenantPolicy, Threshold};
use muster_loadgen::random::Random;
use muster_wire::Platform;

use crate::fleet::one_of;

/// The numbers of one world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of shards.
    pub shards: u16,
    /// Number of tenants.
    pub tenants: u16,
    /// Devices of each tenant.
    pub devices_per_tenant: u32,
    /// Clients of all kinds.
    pub clients: usize,
    /// Steps before the world comes to its end.
    pub steps: u64,
    /// `shards.inbox_parts`.
    pub inbox_parts: usize,
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
    /// Faults that may happen.
    pub faults: Faults,
}

/// In how many of 100,000 steps each happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The process is killed.
    pub crash: u64,
    /// The next write is killed in its midst.
    pub crash_in_write: u64,
    /// The next write fails.
    pub write_fails: u64,
    /// A connection is cut.
    pub cut: u64,
    /// An operator stops the server.
    pub stop: u64,
    /// An operator changes the rules.
    pub policy: u64,
    /// Seconds, hours or days pass at once.
    pub time_jump: u64,
}

impl Settings {
    /// The settings of a seed.
    pub fn draw(random: &mut Random) -> Self {
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
            shards: one_of(&[1, 1, 2, 3, 4], random),
            tenants: one_of(&[1, 2, 3], random),
            devices_per_tenant: one_of(&[2, 5, 20, 60, 300], random),
            clients: 1 + random.below(5) as usize,
            steps: one_of(&[500, 1500, 3000], random),
            inbox_parts: one_of(&[1, 1, 2, 4], random),
            batch_check_ins_max: one_of(&[1, 4, 16, 64], random),
            commits_in_flight: one_of(&[1, 2, 3, 4], random),
            checkpoint_journal_bytes: one_of(&[1, 300, 2_000, 20_000], random),
            group_bytes_max: one_of(&[1, 200, 2_000, 1 << 20], random),
            window_frames: one_of(&[1, 2, 4, 8], random),
            limits,
            faults: Faults::draw(random),
        }
    }

    /// Whether the limits let every device be where its facets belong, at any time.
    pub fn is_unlimited(&self) -> bool {
        self.limits.cells_max == usize::MAX
    }
}

impl Faults {
    fn draw(random: &mut Random) -> Self {
        let mut often = |chances: &[u64]| one_of(chances, random);
        Self {
            crash: often(&[0, 50, 200, 800]),
            crash_in_write: often(&[0, 50, 400]),
            write_fails: often(&[0, 0, 100]),
            cut: often(&[0, 100, 1_000]),
            stop: often(&[0, 0, 100]),
            policy: often(&[0, 100, 1_000]),
            time_jump: often(&[100, 1_000, 5_000]),
        }
    }
}

/// The rules of one tenant, anything that an operator may ask for.
pub(crate) fn rules(random: &mut Random) -> TenantPolicy {
    let mut rules = TenantPolicy::default();
    rules.secure_by_default = random.below(2) == 0;
    rules.auto_create_devices = random.below(5) != 0;
    if random.below(3) == 0 {
        rules.sensor_limits.inactive_seconds = 3_600 * (1 + random.below(200) as u32);
        rules.sensor_limits.no_sensor_data_seconds = 3_600 * (1 + random.below(48) as u32);
    }
    for &platform in Platform::ALL {
        rules.set_threshold(platform, one_of(Threshold::ALL, random));
        rules.set_blocked_on_missing(platform, random.below(2) == 0);
    }
    rules
}
