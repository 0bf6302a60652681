//! Tests of the view: whatever happens to the shards, it has what they have after each batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_api::TooOld;
use muster_engine::{
    DeviceRules, PolicySet, ProfileId, Revision, ShardLimits, ShardMap, ShardSet, TargetId,
    TargetedRules, TenantPolicy, Threshold,
};
use muster_wire::{
    CheckIn, DeviceId, Flags, Inventory, ManagementAgent, Onboarding, Owner, PartnerThreatState,
    Platform, Risk,
};
use proptest::prelude::*;

use super::*;

const SHARDS: u16 = 5;
const TENANTS: u16 = 2;
const DEVICES: u8 = 24;
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Slots of a slice of a policy pass, and due devices of a slice of a tick: passes and ticks take several batches.
const SLICE: u32 = 3;

/// A target, whose members have a stricter policy.
const GROUP: TargetId = TargetId(7);

/// The groups in which a device may be.
const GROUPS: [TargetId; 3] = [GROUP, TargetId(8), TargetId(9)];

/// A device of a tenant; both tenants have devices with the same ids.
type Device = (u16, u8);

#[derive(Clone, Debug)]
enum Event {
    CheckIns(Vec<(Device, Report)>),
    /// A device sends an inventory with this version of its system.
    Inventory(Device, u64),
    Remove(Device),
    Restore(Device),
    /// The device is in these of [`GROUPS`]: a bit for each.
    Target(Device, u8),
    Policy(Threshold),
    /// Time passes, or the clock is set back.
    Time(i32),
    /// The server restarts: the view is built again.
    Restart,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    risk: Risk,
    is_onboarded: bool,
    is_healthy: bool,
}

fn any_event() -> impl Strategy<Value = Event> {
    let device = || (0..TENANTS, 0..DEVICES);
    let report = (
        prop::sample::select(Risk::ALL),
        any::<bool>(),
        any::<bool>(),
    );
    let report = report.prop_map(|(risk, is_onboarded, is_healthy)| Report {
        risk,
        is_onboarded,
        is_healthy,
    });
    let check_ins = prop::collection::vec((device(), report), 1..30).prop_map(Event::CheckIns);
    let thresholds = vec![Threshold::Low, Threshold::Medium, Threshold::High];
    // A retention and the silence of a sensor end within some of these steps.
    let time = prop_oneof![4 => 1..200_000, 1 => -100_000..-10];
    prop_oneof![
        12 => check_ins,
        4 => (device(), 0..4_u64).prop_map(|(device, version)| Event::Inventory(device, version)),
        4 => device().prop_map(Event::Remove),
        2 => device().prop_map(Event::Restore),
        3 => (device(), 0..8_u8).prop_map(|(device, groups)| Event::Target(device, groups)),
        2 => prop::sample::select(thresholds).prop_map(Event::Policy),
        6 => time.prop_map(Event::Time),
        1 => Just(Event::Restart),
    ]
}

fn device_id(number: u8) -> DeviceId {
    DeviceId::from_bytes([number + 1; 16])
}

/// Stricter rules for the members of a group, and retentions that end soon.
fn policy(revision: u32, threshold: Threshold) -> Arc<PolicySet> {
    let mut tenant = TenantPolicy::with_threshold(threshold);
    tenant.retention.removed_seconds = 50_000;
    tenant.retention.profile_seconds = 300_000;
    tenant.add_targeted(TargetedRules {
        device: DeviceRules {
            os_minimum: 2,
            ..DeviceRules::default()
        },
        platform: Platform::Windows,
        threshold: Threshold::Low,
        all_devices: false,
        included: vec![GROUP],
        excluded: Vec::new(),
    });
    Arc::new(PolicySet::new(
        Revision(revision),
        vec![tenant; TENANTS.into()],
    ))
}

/// The shards of two threads, and their view.
struct Server {
    threads: [ShardSet; 2],
    view: View,
    now: Timestamp,
    revision: u32,
    revision_of_inventory: u32,
    seq: u64,
}

