//! Properties that hold for any batching, sharding, duplication, reordering, checkpoint and crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::disk::Disk;
use super::*;
use crate::ShardMap;
use crate::model::{Answer, Model, ModelCell};
use crate::rules::settings::DeviceRules;
use crate::rules::threat::{Connector, PlatformRules, Threshold};

/// An event that a server applies.
#[derive(Clone, Debug)]
pub(super) enum Event {
    CheckIn {
        tenant: TenantIndex,
        record: CheckInRecord,
    },
    Inventory {
        tenant: TenantIndex,
        inventory: Inventory,
    },
    /// The rules of the first tenant change.
    Policy(TenantPolicy),
    /// An operator resets the numbers of a device.
    Reset {
        tenant: TenantIndex,
        device_id: DeviceId,
    },
    /// An operator removes a device, or restores it.
    Remove {
        tenant: TenantIndex,
        device_id: DeviceId,
        restores: bool,
    },
    /// A device becomes a member of some groups, and of no others.
    Targets {
        tenant: TenantIndex,
        device_id: DeviceId,
        targets: Vec<TargetId>,
    },
    /// This many seconds pass, or the clock is set back by as many. Due devices are visited in slices.
    Time { seconds: i32, crashes: bool },
}

/// An action of the server between events.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Commit,
    Checkpoint { pages: usize },
    Crash,
}

fn any_member<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

/// Mostly low ones, and those around the bounds of the clock and of a leap.
fn any_seq() -> impl Strategy<Value = u64> {
    let leap = (1u64 << 20) - 2..(1 << 20) + 14;
    let clock = NOW.as_millis() + 86_400_000;
    prop_oneof![
        30 => 1..12u64,
        1 => leap,
        1 => clock - 1..clock + 2,
        1 => clock + (1 << 20) - 2..clock + (1 << 20) + 3,
        1 => Just(u64::MAX),
    ]
}

fn any_revision() -> impl Strategy<Value = u32> {
    let clock = NOW.as_seconds() + 86_400;
    prop_oneof![
        10 => 1..5u32,
        1 => (1u32 << 20) - 1..(1 << 20) + 7,
        1 => clock - 1..clock + 2,
        1 => Just(u32::MAX),
    ]
}

/// Half of them have the same content, so that many are repeated check-ins.
fn any_check_in() -> impl Strategy<Value = Event> {
    let usual = (0..2u16, 0..300u16, any_seq()).prop_map(|(tenant, number, seq)| Event::CheckIn {
        tenant: TenantIndex(tenant),
        record: record(check_in(number, seq)),
    });
    prop_oneof![usual, any_report()]
}

fn any_report() -> impl Strategy<Value = Event> {
    (
        (0..2u16, 0..300u16, any_seq(), 0..0x1000u16, 0..3u32),
        any_member(Risk::ALL),
        any_member(PartnerThreatState::ALL),
        any_member(Onboarding::ALL),
        any_member(Platform::ALL),
        any_member(ManagementAgent::ALL),
    )
        .prop_map(
            |(numbers, risk, partner_threat_state, onboarding, platform, management_agent)| {
                let (tenant, number, seq, flags, boot_id) = numbers;
                let check_in = CheckIn {
                    flags: Flags::from_bits(flags).unwrap(),
                    boot_id,
                    risk,
                    partner_threat_state,
                    onboarding,
                    platform,
                    management_agent,
                    ..check_in(number, seq)
                };
                Event::CheckIn {
                    tenant: TenantIndex(tenant),
                    record: record(check_in),
                }
            },
        )
}

/// Mostly with a policy, a threshold and the connector, so that levels decide.
fn any_platform_rules() -> impl Strategy<Value = PlatformRules> {
    let usually = || prop::bool::weighted(0.8);
    let connector = prop_oneof![4 => Just(Connector::Enabled), 1 => any_member(Connector::ALL)];
    (
        usually(),
        any_member(Threshold::ALL),
        connector,
        any::<bool>(),
        any_device_rules(),
    )
        .prop_map(
            |(policy_assigned, threshold, connector, blocked_on_missing, device)| PlatformRules {
                policy_assigned,
                threshold,
                connector,
                blocked_on_missing,
                device,
            },
        )
}

