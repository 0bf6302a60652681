//! Tables that a tenant fills from outside: they delay no other tenant, and are freed again.

use std::collections::{BTreeMap, BTreeSet};

use muster_engine::{SHARDS, ShardId, ShardMap};
use muster_testkit::harness::frame;
use muster_wire::{AckTotals, CheckIn, CheckInRecord, DeviceId, Risk};
use serde_json::{Value, json};

use crate::harness::*;

/// Number of devices of *evil* that walk through the states, each in another shard.
const WALKING: u16 = 4;

/// Maximum number of frames that a session has in flight.
const WINDOW: usize = 64;

/// Check-ins of a frame.
const FRAME: u64 = 4096;

/// Inventories of one device of *evil*.
const INVENTORIES: u32 = 9000;

/// Number of states that each walking device of *evil* passes through.
const STATES: u64 = 4 * FRAME;

/// Number of devices of *victim*, and of devices of *evil* that are in different states at the same time.
const FLEET: u64 = 200;

fn settings() -> Settings {
    Settings {
        listen: format!("window_frames_device = {WINDOW}"),
        tenants: vec!["evil", "victim"],
        ..Settings::default()
    }
}

/// The usual check-in, with this risk.
fn check_in(device_id: DeviceId, seq: u64, risk: Risk) -> CheckInRecord {
    record(CheckIn {
        risk,
        ..healthy(device_id, seq)
    })
}

/// A check-in with random contents, which depend on the seq.
fn any_check_in(device_id: DeviceId, seq: u64) -> CheckInRecord {
    random_check_in(&mut Random::new(seq, 0), device_id, seq)
}

/// Frames of these check-ins, `of` in each.
fn frames(check_ins: impl Iterator<Item = CheckInRecord>, of: u64) -> Vec<Vec<u8>> {
    let check_ins: Vec<_> = check_ins.collect();
    let frames = check_ins.chunks(of as usize);
    frames.map(|records| frame(records).to_vec()).collect()
}

/// Sends frames, a window at a time. Each of their records must be accepted.
#[track_caller]
fn accepts(server: &Server, pki: &Pki, of: &Credentials, frames: &[Vec<u8>], records: u64) {
    let mut session = server.session(pki, of);
    let mut acknowledged = AckTotals::default();
    for window in frames.chunks(WINDOW) {
        session.write(&window.concat());
        let sent = acknowledged.frames + window.len() as u64;
        let (totals, rejections) = session.acknowledged(sent);
        assert_eq!(rejections, [], "{totals:?}");
        acknowledged = totals;
    }
    assert_eq!(acknowledged.accepted, records, "{acknowledged:?}");
    session.goodbye();
}

/// The cells of a tenant. Metrics count them as well.
#[track_caller]
fn cells_of(server: &Server, tenant: &str) -> BTreeMap<u64, u64> {
    let cells = server.ops.cells().into_iter();
    let cells = cells.filter(|((of, _), _)| of == tenant);
    let cells: BTreeMap<_, _> = cells.map(|((_, facets), count)| (facets, count)).collect();
    // A metric counts a cell once in each shard.
    let counted = server.ops.metrics().by_label("muster_tenant_cells")[tenant];
    let fewest = cells.len() as u64;
    let devices: u64 = cells.values().sum();
    assert!(
        (fewest..=devices.min(fewest * u64::from(SHARDS))).contains(&counted),
        "{tenant}: {counted} by the metric, {cells:?}"
    );
    cells
}

/// Number of devices of *victim* that are noncompliant; the others are compliant.
#[track_caller]
fn noncompliant(server: &Server) -> u64 {
    let (status, body) = server.ops.get("/counts?tenant=victim");
    assert_eq!(status, 200, "{body}");
    let counts: Value = serde_json::from_str(&body).expect("an answer is JSON");
    let compliance = &counts["total"]["compliance"];
    let of = |state: &str| compliance[state].as_u64().expect("a number");
    assert_eq!(of("compliant") + of("noncompliant"), FLEET, "{compliance}");
    of("noncompliant")
}