impl Server {
    fn new() -> Self {
        let map = ShardMap::new(SHARDS);
        let limits = ShardLimits { devices_max: 1_000 };
        let set = |shards: Range<u16>| {
            let shards = shards.map(|shard| Shard::new(ShardId(shard), limits, 1));
            ShardSet::new(map, shards.collect(), limits.devices_max)
        };
        let mut server = Self {
            threads: [set(0..2), set(2..SHARDS)],
            view: View::new(SHARDS, [], START),
            now: START,
            revision: 0,
            revision_of_inventory: 0,
            seq: 0,
        };
        server.event(&Event::Policy(Threshold::Medium));
        server
    }

    /// A batch of each thread with this event, and the view afterwards.
    fn event(&mut self, event: &Event) {
        match event {
            Event::Restart => {
                let shards = self.threads.iter().flat_map(ShardSet::shards);
                self.view = View::new(SHARDS, shards, self.now);
                return;
            }
            Event::Time(seconds) => {
                let now = self.now.as_seconds().saturating_add_signed(*seconds);
                self.now = Timestamp::from_seconds(now.max(START.as_seconds() - 1_000_000));
            }
            Event::Policy(_) => self.revision += 1,
            Event::Inventory(..) => self.revision_of_inventory += 1,
            _ => (),
        }
        let mut records = BTreeMap::<_, Vec<_>>::new();
        if let Event::CheckIns(check_ins) = event {
            for ((tenant, number), report) in check_ins {
                self.seq += 1;
                let id = device_id(*number);
                let record = check_in(id, self.seq, *report).to_record().unwrap();
                let thread = usize::from(ShardMap::new(SHARDS).shard_of(&id).0 >= 2);
                records.entry((thread, *tenant)).or_default().push(record);
            }
        }
        for thread in 0..2 {
            let set = &mut self.threads[thread];
            set.begin(self.now);
            set.tick(SLICE);
            set.policy_step(SLICE);
            let owns =
                |id: &DeviceId| usize::from(ShardMap::new(SHARDS).shard_of(id).0 >= 2) == thread;
            match event {
                Event::CheckIns(_) => {
                    for ((_, tenant), records) in records.range((thread, 0)..=(thread, TENANTS)) {
                        set.apply_check_ins(TenantIndex(*tenant), records);
                    }
                }
                Event::Inventory((tenant, number), version) if owns(&device_id(*number)) => {
                    let inventory = inventory(*number, self.revision_of_inventory, *version);
                    let archive = inventory.to_bytes().unwrap();
                    set.apply_inventory(TenantIndex(*tenant), &inventory, &archive);
                }
                Event::Policy(threshold) => {
                    set.policy_step(u32::MAX);
                    set.begin_policy_pass(&policy(self.revision, *threshold));
                }
                Event::Remove((tenant, number)) if owns(&device_id(*number)) => {
                    set.remove_device(TenantIndex(*tenant), &device_id(*number));
                }
                Event::Restore((tenant, number)) if owns(&device_id(*number)) => {
                    set.restore_device(TenantIndex(*tenant), &device_id(*number));
                }
                Event::Target((tenant, number), groups) if owns(&device_id(*number)) => {
                    let groups = GROUPS
                        .iter()
                        .zip(0..)
                        .filter(|(_, bit)| groups >> bit & 1 == 1);
                    let targets: Vec<_> = groups.map(|(target, _)| *target).collect();
                    set.set_targets(TenantIndex(*tenant), &device_id(*number), &targets);
                }
                _ => (),
            }
            set.seal();
            for (_, shard, effects) in set.touched() {
                let (moved, profiles) = (&effects.transitions, &effects.profiles);
                self.view.apply(shard.id(), moved, profiles, self.now);
                effects.transitions.clear();
                effects.profiles.clear();
            }
        }
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.threads.iter().flat_map(ShardSet::shards)
    }