/// Mostly without a requirement, so that other rules decide too.
fn any_device_rules() -> impl Strategy<Value = DeviceRules> {
    let rarely = || prop::bool::weighted(0.2);
    let minimum = prop_oneof![3 => Just(0), 1 => 1..4u64];
    let maximum = prop_oneof![3 => Just(u64::MAX), 1 => 1..4u64];
    (minimum, maximum, rarely(), rarely()).prop_map(
        |(os_minimum, os_maximum, blocks_jailbroken, requires_encryption)| DeviceRules {
            os_minimum,
            os_maximum,
            blocks_jailbroken,
            requires_encryption,
        },
    )
}

/// Some of four targets.
fn any_targets() -> impl Strategy<Value = Vec<TargetId>> {
    let all: Vec<_> = (1..5).map(TargetId).collect();
    prop::sample::subsequence(all, 0..=4)
}

fn any_targeted() -> impl Strategy<Value = TargetedRules> {
    (
        any_member(Platform::ALL),
        any_member(Threshold::ALL),
        any_device_rules(),
        any::<bool>(),
        any_targets(),
        any_targets(),
    )
        .prop_map(
            |(platform, threshold, device, all_devices, included, excluded)| TargetedRules {
                platform,
                threshold,
                device,
                all_devices,
                included,
                excluded,
            },
        )
}

/// The rules of a tenant that creates devices.
pub(super) fn any_rules() -> impl Strategy<Value = TenantPolicy> {
    let platforms = prop::collection::vec(any_platform_rules(), Platform::ALL.len());
    let targeted = prop::collection::vec(any_targeted(), 0..4);
    let days = prop_oneof![2 => 1..4u32, 1 => Just(30)];
    let rules = (platforms, targeted, any::<bool>(), days);
    rules.prop_map(|(platforms, targeted, secure_by_default, days)| {
        let mut rules = TenantPolicy::default();
        targeted
            .into_iter()
            .for_each(|targeted| rules.add_targeted(targeted));
        rules.secure_by_default = secure_by_default;
        rules.validity_seconds = days * 24 * 3600;
        for (&platform, of_platform) in Platform::ALL.iter().zip(platforms) {
            rules.change_platform(platform, |rules| *rules = of_platform);
        }
        rules
    })
}

fn any_tags() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z]{1,8}", 0..3)
}

pub(super) fn any_event() -> impl Strategy<Value = Event> {
    let inventory = (
        0..2u16,
        0..300u16,
        any_revision(),
        prop::sample::subsequence(vec!["a", "b"], 0..=2),
        0..5u64,
    )
        .prop_map(
            |(tenant, number, revision, tags, os_version)| Event::Inventory {
                tenant: TenantIndex(tenant),
                inventory: Inventory {
                    os_version,
                    ..inventory(number, revision, &tags)
                },
            },
        );
    let policy = any_rules().prop_map(Event::Policy);
    // Up to the limits of the sensor, and beyond the retention of removed and of offboarded devices.
    let seconds = prop_oneof![30 => 0..200_000, 10 => -800_000..0, 1 => 2_600_000..16_000_000];
    let time =
        (seconds, any::<bool>()).prop_map(|(seconds, crashes)| Event::Time { seconds, crashes });
    let removal =
        (0..2u16, 0..300u16, prop::bool::weighted(0.3)).prop_map(|(tenant, number, restores)| {
            Event::Remove {
                tenant: TenantIndex(tenant),
                device_id: device_id(number),
                restores,
            }
        });
    let reset = (0..2u16, 0..300u16).prop_map(|(tenant, number)| Event::Reset {
        tenant: TenantIndex(tenant),
        device_id: device_id(number),
    });
    let targets =
        (0..2u16, 0..300u16, any_targets()).prop_map(|(tenant, number, targets)| Event::Targets {
            tenant: TenantIndex(tenant),
            device_id: device_id(number),
            targets,
        });
    prop_oneof![60 => any_check_in(), 6 => inventory, 2 => policy, 2 => time, 3 => reset, 6 => removal, 8 => targets]
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Commit),
        3 => (0..3usize).prop_map(|pages| Step::Checkpoint { pages }),
        1 => Just(Step::Crash),
    ]
}