/// X1: one device certificate of tenant *evil*: 9,000 inventories with tags `t0`, `t1`, ...; four devices of *evil* (one
/// per shard) walking through all combinations of states (140,400 check-ins each, 7 s) -> nothing of another tenant
/// changes; a known device's state is never refused for want of a counter; what is empty is freed; growth is bounded and
/// visible per tenant. Kind: every table filled from outside, shared, never emptied
#[test]
fn x1_a_tenant_that_fills_tables_delays_no_other_tenant() {
    let place = Installation::new();
    let (settings, pki) = (settings(), &place.pki);
    let server = place.start_with(&settings);
    for tenant in ["evil", "victim"] {
        server.ops.put_in_force(tenant, &medium());
    }
    let [evil, victim] = ["evil", "victim"].map(|tenant| pki.gateway(tenant, "gw-1"));
    let fleet = |seq, risk| frames((0..FLEET).map(|n| check_in(device(n), seq, risk)), FLEET);
    accepts(&server, pki, &victim, &fleet(1, Risk::Low), FLEET);
    assert_eq!(noncompliant(&server), 0);
    let before = cells_of(&server, "victim");

    let inventories: Vec<_> = (0..INVENTORIES)
        .map(|n| {
            let mut inventory = inventory_of(device(0), &[&format!("t{n}")]);
            inventory.revision = n + 1;
            inventory_frame(&inventory.to_bytes().expect("it is valid"))
        })
        .collect();
    let one = pki.device("evil", device(0));
    accepts(&server, pki, &one, &inventories, INVENTORIES.into());
    let stored = server.ops.device("evil", device(0)).expect("it is known");
    assert_eq!(stored["tags"], json!([format!("t{}", INVENTORIES - 1)]));
    let map = ShardMap::new(SHARDS);
    let walking: Vec<_> = (0..WALKING)
        .map(|shard| {
            let mut devices = (1..).map(device);
            let own = devices.find(|id| map.shard_of(id) == ShardId(shard));
            own.expect("each shard has devices")
        })
        .collect();
    for id in &walking {
        let states = frames((1..=STATES).map(|seq| any_check_in(*id, seq)), FRAME);
        accepts(&server, pki, &pki.device("evil", *id), &states, STATES);
    }
    assert!(cells_of(&server, "evil").len() <= 1 + walking.len());
    // And many devices at the same time, each in a different state.
    let crowd = |seq| (1000..1000 + FLEET).map(move |n| (device(n), seq + n));
    let states = frames(crowd(0).map(|(id, seq)| any_check_in(id, seq)), FLEET);
    accepts(&server, pki, &evil, &states, FLEET);
    let crowded = cells_of(&server, "evil");
    assert!(crowded.len() as u64 > FLEET / 2, "{}", crowded.len());
    assert_eq!(cells_of(&server, "victim"), before);

    accepts(&server, pki, &victim, &fleet(2, Risk::High), FLEET);
    assert_eq!(noncompliant(&server), FLEET);
    server.ops.recount_is_verified();
    server.kill();
    assert_eq!(place.recount()["verified"], true);
    let server = place.start_with(&settings);
    assert_eq!(noncompliant(&server), FLEET);
    assert_eq!(cells_of(&server, "evil"), crowded);
    accepts(&server, pki, &victim, &fleet(3, Risk::Low), FLEET);
    accepts(&server, pki, &victim, &fleet(4, Risk::High), FLEET);
    assert_eq!(noncompliant(&server), FLEET);

    // Back in one state; the device that has sent only inventories is in another.
    let rest = walking.into_iter().map(|id| (id, STATES + 1));
    let rest = rest.chain(crowd(1000));
    let rest = rest.map(|(id, seq)| check_in(id, seq, Risk::Low));
    let number = FLEET + u64::from(WALKING);
    accepts(&server, pki, &evil, &frames(rest, number), number);
    let cells = cells_of(&server, "evil");
    let counts: BTreeSet<u64> = cells.values().copied().collect();
    assert_eq!(counts, BTreeSet::from([1, number]), "{cells:?}");
    server.ops.recount_is_verified();
}

/// X2: one device in 16 successive states with a limit of 16 -> accepted
#[test]
fn x2_a_device_in_any_number_of_successive_states_is_in_one_cell() {
    let place = Installation::new();
    let server = place.start_with(&settings());
    let id = device(1);
    let states: BTreeSet<_> = (1..=100).map(|seq| any_check_in(id, seq).codes()).collect();
    assert!(states.len() > 90, "{} states", states.len());
    for seq in 1..=100 {
        let of = place.pki.device("evil", id);
        let one = frames(std::iter::once(any_check_in(id, seq)), 1);
        accepts(&server, &place.pki, &of, &one, 1);
        let cells = cells_of(&server, "evil");
        assert_eq!(cells.into_values().collect::<Vec<_>>(), [1], "after {seq}");
    }
    server.ops.recount_is_verified();
}