    /// The counters of all shards.
    fn counters(&self) -> BTreeMap<CellKey, u64> {
        let mut counters = BTreeMap::new();
        for (cell, devices) in self.shards().flat_map(Shard::cells) {
            *counters.entry(cell).or_default() += u64::from(devices);
        }
        counters
    }
}

fn check_in(device_id: DeviceId, seq: u64, report: Report) -> CheckIn {
    let onboarding = if report.is_onboarded {
        Onboarding::Onboarded
    } else {
        Onboarding::NotOnboarded
    };
    let healthy = Flags::SENSOR_RUNNING
        | Flags::COMMAND_AND_CONTROL_OK
        | Flags::TELEMETRY_OK
        | Flags::FULL_REPORT;
    CheckIn {
        device_id,
        seq,
        sent_at_ms: 1,
        boot_id: 1,
        payload: 0,
        flags: if report.is_healthy {
            healthy
        } else {
            Flags::NONE
        },
        risk: report.risk,
        partner_threat_state: PartnerThreatState::ALL[0],
        onboarding,
        platform: Platform::Windows,
        management_agent: ManagementAgent::Mdm,
    }
}

fn inventory(number: u8, revision: u32, os_version: u64) -> Inventory {
    Inventory {
        device_id: device_id(number),
        os_version,
        revision,
        owner: Owner::Company,
        device_name: String::new(),
        os_name: String::new(),
        model: String::new(),
        manufacturer: String::new(),
        serial_number: String::new(),
        user_principal_name: String::new(),
        tags: Vec::new(),
    }
}

/// The cells of the view by key.
fn cells_of(view: &View, tenant: Option<TenantIndex>) -> BTreeMap<CellKey, u64> {
    let cells = view.cells(tenant).into_iter();
    let cells = cells.map(|cell| {
        let key = CellKey {
            tenant: cell.tenant,
            facets: cell.facets.word(),
        };
        (key, cell.count)
    });
    cells.collect()
}

/// What a scan of a tenant should list.
fn counted(server: &Server, tenant: TenantIndex, only: Option<FacetWord>) -> Vec<Position> {
    let mut positions = Vec::new();
    for shard in server.shards() {
        let counted = shard.counted().filter(|(_, cell)| {
            cell.tenant == tenant && only.is_none_or(|only| only == cell.facets)
        });
        positions.extend(counted.map(|(slot, _)| Position {
            shard: shard.id(),
            slot,
        }));
    }
    positions
}

/// Every combination of groups that are seen, of those that have tags, with and without the default tag.
fn sights() -> impl Iterator<Item = Sight> {
    let groups = |bits: usize| {
        (0..3)
            .filter(move |bit| bits >> bit & 1 == 1)
            .map(|bit| GROUPS[bit])
    };
    (0..8 * 8 * 2).map(move |bits| Sight {
        seen: groups(bits & bits >> 3).collect(),
        tagged: groups(bits >> 3).collect(),
        has_default: bits >> 6 == 1,
    })
}

/// The devices that should be seen, by the targets in their records.
fn seen(server: &Server, tenant: TenantIndex, sight: &Sight) -> Vec<(Position, FacetWord)> {
    let mut seen = Vec::new();
    for shard in server.shards() {
        for (slot, cell) in shard.counted().filter(|(_, cell)| cell.tenant == tenant) {
            let (record, _) = shard.device_in(slot).unwrap();
            let targets = shard.targets_of(record.profile());
            let is_in = |groups: &std::collections::BTreeSet<_>| {
                targets.iter().any(|target| groups.contains(target))
            };
            if is_in(&sight.seen) || (sight.has_default && !is_in(&sight.tagged)) {
                let shard = shard.id();
                seen.push((Position { shard, slot }, cell.facets));
            }
        }
    }
    seen
}