/// A server without threads: shards, each with its disk.
pub(super) struct Server {
    pub(super) map: ShardMap,
    pub(super) shards: Vec<(Shard, Disk, Effects)>,
    policy: Arc<PolicySet>,
    now: Timestamp,
    /// The targets of devices, which the control plane would know.
    targets: BTreeMap<(TenantIndex, DeviceId), Vec<TargetId>>,
    /// Slots of one step of a policy pass, and due devices of one slice of a tick.
    slice: u32,
}

impl Server {
    pub(super) fn new(shards: u16, slice: u32) -> Self {
        let policy = policy(1);
        let start = |number| {
            let mut shard = Shard::new(ShardId(number), LIMITS, u64::from(number));
            let (mut disk, mut effects) = (Disk::default(), Effects::default());
            disk.add_policy(&policy);
            begin(&mut shard, NOW, &mut effects);
            shard.apply_policy(Arc::clone(&policy), &mut effects);
            let sequence = shard.seal(&mut effects);
            disk.commit(sequence, &effects);
            begin(&mut shard, NOW, &mut effects);
            (shard, disk, effects)
        };
        let map = ShardMap::new(shards);
        Self {
            map,
            shards: (0..shards).map(start).collect(),
            policy,
            now: NOW,
            targets: BTreeMap::new(),
            slice,
        }
    }

    fn owner(&mut self, device: &DeviceId) -> &mut (Shard, Disk, Effects) {
        let shard = self.map.shard_of(device);
        &mut self.shards[usize::from(shard.0)]
    }

    /// Seals and commits the open batch of every shard, with a step of the policy pass, and opens the next.
    pub(super) fn commit(&mut self) {
        let (now, slice) = (self.now, self.slice);
        for (shard, disk, effects) in &mut self.shards {
            shard.policy_step(slice, effects);
            let sequence = shard.seal(effects);
            disk.commit(sequence, effects);
            assert!(disk.counts_what_is_in(shard));
            begin(shard, now, effects);
        }
    }

    /// Ends the policy pass.
    fn end_pass(&mut self) {
        for (shard, _, effects) in &mut self.shards {
            shard.policy_step(u32::MAX, effects);
        }
        self.commit();
    }

    pub(super) fn checkpoint(&mut self, pages: usize) {
        let now = self.now;
        for (shard, disk, effects) in &mut self.shards {
            let sequence = shard.seal(effects);
            if shard.checkpoint_begin() {
                disk.checkpoint_begins(shard);
            }
            let progress = shard.checkpoint_step(pages, effects);
            disk.commit(sequence, effects);
            if progress == CheckpointProgress::Complete {
                disk.checkpoint_is_complete();
            }
            begin(shard, now, effects);
        }
    }

    /// Loses all memory. The open batch is committed first, because this test counts every record as acknowledged.
    pub(super) fn crash(&mut self) {
        let now = self.now;
        for (shard, disk, effects) in &mut self.shards {
            let sequence = shard.seal(effects);
            disk.commit(sequence, effects);
            recover(shard, disk);
            begin(shard, now, effects);
            for ((tenant, device_id), targets) in &self.targets {
                if self.map.shard_of(device_id) == shard.id() {
                    shard.set_targets(*tenant, device_id, targets, effects);
                }
            }
            if shard.revision() != self.policy.revision() {
                // As a server does when no durable state names the policy set in force.
                shard.apply_policy(Arc::clone(&self.policy), effects);
            }
        }
    }

