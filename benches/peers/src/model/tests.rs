//! Compares the model with the generator, and checks that wrong contents are found.

use super::*;
use crate::job::{Job, Size};

const SIZE: Size = Size {
    devices: 50,
    check_ins: 2_000,
    seed: 7,
};

fn model(connections: usize) -> Model {
    let mut model = Model::default();
    let lanes = Job::new(SIZE).split(SIZE.check_ins, connections, 64);
    for frame in lanes.iter().flatten() {
        model.apply(frame);
    }
    model
}

#[test]
fn the_model_agrees_with_the_generator() {
    let mut part = job::fleet(&SIZE);
    let mut frame = Vec::new();
    while part.make_frame(&mut frame, 1_000, 1) > 0 {}
    let model = model(1);
    assert_eq!(model.devices(), 50);
    for (id, device) in part.devices() {
        let state = model.states[&id.to_bytes()];
        assert_eq!(job::seq(&state), u64::from(device.accepted_seq()));
    }
    assert!(
        part.tally().duplicate + part.tally().stale > 0,
        "the job must have duplicates"
    );
    let counted: u64 = model.contents().counts.values().sum();
    assert_eq!(counted, 50);
}

#[test]
fn verdicts_are_those_of_the_rules() {
    let mut part = job::fleet(&SIZE);
    let mut frame = Vec::new();
    while part.make_frame(&mut frame, 1_000, 1) > 0 {}
    let now = muster_engine::Timestamp::from_seconds(1_700_000_000);
    let policy = muster_engine::TenantPolicy::with_threshold(muster_engine::Threshold::Medium);
    let expected = muster_testkit::oracle::ExpectedCounts::of([&part], &policy, now).counts;
    let counts = model(1).contents().counts;
    let onboarded = muster_engine::OnboardingStatus::Onboarded.index() as u8;
    let onboarded_counts = counts
        .iter()
        .filter(|(verdict, _)| *verdict >> 4 == onboarded);
    assert_eq!(
        onboarded_counts.map(|(_, count)| count).sum::<u64>(),
        expected.onboarded()
    );
    assert!(counts.len() > 1, "the fleet must have several verdicts");
}

#[test]
fn the_number_of_connections_does_not_change_the_contents() {
    assert_eq!(model(1).contents(), model(7).contents());
}

#[test]
fn right_contents_have_no_fault() {
    let model = model(2);
    assert!(model.faults(&model.contents()).is_empty());
}

#[test]
fn every_kind_of_difference_is_a_fault() {
    let model = model(2);
    let right = model.contents();
    let id = *right.states.keys().next().unwrap();
    let verdict = *right.counts.keys().next().unwrap();

    let mut absent = right.clone();
    absent.states.remove(&id);
    assert!(model.faults(&absent)[0].ends_with("absent"));

    let mut wrong = right.clone();
    wrong.states.get_mut(&id).unwrap()[10] ^= 1;
    assert!(model.faults(&wrong)[0].contains("wrong state"));

    let mut unknown = right.clone();
    unknown.states.insert([0xff; 16], [0; 32]);
    assert!(model.faults(&unknown)[0].ends_with("never sent"));

    let mut counted = right.clone();
    *counted.counts.get_mut(&verdict).unwrap() += 1;
    assert!(model.faults(&counted)[0].contains("counted"));

    let faults = model.faults(&Contents::default());
    assert_eq!(faults.len(), FAULTS_MAX + 1);
    assert!(faults[FAULTS_MAX].ends_with("more"));
}
