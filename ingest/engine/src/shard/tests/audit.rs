//! The audit: silent whatever happens, and never silent about what is wrong.

use proptest::prelude::*;

use super::properties::{Event, Server, Step, any_event, any_step};
use super::*;
use crate::cell::CellId;
use crate::shard::AuditRound;

const ONE_SHARD: fn() -> ShardMap = || ShardMap::new(1);

/// Something wrong, done behind the shard's back.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A counter that is one too high.
    CountTooHigh,
    /// A counter that is one too low, and another that makes up for it.
    CountMoved,
    /// A record that names another cell than the one the device is counted in.
    RecordCell,
    /// A record that names a cell that does not exist.
    NoSuchCell,
    /// A record that says it belongs to another tenant.
    Tenant,
    /// A device that the index has lost.
    IndexLost,
    /// A device that the index takes for its neighbour.
    IndexWrong,
    /// An entry of the index for a slot without a device.
    IndexTooMany,
    /// A device in two slots, with the counters to match.
    Twice,
    /// A record wiped out.
    RecordLost,
    /// A device of another shard, with everything to match.
    Stray,
}

const DAMAGES: &[Damage] = &[
    Damage::CountTooHigh,
    Damage::CountMoved,
    Damage::RecordCell,
    Damage::NoSuchCell,
    Damage::Tenant,
    Damage::IndexLost,
    Damage::IndexWrong,
    Damage::IndexTooMany,
    Damage::Twice,
    Damage::RecordLost,
    Damage::Stray,
];

impl Damage {
    /// Does it to a shard with at least two devices and two cells; `pick` chooses where.
    fn plant(self, shard: &mut Shard, map: ShardMap, pick: usize) {
        let devices: Vec<SlotIndex> = shard.devices.iter().map(|(slot, _)| slot).collect();
        let slot = devices[pick % devices.len()];
        let neighbour = devices[(pick + 1) % devices.len()];
        let record = *shard.devices.get(slot);
        let other_cell = CellId((record.cell.0 + 1) % shard.cells.len() as u32);
        let hash = shard.index.hash(record.tenant, &record.device_id);
        match self {
            Self::CountTooHigh => shard.cells.enter(record.cell),
            Self::CountMoved => {
                shard.cells.leave(record.cell);
                shard.cells.enter(other_cell);
            }
            Self::RecordCell => shard.devices.get_mut(slot).cell = other_cell,
            Self::NoSuchCell => shard.devices.get_mut(slot).cell = CellId(u32::MAX),
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
                let slot = shard.devices.insert(record);
                shard.index.insert(hash, slot, &shard.devices);
                shard.cells.enter(record.cell);
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
                let slot = shard.devices.insert(stray);
                let hash = shard.index.hash(stray.tenant, &stray.device_id);
                shard.index.insert(hash, slot, &shard.devices);
                shard.cells.enter(stray.cell);
            }
        }
    }
}

/// Audits to the end of a round.
fn round(shard: &mut Shard, slots: u32, map: ShardMap) -> AuditRound {
    loop {
        if let Some(round) = shard.audit(slots, map) {
            return round;
        }
    }
}

/// What the shards of a server found wrong in some slices each.
fn audit_some(server: &mut Server, slices: &[u32]) -> Result<(), TestCaseError> {
    let map = server.map;
    for (shard, ..) in &mut server.shards {
        for slots in slices {
            if let Some(round) = shard.audit(*slots, map) {
                prop_assert_eq!(round.drift(), 0, "{:?}", round);
                prop_assert_eq!(round.devices, u64::from(shard.devices()));
            }
        }
    }
    Ok(())
}

fn play(server: &mut Server, (event, step): &(Event, Option<Step>)) {
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
/// in the lowest 300 slots of 8,192.
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
        let mut server = Server::new(shards);
        for (step, slices) in history.iter().zip(slices.iter().cycle()) {
            play(&mut server, step);
            audit_some(&mut server, slices)?;
        }
        audit_some(&mut server, &[u32::MAX, u32::MAX])?;
    }

    /// Wherever the walk is when it happens: the round after that at the latest.
    #[test]
    fn any_damage_is_found_within_one_round(
        history in any_history(),
        before in 0..300u32,
        slots in 1..9000u32,
        damage in prop::sample::select(DAMAGES),
        pick in any::<usize>(),
    ) {
        let mut server = Server::new(2);
        for step in &history {
            play(&mut server, step);
        }
        let map = server.map;
        let (shard, ..) = &mut server.shards[0];
        prop_assume!(shard.devices() >= 2 && shard.cells.len() >= 2);
        prop_assert_eq!(shard.audit(before, map), None);
        damage.plant(shard, map, pick);
        let under_way = round(shard, slots, map);
        let next = round(shard, slots, map);
        prop_assert_ne!(next.drift(), 0);
        // What is wrong with counters and index alone does not need the walk to come by.
        if matches!(damage, Damage::CountTooHigh | Damage::CountMoved | Damage::IndexTooMany) {
            prop_assert_ne!(under_way.drift(), 0);
        }
        prop_assert_ne!(round(shard, slots, map).drift(), 0, "it is found again");
    }
}

#[test]
fn a_wrong_step_of_a_counter_is_found_by_the_round_in_which_it_happens() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply(
        &mut shard,
        &[record(check_in(1, 1)), record(check_in(2, 1))],
        &mut effects,
    );
    assert_eq!(
        shard.audit(2, ONE_SHARD()),
        None,
        "both are behind the walk"
    );
    // The device changes cell, and the counters move another one instead.
    let risky = CheckIn {
        risk: Risk::High,
        ..check_in(1, 2)
    };
    apply(&mut shard, &[record(risky)], &mut effects);
    shard.cells.leave(CellId(1));
    shard.cells.enter(CellId(0));
    let found = round(&mut shard, 8192, ONE_SHARD());
    assert_eq!(
        (found.devices, found.miscounted, found.misplaced),
        (2, 2, 0)
    );
}

#[test]
fn an_empty_shard_has_nothing_to_find() {
    let mut shard = shard();
    let found = round(&mut shard, 1, ONE_SHARD());
    assert_eq!((found.devices, found.drift()), (0, 0));
}