    pub(super) fn event(&mut self, event: &Event) -> Option<Answer> {
        match event {
            Event::CheckIn { tenant, record } => {
                let (shard, _, effects) = self.owner(&record.device_id());
                let outcome = shard.apply_check_ins(*tenant, std::slice::from_ref(record), effects);
                Some(answer(outcome, effects))
            }
            Event::Inventory { tenant, inventory } => {
                let archive = inventory.to_bytes().unwrap();
                let (shard, _, effects) = self.owner(&inventory.device_id);
                let outcome = shard.apply_inventory(*tenant, inventory, &archive, effects);
                Some(answer(outcome, effects))
            }
            Event::Policy(rules) => {
                self.end_pass();
                let revision = Revision(self.policy.revision().0 + 1);
                self.policy = Arc::new(PolicySet::new(
                    revision,
                    vec![
                        rules.clone(),
                        TenantPolicy::with_threshold(Threshold::Medium),
                    ],
                ));
                for (shard, disk, effects) in &mut self.shards {
                    disk.add_policy(&self.policy);
                    shard.begin_policy_pass(Arc::clone(&self.policy), effects);
                }
                None
            }
            Event::Reset { tenant, device_id } => {
                let (shard, _, effects) = self.owner(device_id);
                shard.reset_sequence(*tenant, device_id, effects);
                None
            }
            Event::Remove {
                tenant,
                device_id,
                restores,
            } => {
                let (shard, _, effects) = self.owner(device_id);
                if *restores {
                    shard.restore_device(*tenant, device_id, effects);
                } else {
                    shard.remove_device(*tenant, device_id, effects);
                }
                None
            }
            Event::Targets {
                tenant,
                device_id,
                targets,
            } => {
                self.targets.insert((*tenant, *device_id), targets.clone());
                let (shard, _, effects) = self.owner(device_id);
                shard.set_targets(*tenant, device_id, targets, effects);
                None
            }
            Event::Time { seconds, crashes } => {
                let now = self.now.as_seconds().saturating_add_signed(*seconds);
                self.pass_time(Timestamp::from_seconds(now), *crashes);
                None
            }
        }
    }

    fn pass_time(&mut self, now: Timestamp, crashes: bool) {
        self.now = now;
        for (shard, disk, effects) in &mut self.shards {
            let sequence = shard.seal(effects);
            disk.commit(sequence, effects);
            let mut crashes = crashes;
            while shard.context().time.base != now.as_seconds() {
                shard.begin(now, effects);
                shard.tick(self.slice, effects);
                let sequence = shard.seal(effects);
                disk.commit(sequence, effects);
                assert_eq!(cells_of(shard), disk.recount(), "in the middle of a tick");
                assert!(disk.counts_what_is_in(shard));
                if std::mem::take(&mut crashes) {
                    recover(shard, disk);
                    shard.begin(now, effects);
                    for ((tenant, device_id), targets) in &self.targets {
                        if self.map.shard_of(device_id) == shard.id() {
                            shard.set_targets(*tenant, device_id, targets, effects);
                        }
                    }
                    assert!(effects.journal_value().len() <= 16, "the disk has them");
                }
            }
            begin(shard, now, effects);
        }
    }

    /// The cells of all disks, counted by the model.
    fn recount(&self) -> BTreeMap<ModelCell, u64> {
        let mut cells = BTreeMap::new();
        for (_, disk, _) in &self.shards {
            for (cell, count) in disk.recount() {
                *cells.entry(cell).or_default() += count;
            }
        }
        cells
    }

    fn cells(&self) -> BTreeMap<ModelCell, u64> {
        let mut cells = BTreeMap::new();
        for (shard, ..) in &self.shards {
            for (cell, count) in cells_of(shard) {
                *cells.entry(cell).or_default() += count;
            }
        }
        cells
    }

    /// A full round of the audit of every shard finds no fault.
    fn audit(&mut self) {
        for (shard, ..) in &mut self.shards {
            let round = shard.audit(u32::MAX, self.map).unwrap();
            assert_eq!(round.drift(), 0, "{round:?}");
        }
    }
}

/// Opens a batch. Time has passed completely since the last one.
fn begin(shard: &mut Shard, now: Timestamp, effects: &mut Effects) {
    shard.begin(now, effects);
    shard.tick(u32::MAX, effects);
}

