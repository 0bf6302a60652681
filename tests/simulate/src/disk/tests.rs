//! What the disk of a world notes of its use.

use super::*;

fn disk() -> SimulatedDisk {
    SimulatedDisk::new(Random::new(1, 1), None)
}

/// Writes a journal value as a store would: stamp and checksum behind the bytes.
fn write(disk: &SimulatedDisk, lsn: u64, bytes: &[u8]) -> Result<(), DatabaseError> {
    let stamp = [2, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    let mut writes = disk.writes(0);
    let value = [bytes, &stamp, b"sum!"].concat();
    writes.put(Keyspace::Journal, &lsn.to_be_bytes(), &value);
    writes.commit()
}

#[test]
fn another_value_under_a_log_sequence_number_is_noted_even_if_the_first_was_trimmed() {
    let disk = disk();
    write(&disk, 1, b"one").unwrap();
    write(&disk, 1, b"one").unwrap();
    write(&disk, 2, b"two").unwrap();
    disk.trim(Lsn(1), Lsn(2)).unwrap();
    assert_eq!(disk.is_well_used(), Ok(()));
    write(&disk, 1, b"other").unwrap();
    assert_eq!(disk.is_well_used().unwrap_err().check, ONE_VALUE);
}

#[test]
fn a_write_after_one_that_failed_is_noted_until_a_crash() {
    for failure in [Failure::Lost, Failure::Kept] {
        let disk = disk();
        disk.fail_next(failure);
        assert!(write(&disk, 1, b"one").is_err());
        disk.crash(&mut Random::new(1, 1));
        write(&disk, 2, b"two").unwrap();
        assert_eq!(disk.is_well_used(), Ok(()));
        disk.fail_next(failure);
        assert!(write(&disk, 3, b"three").is_err());
        write(&disk, 4, b"four").unwrap();
        assert_eq!(disk.is_well_used().unwrap_err().check, "poison");
    }
}

#[test]
fn the_archive_gives_back_stamp_and_bytes() {
    let disk = disk();
    write(&disk, 7, b"value").unwrap();
    let archived = Archived {
        lsn: Lsn(7),
        shard: ShardId(0x0102),
        sequence: Sequence(9),
        bytes: b"value".to_vec(),
    };
    assert_eq!(disk.archive_from(Lsn(7)), [archived]);
    assert!(disk.archive_from(Lsn(8)).is_empty());
}
