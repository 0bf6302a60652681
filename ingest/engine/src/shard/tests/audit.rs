//! The audit: no drift after any events, drift after any injected fault.

use proptest::prelude::*;

use super::properties::{Event, Server, Step, any_event, any_step};
use super::*;
use crate::deadlines::NEVER;
use crate::facet::FacetWord;
use crate::shard::AuditRound;

const ONE_SHARD: fn() -> ShardMap = || ShardMap::new(1);

/// A fault in a shard's memory.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A counter is one too high.
    CountTooHigh,
    /// A counter is one too low, and another is one too high.
    CountMoved,
    /// A record has the facets of another cell than the one that counts the device.
    RecordFacets,
    /// A record has facets that no cell has.
    NoSuchCell,
    /// A record names another tenant.
    Tenant,
    /// A device is missing from the index.
    IndexLost,
    /// The index entry of a device points to another device.
    IndexWrong,
    /// An index entry points to an empty slot.
    IndexTooMany,
    /// A device is in two slots, and the counters match.
    Twice,
    /// A record is erased.
    RecordLost,
    /// A device belongs to another shard, and index and counters match.
    Stray,
    /// The deadline of a device is lost.
    DeadlineLost,
}

const FAULTS: &[Fault] = &[
    Fault::CountTooHigh,
    Fault::CountMoved,
    Fault::RecordFacets,
    Fault::NoSuchCell,
    Fault::Tenant,
    Fault::IndexLost,
    Fault::IndexWrong,
    Fault::IndexTooMany,
    Fault::Twice,
    Fault::RecordLost,
    Fault::Stray,
    Fault::DeadlineLost,
];

impl Fault {
    /// Injects the fault into a shard with at least two devices and two cells; `pick` selects the device.
    fn inject(self, shard: &mut Shard, map: ShardMap, pick: usize) {
        let devices = shard.devices.occupied();
        let devices = devices.filter(|slot| !shard.devices.get(*slot).removed());
        let devices: Vec<SlotIndex> = devices.collect();
        let slot = devices[pick % devices.len()];
        let neighbour = devices[(pick + 1) % devices.len()];
        let record = *shard.devices.get(slot);
        let cell = record.cell();
        let mut cells = shard.cells.iter().map(|(key, _)| key);
        let other_cell = cells.find(|key| *key != cell).unwrap();
        drop(cells);
        let hash = shard.index.hash(record.tenant, &record.device_id);
        match self {
            Self::CountTooHigh => shard.cells.enter(cell),
            Self::CountMoved => {
                shard.cells.leave(cell);
                shard.cells.enter(other_cell);
            }
            Self::RecordFacets => {
                let record = shard.devices.get_mut(slot);
                (record.tenant, record.facets) = (other_cell.tenant, other_cell.facets);
            }
            Self::NoSuchCell => shard.devices.get_mut(slot).facets = FacetWord(u64::MAX),
            Self::Tenant => shard.devices.get_mut(slot).tenant = TenantIndex(7),
            Self::IndexLost => shard.index.remove(hash, slot),
            Self::IndexWrong => {
                shard.index.remove(hash, slot);
                shard.index.insert(hash, neighbour, &shard.devices);
            }
            Self::IndexTooMany => {
                let empty = shard.slots() - 1;
                shard
                    .index
                    .insert(hash ^ 1, SlotIndex(empty), &shard.devices);
            }
            Self::Twice => {
                let slot = shard.devices.insert(record, ColdRecord::default());
                shard.index.insert(hash, slot, &shard.devices);
                shard.cells.enter(cell);
            }
            Self::DeadlineLost => {
                let mut devices = devices.into_iter();
                match devices.find(|slot| shard.deadlines.get(*slot) != NEVER) {
                    Some(slot) => shard.deadlines.set(slot, NEVER),
                    None => shard.cells.enter(cell),
                }
            }
            Self::RecordLost => *shard.devices.get_mut(slot) = DeviceRecord::default(),
            Self::Stray => {
                let stray = (0..u16::MAX)
                    .map(device_id)
                    .find(|id| map.shard_of(id) != shard.id);
                let stray = DeviceRecord {
                    device_id: stray.unwrap(),
                    ..record
                };
                let slot = shard.devices.insert(stray, ColdRecord::default());
                let hash = shard.index.hash(stray.tenant, &stray.device_id);
                shard.index.insert(hash, slot, &shard.devices);
                shard.cells.enter(cell);
            }
        }
    }
}