/// Replaces a shard by the one on its disk, which must have the same devices in the same slots.
fn recover(shard: &mut Shard, disk: &Disk) {
    let recovered = disk.recover(shard.id(), LIMITS, 99).unwrap();
    assert!(recovered.iter().eq(shard.iter()));
    assert!(disk.counts_what_is_in(&recovered));
    assert_eq!(recovered.revision(), shard.revision());
    assert_eq!(recovered.policy_pass(), shard.policy_pass());
    assert_eq!(recovered.removed(), shard.removed());
    *shard = recovered;
}

/// The counters of a shard.
fn cells_of(shard: &Shard) -> BTreeMap<ModelCell, u64> {
    let cells = shard.cells().map(|(key, count)| {
        let facets = Facets::from_word(key.facets).unwrap();
        ((key.tenant, facets), u64::from(count))
    });
    cells.collect()
}

/// The answer in an outcome of one record, with the reason of a rejection.
fn answer(outcome: Outcome, effects: &mut Effects) -> Answer {
    let noted = effects.rejections.pop();
    match outcome {
        Outcome { accepted: 1, .. } => Answer::Accepted,
        Outcome { duplicate: 1, .. } => Answer::Duplicate,
        Outcome { stale: 1, .. } => Answer::Stale,
        _ => match noted.unwrap().reason() {
            Some(RejectReason::SeqAhead) => Answer::SeqAhead,
            Some(RejectReason::DeviceRemoved) => Answer::DeviceRemoved,
            _ => Answer::UnknownDevice,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The central property: a stream of events gives the oracle's answers and the oracle's cells, however it is split
    /// over shards, batches, checkpoints and crashes; and the cells always sum to the number of devices.
    #[test]
    fn any_interleaving_gives_the_oracles_counts(
        shards in 1..5u16,
        slice in 1..70u32,
        history in prop::collection::vec((any_event(), prop::option::of(any_step())), 1..400),
    ) {
        let mut server = Server::new(shards, slice);
        let mut model = Model::default();
        for (event, step) in &history {
            let answer = server.event(event);
            let expected = match event {
                Event::CheckIn { tenant, record } => {
                    Some(model.check_in(&server.policy, *tenant, record, server.now))
                }
                Event::Inventory { tenant, inventory } => {
                    Some(model.inventory(&server.policy, *tenant, inventory, server.now))
                }
                Event::Reset { tenant, device_id } => {
                    model.reset_sequence(*tenant, *device_id, server.now);
                    None
                }
                Event::Remove { tenant, device_id, restores } => {
                    model.remove(*tenant, *device_id, *restores, server.now);
                    None
                }
                Event::Targets { tenant, device_id, targets } => {
                    model.set_targets(*tenant, *device_id, targets);
                    None
                }
                Event::Time { .. } => {
                    model.time(&server.policy, server.now);
                    None
                }
                Event::Policy(_) => None,
            };
            prop_assert_eq!(answer, expected);
            match step {
                None => (),
                Some(Step::Commit) => server.commit(),
                Some(Step::Checkpoint { pages }) => server.checkpoint(*pages),
                Some(Step::Crash) => server.crash(),
            }
            let devices: u32 = server.shards.iter().map(|(shard, ..)| shard.devices()).sum();
            prop_assert_eq!(devices as usize, model.devices());
        }
        // Counters equal an independent recount of the disks, also in the middle of a policy pass.
        server.commit();
        prop_assert_eq!(server.cells(), server.recount());
        server.audit();
        server.end_pass();
        server.audit();
        prop_assert_eq!(server.cells(), model.cells(&server.policy, server.now));
        server.crash();
        prop_assert_eq!(server.cells(), model.cells(&server.policy, server.now));
    }

    /// Whatever devices report and however they are tagged: no record of a known device is refused, each device is in
    /// one cell, and a cell that the last device has left is removed.
    #[test]
    fn any_number_of_states_is_accepted_and_no_cell_is_without_devices(
        shards in 1..3u16,
        states in prop::collection::vec((any_report(), any_tags()), 1..400),
    ) {
        let mut server = Server::new(shards, 7);
        for (seq, (event, tags)) in (1..).zip(states) {
            let Event::CheckIn { tenant, record } = event else {
                continue;
            };
            let record = record.with_seq(seq).unwrap();
            let inventory = Inventory {
                device_id: record.device_id(),
                tags,
                ..inventory(0, seq as u32, &[])
            };
            for event in [Event::CheckIn { tenant, record }, Event::Inventory { tenant, inventory }] {
                prop_assert_eq!(server.event(&event), Some(Answer::Accepted));
            }
        }
        for (shard, ..) in &mut server.shards {
            let counts: Vec<u32> = shard.cells().map(|(_, count)| count).collect();
            prop_assert!(counts.iter().all(|count| *count > 0));
            prop_assert_eq!(counts.iter().sum::<u32>(), shard.devices());
            prop_assert!(counts.len() <= shard.devices() as usize);
        }
        for tenant in [0, 1].map(TenantIndex) {
            for number in 0..300 {
                let record = record(check_in(number, 1000));
                server.event(&Event::CheckIn { tenant, record });
            }
        }
        let cells: Vec<_> = server.cells().into_iter().collect();
        prop_assert_eq!(cells.len(), 2, "one state of two tenants");
        prop_assert!(cells.iter().all(|(_, devices)| *devices == 300));
    }

    /// Each group of counts sums to the devices that it is about, which are counted here one by one.
    #[test]
    fn counts_of_a_group_sum_to_the_devices_that_it_is_about(
        rules in any_rules(),
        events in prop::collection::vec((any_report(), 1..4u64), 1..200),
        hours in 0..240u32,
    ) {
        let policy = Arc::new(PolicySet::new(Revision(1), vec![rules; 2]));
        let (mut shard, mut effects) = (shard_with(LIMITS, policy), Effects::default());
        let records = events.into_iter().filter_map(|(event, seq)| match event {
            Event::CheckIn { record, .. } => record.with_seq(seq).ok(),
            _ => None,
        });
        apply(&mut shard, &records.collect::<Vec<_>>(), &mut effects);
        let later = Timestamp::from_seconds(NOW.as_seconds() + hours * 3600);
        shard.begin(later, &mut effects);
        shard.tick(u32::MAX, &mut effects);
        let mut counts = crate::Counts::default();
        let (mut enrolled, mut managed, mut supported, mut windows) = (0, 0, 0, 0);
        for (device, _) in shard.iter() {
            let facets = Facets::from_word(device.facets).unwrap();
            counts.add(&facets, 1);
            let others = [ManagementAgent::MsSense, ManagementAgent::Eas, ManagementAgent::Unknown];
            enrolled += u64::from(!others.contains(&facets.management_agent));
            if !["intune", "configMgr"].contains(&facets.managed_by().name()) {
                continue;
            }
            managed += 1;
            let status = facets.onboarding_status().name();
            supported += u64::from(["onboarded", "canBeOnboarded"].contains(&status));
            windows += u64::from(facets.platform.name().starts_with("windows"));
        }
        let groups: BTreeMap<_, BTreeMap<_, _>> = counts
            .groups()
            .into_iter()
            .map(|(name, members)| (name, members.into_iter().collect()))
            .collect();
        let sum = |group: &str| groups[group].values().sum::<u64>();
        prop_assert_eq!(sum("deviceCompliancePolicyDeviceStateSummary"), enrolled);
        prop_assert_eq!(sum("windows_onboarding"), windows);
        let buckets = &groups["windows_onboarding_buckets"];
        prop_assert_eq!(sum("windows_onboarding_buckets") - buckets["mdeManaged"], windows);
        prop_assert_eq!(sum("edr_onboarding"), supported);
        for side in ["onboarded", "notOnboarded"] {
            let total = groups["edr_onboarding"][side];
            let name = side.replace("notO", "not_o");
            prop_assert_eq!(sum(&format!("edr_{name}_by_platform")), total);
            prop_assert_eq!(sum(&format!("edr_{name}_by_managed_by")), total);
        }
        prop_assert_eq!(sum("advancedThreatProtectionOnboardingStateSummary"), managed);
        let (subsets, states) = (&groups["subsets"], &groups["deviceCompliancePolicyDeviceStateSummary"]);
        prop_assert_eq!(subsets["notEnrolled"], u64::from(shard.devices()) - enrolled);
        let compliant = subsets["compliantWithoutPolicy"] + subsets["compliantWithoutData"];
        prop_assert!(compliant <= states["compliantDeviceCount"]);
        prop_assert!(subsets["validityExpired"] <= states["nonCompliantDeviceCount"]);
        prop_assert!(subsets["compliantWithoutPolicy"] <= subsets["devicesWithoutCompliancePolicy"]);
    }

    /// State derived from the latest check-in alone does not depend on the order of arrival.
    #[test]
    fn reported_state_is_that_of_the_highest_seq_in_any_order(
        events in prop::collection::vec(any_check_in(), 1..60),
        seed in any::<u64>(),
    ) {
        let mut records: Vec<CheckInRecord> = events
            .into_iter()
            .filter_map(|event| match event {
                Event::CheckIn { record, .. } if record.seq() < 12 => Some(record),
                _ => None,
            })
            .collect();
        // One content per (device, seq), as a device would send.
        records.sort_by_key(|record| (record.device_id(), record.seq()));
        records.dedup_by_key(|record| (record.device_id(), record.seq()));
        let highest: BTreeMap<DeviceId, CheckInRecord> =
            records.iter().map(|record| (record.device_id(), *record)).collect();
        let mut state = seed | 1;
        for index in (1..records.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            records.swap(index, (state >> 33) as usize % (index + 1));
        }
        let (mut shard, mut effects) = (shard(), Effects::default());
        apply(&mut shard, &records, &mut effects);
        for (device, last) in highest {
            let (stored, _) = shard.device(TENANT, &device).unwrap();
            let facets = Facets::from_word(stored.facets).unwrap();
            prop_assert_eq!(stored.seq, last.seq());
            prop_assert_eq!(facets.risk, last.risk());
            prop_assert_eq!(facets.platform, last.platform());
            prop_assert_eq!(facets.management_agent, last.management_agent());
            prop_assert_eq!(facets.onboarded, last.onboarding() == Onboarding::Onboarded);
        }
    }
}

#[test]
fn a_page_that_is_ahead_of_a_lost_journal_tail_is_refused() {
    let mut server = Server::new(1, 7);
    server.event(&Event::CheckIn {
        tenant: TENANT,
        record: record(check_in(1, 1)),
    });
    server.commit();
    server.event(&Event::CheckIn {
        tenant: TENANT,
        record: record(check_in(1, 2)),
    });
    server.checkpoint(0);
    let (shard, disk, effects) = &mut server.shards[0];
    shard.seal(effects);
    shard.checkpoint_step(1, effects);
    disk.commit(shard.sequence(), effects);
    assert!(disk.recover(shard.id(), LIMITS, 5).is_ok());
    disk.lose_journal_tail();
    assert!(matches!(
        disk.recover(shard.id(), LIMITS, 5),
        Err(RecoveryError::JournalEndsEarly { .. })
    ));
}

#[test]
fn lower_limits_do_not_lose_accepted_devices() {
    let mut server = Server::new(1, 7);
    for number in 0..20 {
        server.event(&Event::CheckIn {
            tenant: TENANT,
            record: record(check_in(number, 1)),
        });
    }
    server.commit();
    let (shard, disk, _) = &server.shards[0];
    let limits = ShardLimits { devices_max: 3 };
    let mut recovered = disk.recover(shard.id(), limits, 5).unwrap();
    assert_eq!(recovered.devices(), shard.devices());
    let outcome = apply(
        &mut recovered,
        &[record(check_in(99, 1))],
        &mut Effects::default(),
    );
    assert_eq!(outcome.rejected, 1);
}
