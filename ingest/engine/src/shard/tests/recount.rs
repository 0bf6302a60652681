//! A recount does not trust the facets in page records: it evaluates devices by the rules.

use super::disk::Disk;
use super::*;
use crate::facet::FacetWord;

/// Two devices in different cells, durable in pages only: the journal is trimmed.
fn two_devices() -> (Disk, [FacetWord; 2]) {
    let (mut disk, mut effects) = (Disk::default(), Effects::default());
    disk.add_policy(&policy(1));
    let mut shard = Shard::new(ShardId(0), LIMITS, 1);
    let mut commit = |shard: &mut Shard, effects: &mut Effects| {
        let sequence = shard.seal(effects);
        disk.commit(sequence, effects);
    };
    shard.begin(NOW, &mut effects);
    shard.apply_policy(policy(1), &mut effects);
    commit(&mut shard, &mut effects);
    let impaired = CheckIn {
        flags: Flags::from_bits(0b1000_0001).unwrap(),
        ..check_in(2, 1)
    };
    shard.begin(NOW, &mut effects);
    let records = [record(check_in(1, 1)), record(impaired)];
    shard.apply_check_ins(TENANT, &records, &mut effects);
    commit(&mut shard, &mut effects);
    assert!(shard.checkpoint_begin());
    disk.checkpoint_begins(&shard);
    shard.begin(NOW, &mut effects);
    let sequence = shard.seal(&mut effects);
    shard.checkpoint_step(usize::MAX, &mut effects);
    disk.commit(sequence, &effects);
    disk.checkpoint_is_complete();
    let facets = |number| shard.device(TENANT, &device_id(number)).unwrap().0.facets;
    (disk, [facets(1), facets(2)])
}

#[test]
fn a_device_with_wrong_facets_is_counted_with_those_that_the_rules_give() {
    let (mut disk, [first, second]) = two_devices();
    assert_ne!(first, second);
    let correct = disk.recount();
    assert_eq!(correct.len(), 2);
    disk.set_facets(PageNumber(0), &device_id(1), second);
    assert_eq!(disk.recount(), correct, "evaluated by the rules");
    let shard = disk.recover(ShardId(0), LIMITS, 1).unwrap();
    assert_eq!(
        shard.cells().count(),
        1,
        "a recovery trusts the page, so the two differ"
    );
}