/// All pages of a scan.
fn scan_all(view: &View, tenant: TenantIndex, only: FacetWord, limit: usize) -> Vec<Position> {
    let mut found = Vec::new();
    let mut from = Position::default();
    loop {
        let page = view.scan(tenant, None, from, limit, |facets| facets == only);
        assert!(page.len() <= limit);
        let Some(last) = page.last() else {
            return found;
        };
        from = last.next();
        found.extend(page);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn after_each_batch_the_view_has_what_the_shards_have(
        events in prop::collection::vec(any_event(), 1..80),
        limit in 1..9usize,
    ) {
        let mut server = Server::new();
        for event in &events {
            server.event(event);
            let counters = server.counters();
            prop_assert_eq!(cells_of(&server.view, None), counters.clone(), "{:?}", event);
            prop_assert_eq!(server.view.drift(), 0);
            let columns: BTreeMap<_, _> = server.view.count_columns(0..SHARDS).collect();
            prop_assert_eq!(columns, counters);
        }
        for (cell, devices) in server.counters() {
            let expected = counted(&server, cell.tenant, Some(cell.facets));
            prop_assert_eq!(expected.len() as u64, devices);
            prop_assert_eq!(scan_all(&server.view, cell.tenant, cell.facets, limit), expected);
            let count = server.view.count(cell.tenant, |facets| facets == cell.facets);
            prop_assert_eq!(count, devices);
        }
        for tenant in (0..TENANTS).map(TenantIndex) {
            let mut own = server.counters();
            own.retain(|cell, _| cell.tenant == tenant);
            prop_assert_eq!(cells_of(&server.view, Some(tenant)), own);
            for sight in sights() {
                let seen = seen(&server, tenant, &sight);
                let cells = server.view.cells_seen(tenant, &sight).into_iter();
                let cells: BTreeMap<_, _> = cells.map(|cell| (cell.facets.word(), cell.count)).collect();
                let mut expected = BTreeMap::new();
                seen.iter().for_each(|(_, facets)| *expected.entry(*facets).or_default() += 1);
                prop_assert_eq!(cells, expected, "{:?}", sight);
                let all = |_| true;
                let listed = server.view.scan(tenant, Some(&sight), Position::default(), usize::MAX, all);
                let expected: Vec<_> = seen.into_iter().map(|(position, _)| position).collect();
                prop_assert_eq!(listed, expected, "{:?}", sight);
            }
        }
    }

    /// A reader that has listed all devices and then follows the feed has the same devices as the view.
    #[test]
    fn the_feed_leads_from_an_earlier_state_to_the_present_one(
        before in prop::collection::vec(any_event(), 0..30),
        after in prop::collection::vec(any_event(), 1..30),
        limit in 1..40usize,
    ) {
        for tenant in (0..TENANTS).map(TenantIndex) {
            let mut server = Server::new();
            before.iter().for_each(|event| server.event(event));
            let mut position = server.view.changes_head(tenant);
            let arrivals = server.view.arrivals_head(tenant);
            let mut devices = facets_by_device(&server, tenant);
            let mut seen: BTreeSet<_> = devices.keys().copied().collect();
            let revision_before = server.revision_of_inventory;
            let mut sent = BTreeSet::new();
            for event in &after {
                if let Event::Inventory((of, number), _) = event
                    && TenantIndex(*of) == tenant
                {
                    sent.insert(device_id(*number));
                }
                match event {
                    Event::Restart => (),
                    // Less than the age at which changes leave the feed.
                    Event::Time(seconds) => server.event(&Event::Time(seconds / 100)),
                    event => server.event(event),
                }
            }
            loop {
                let changes = server.view.changes_since(tenant, position, limit).unwrap();
                let Some(last) = changes.last() else { break };
                position = last.position + 1;
                for change in changes {
                    let known = match change.after {
                        Some(facets) => devices.insert(change.device_id, facets),
                        None => devices.remove(&change.device_id),
                    };
                    prop_assert_eq!(known, change.before);
                }
            }
            prop_assert_eq!(position, server.view.changes_head(tenant));
            prop_assert_eq!(&devices, &facets_by_device(&server, tenant));
            let arrived = server.view.arrivals_since(tenant, arrivals, usize::MAX).unwrap();
            let mut renewed = BTreeSet::new();
            for change in arrived {
                prop_assert!(change.after.is_some());
                let is_new = change.before.is_none();
                prop_assert!(is_new || sent.contains(&change.device_id), "nothing arrived");
                seen.insert(change.device_id);
                renewed.insert(change.device_id);
            }
            prop_assert!(devices.keys().all(|device| seen.contains(device)));
            // An inventory of a removed device is rejected.
            let accepted = sent.iter().filter(|device| devices.contains_key(device));
            let accepted = accepted.filter(|device| {
                let mut shards = server.shards();
                shards.any(|shard| {
                    let found = shard.device(tenant, device);
                    found.is_some_and(|(_, cold)| cold.inventory_revision > revision_before)
                })
            });
            prop_assert!(accepted.clone().all(|device| renewed.contains(device)));
        }
    }
}

fn facets_by_device(server: &Server, tenant: TenantIndex) -> BTreeMap<DeviceId, FacetWord> {
    let devices = server.shards().flat_map(Shard::iter);
    let own = devices.filter(|(record, _)| record.tenant == tenant);
    own.map(|(record, _)| (record.device_id, record.facets))
        .collect()
}

fn transition(tenant: u16, slot: u32, before: Option<u64>, after: Option<u64>) -> Transition {
    Transition {
        slot: SlotIndex(slot),
        device_id: device_id(slot as u8),
        tenant: TenantIndex(tenant),
        before: before.map(FacetWord),
        after: after.map(FacetWord),
        profile: ProfileId::default(),
        has_new_inventory: false,
    }
}

#[test]
fn a_tenant_whose_devices_change_all_the_time_evicts_nothing_of_another() {
    let mut view = View::new(1, [], START);
    view.changes_max = 10;
    let (quiet, noisy) = (TenantIndex(0), TenantIndex(1));
    let first = view.changes_head(quiet);
    view.apply(ShardId(0), &[transition(0, 0, None, Some(1))], &[], START);
    view.apply(ShardId(0), &[transition(1, 1, None, Some(1))], &[], START);
    for facets in 1..100 {
        let moved = transition(1, 1, Some(facets), Some(facets + 1));
        view.apply(ShardId(0), &[moved], &[], START);
    }
    assert_eq!(view.changes_since(quiet, first, 9).unwrap().len(), 1);
    assert_eq!(view.changes_since(noisy, first, 9), Err(TooOld));
    let left = view.changes_since(noisy, first + 90, 99).unwrap();
    assert_eq!((left.len(), view.changes(), view.evicted()), (10, 11, 90));
}

#[test]
fn a_position_of_another_run_is_too_old() {
    let tenant = TenantIndex(0);
    let mut position = 0;
    for start in 0..3 {
        let started_at = Timestamp::from_millis(START.as_millis() + start);
        let view = View::new(1, [], started_at);
        assert_eq!(view.changes_since(tenant, position, 9), Err(TooOld));
        view.apply(
            ShardId(0),
            &[transition(0, 0, None, Some(1))],
            &[],
            started_at,
        );
        assert_eq!(view.changes_since(tenant, position, 9), Err(TooOld));
        position = view.changes_head(tenant);
        assert_eq!(view.changes_since(tenant, position, 9), Ok(Vec::new()));
    }
}

#[test]
fn a_column_that_differs_from_the_cells_is_drift() {
    let view = View::new(2, [], START);
    let devices = [
        transition(0, 0, None, Some(1)),
        transition(0, 1, None, Some(1)),
    ];
    view.apply(ShardId(1), &devices, &[], START);
    assert_eq!(view.drift(), 0);
    let column = view.columns[1].open(SlotIndex(1));
    column.set(
        SlotIndex(1),
        TenantIndex(0),
        Some(FacetWord(2)),
        ProfileId(0),
    );
    assert_eq!(
        view.drift(),
        2,
        "one device too many in a cell, and too few in another"
    );
    column.set(SlotIndex(1), TenantIndex(0), None, ProfileId(0));
    assert_eq!(view.drift(), 1);
}