/// Audits until the end of a round.
fn round(shard: &mut Shard, slots: u32, map: ShardMap) -> AuditRound {
    loop {
        if let Some(round) = shard.audit(slots, map) {
            return round;
        }
    }
}

/// Audits every shard of a server in slices; no round may report drift.
fn audit_slices(server: &mut Server, slices: &[u32]) -> Result<(), TestCaseError> {
    let map = server.map;
    for (shard, ..) in &mut server.shards {
        for slots in slices {
            if let Some(round) = shard.audit(*slots, map) {
                prop_assert_eq!(round.drift(), 0, "{:?}", round);
                prop_assert_eq!(round.devices, u64::from(shard.devices() + shard.removed()));
            }
        }
    }
    Ok(())
}

fn apply_step(server: &mut Server, (event, step): &(Event, Option<Step>)) {
    server.event(event);
    match step {
        None => (),
        Some(Step::Commit) => server.commit(),
        Some(Step::Checkpoint { pages }) => server.checkpoint(*pages),
        Some(Step::Crash) => server.crash(),
    }
}

fn any_history() -> impl Strategy<Value = Vec<(Event, Option<Step>)>> {
    prop::collection::vec((any_event(), prop::option::of(any_step())), 1..400)
}

/// Slices that end between any two devices, and one that ends the round: all devices of this test are
/// in the lowest 300 slots of 4,096.
fn any_slices() -> impl Strategy<Value = Vec<u32>> {
    let slices = prop_oneof![8 => 1..60u32, 1 => Just(8192)];
    prop::collection::vec(slices, 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_audit_among_any_events_finds_nothing(
        shards in 1..4u16,
        history in any_history(),
        slices in prop::collection::vec(any_slices(), 1..50),
    ) {
        let mut server = Server::new(shards, 9);
        for (step, slices) in history.iter().zip(slices.iter().cycle()) {
            apply_step(&mut server, step);
            audit_slices(&mut server, slices)?;
        }
        audit_slices(&mut server, &[u32::MAX, u32::MAX])?;
    }

    /// A fault is found by the end of the next round at the latest, wherever the scan is when it occurs.
    #[test]
    fn any_fault_is_found_within_one_round(
        history in any_history(),
        before in 0..300u32,
        slots in 1..9000u32,
        fault in prop::sample::select(FAULTS),
        pick in any::<usize>(),
    ) {
        let mut server = Server::new(2, 9);
        for step in &history {
            apply_step(&mut server, step);
        }
        let map = server.map;
        let (shard, ..) = &mut server.shards[0];
        prop_assume!(shard.devices() >= 2 && shard.cells().count() >= 2);
        prop_assert_eq!(shard.audit(before, map), None);
        fault.inject(shard, map, pick);
        let under_way = round(shard, slots, map);
        let next = round(shard, slots, map);
        prop_assert_ne!(next.drift(), 0);
        // Faults in counters and in the number of index entries are found without scanning the slot.
        if matches!(fault, Fault::CountTooHigh | Fault::CountMoved | Fault::IndexTooMany) {
            prop_assert_ne!(under_way.drift(), 0);
        }
        prop_assert_ne!(round(shard, slots, map).drift(), 0, "it is found again");
    }
}

#[test]
fn a_wrong_counter_update_is_found_by_the_round_in_which_it_happens() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply(
        &mut shard,
        &[record(check_in(1, 1)), record(check_in(2, 1))],
        &mut effects,
    );
    assert_eq!(
        shard.audit(2, ONE_SHARD()),
        None,
        "the scan has passed both"
    );
    let cell = |shard: &Shard, number| shard.device(TENANT, &device_id(number)).unwrap().0.cell();
    // The device changes cell, but the counters move another device.
    let risky = CheckIn {
        risk: Risk::High,
        ..check_in(1, 2)
    };
    apply(&mut shard, &[record(risky)], &mut effects);
    let [risky, usual] = [1, 2].map(|number| cell(&shard, number));
    shard.cells.leave(risky);
    shard.cells.enter(usual);
    let found = round(&mut shard, 8192, ONE_SHARD());
    assert_eq!(
        (found.devices, found.miscounted, found.misplaced),
        (2, 2, 0)
    );
}

#[test]
fn an_empty_shard_has_no_drift() {
    let mut shard = shard();
    let found = round(&mut shard, 1, ONE_SHARD());
    assert_eq!((found.devices, found.drift()), (0, 0));
}
