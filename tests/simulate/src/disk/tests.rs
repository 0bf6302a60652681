//! The simulated disk records misuse and keeps every durable journal value.

use muster_engine::{Sequence, ShardId};

use super::*;

fn disk() -> SimulatedDisk {
    SimulatedDisk::new(Random::new(1, 1), None)
}

/// Writes a journal value as a store does: the bytes and stamps of two shards, a checksum.
fn write(disk: &SimulatedDisk, lsn: u64, bytes: &[u8]) -> Result<(), DatabaseError> {
    let length = bytes.len() as u8;
    let stamp = [length, 0, 0, 0, 2, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    let other = [0, 0, 0, 0, 3, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let mut writes = disk.writes(0);
    let value = [bytes, &stamp, &other, b"sum!"].concat();
    writes.put(Keyspace::Journal, &lsn.to_be_bytes(), &value);
    writes.commit()
}

#[test]
fn overwriting_a_journal_value_is_misuse_even_after_a_trim() {
    let disk = disk();
    write(&disk, 1, b"one").unwrap();
    write(&disk, 1, b"one").unwrap();
    write(&disk, 2, b"two").unwrap();
    disk.trim(Lsn(1), Lsn(2)).unwrap();
    assert_eq!(disk.check_usage(), Ok(()));
    write(&disk, 1, b"other").unwrap();
    assert_eq!(disk.check_usage().unwrap_err().check, ONE_VALUE);
}

#[test]
fn a_write_after_a_failed_one_is_misuse_until_a_crash() {
    for failure in [WriteFailure::Lost, WriteFailure::Kept] {
        let disk = disk();
        disk.fail_next_write(failure);
        assert!(write(&disk, 1, b"one").is_err());
        disk.crash(&mut Random::new(1, 1));
        write(&disk, 2, b"two").unwrap();
        assert_eq!(disk.check_usage(), Ok(()));
        disk.fail_next_write(failure);
        assert!(write(&disk, 3, b"three").is_err());
        write(&disk, 4, b"four").unwrap();
        assert_eq!(disk.check_usage().unwrap_err().check, "poison");
    }
}

#[test]
fn durable_values_have_their_stamps_and_bytes() {
    let disk = disk();
    write(&disk, 7, b"value").unwrap();
    let durable = DurableValue {
        lsn: Lsn(7),
        shard: ShardId(0x0102),
        sequence: Sequence(9),
        bytes: b"value".to_vec(),
    };
    let other = DurableValue {
        lsn: Lsn(7),
        shard: ShardId(0x0103),
        sequence: Sequence(1),
        bytes: Vec::new(),
    };
    let last_first = vec![other, durable];
    assert_eq!(disk.durable_values_from(Lsn(7)), [last_first]);
    assert!(disk.durable_values_from(Lsn(8)).is_empty());
}
