//! The ledger: the records that each device sent and the server acknowledged, which are compared with the disk.
//!
//! Owner: the tool, which is another process than the server. It records a record as sent before it hands it to a
//! client, and as acknowledged after it has read the ack; so the ledger has every record that a server can have. Pure:
//! [`LedgerFile`] keeps a readable copy of the acknowledged ones.
//!
//! Bounds: a number and a digest for each record that a later state may show. After a check the records older than the
//! recovered state are dropped, since a state never goes back ([`Ledger::recovered`]).

mod file;

use std::collections::{BTreeMap, HashMap};

use muster_wire::{DeviceId, Digest};

pub use file::LedgerFile;

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A check-in, numbered by seq.
    CheckIn,
    /// An inventory, numbered by revision.
    Inventory,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::CheckIn, Self::Inventory];

    /// The name in findings and in the ledger file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckIn => "check-in",
            Self::Inventory => "inventory",
        }
    }
}

/// A device: the index of its tenant, and its id.
pub type DeviceKey = (usize, DeviceId);

/// One record that a device sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The device.
    pub device: DeviceKey,
    /// Check-in or inventory.
    pub kind: Kind,
    /// Seq or revision.
    pub number: u64,
    /// The digest of its content.
    pub digest: Digest,
}

/// A sent record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    digest: Digest,
    acknowledged: bool,
}

/// The records of one kind of one device.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// The highest recovered number.
    recovered: u64,
    /// The highest acknowledged number.
    acknowledged: u64,
    sent: BTreeMap<u64, Sent>,
}

impl Track {
    /// The lowest number that a state may have: the highest that was acknowledged or recovered before.
    pub fn floor(&self) -> u64 {
        self.recovered.max(self.acknowledged)
    }

    /// The highest acknowledged number.
    pub const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The digest of the record that was sent with a number.
    pub fn digest(&self, number: u64) -> Option<Digest> {
        Some(self.sent.get(&number)?.digest)
    }

    /// How many records a state with this number has lost: the newer acknowledged ones, and at least one if an earlier
    /// recovery had a higher number.
    pub fn lost(&self, number: u64) -> u64 {
        let newer = self.sent.range(number + 1..);
        let acknowledged = newer.filter(|(_, sent)| sent.acknowledged).count() as u64;
        acknowledged.max(u64::from(self.floor() > number))
    }
}

/// The records of one device.
#[derive(Debug, Clone, Default)]
pub struct Device {
    check_ins: Track,
    inventories: Track,
}

impl Device {
    /// The records of one kind.
    pub const fn track(&self, kind: Kind) -> &Track {
        match kind {
            Kind::CheckIn => &self.check_ins,
            Kind::Inventory => &self.inventories,
        }
    }

    const fn track_mut(&mut self, kind: Kind) -> &mut Track {
        match kind {
            Kind::CheckIn => &mut self.check_ins,
            Kind::Inventory => &mut self.inventories,
        }
    }
}

/// All devices of a data directory.
#[derive(Debug, Default)]
pub struct Ledger {
    devices: HashMap<DeviceKey, Device>,
    acknowledged: u64,
}

impl Ledger {
    /// Records entries that are about to be sent; resent ones change nothing.
    pub fn sent(&mut self, entries: &[Entry]) {
        for entry in entries {
            let track = self.track(entry);
            track.sent.entry(entry.number).or_insert(Sent {
                digest: entry.digest,
                acknowledged: false,
            });
        }
    }

    /// Records entries that a server has acknowledged.
    pub fn acknowledged(&mut self, entries: &[Entry]) {
        self.acknowledged += entries.len() as u64;
        for entry in entries {
            let track = self.track(entry);
            track.acknowledged = track.acknowledged.max(entry.number);
            if let Some(sent) = track.sent.get_mut(&entry.number) {
                sent.acknowledged = true;
            }
        }
    }

    fn track(&mut self, entry: &Entry) -> &mut Track {
        self.devices
            .entry(entry.device)
            .or_default()
            .track_mut(entry.kind)
    }

    /// Records the number of a recovered state that passed the checks: no later state may be older, and older records
    /// are dropped.
    pub fn recovered(&mut self, device: DeviceKey, kind: Kind, number: u64) {
        if let Some(device) = self.devices.get_mut(&device) {
            let track = device.track_mut(kind);
            track.recovered = track.recovered.max(number);
            track.sent = track.sent.split_off(&track.recovered);
        }
    }

    /// A device, if it has sent anything.
    pub fn device(&self, device: DeviceKey) -> Option<&Device> {
        self.devices.get(&device)
    }

    /// All devices that have sent anything.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceKey, &Device)> {
        self.devices.iter().map(|(key, device)| (*key, device))
    }

    /// Number of acknowledgements; a record that was acknowledged twice counts twice.
    pub const fn acknowledged_total(&self) -> u64 {
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceKey = (0, DeviceId::from_bytes([7; 16]));

    fn entry(number: u64) -> Entry {
        Entry {
            device: DEVICE,
            kind: Kind::CheckIn,
            number,
            digest: Digest(number * 100),
        }
    }

    fn track(ledger: &Ledger) -> &Track {
        ledger.device(DEVICE).unwrap().track(Kind::CheckIn)
    }

    #[test]
    fn only_acknowledged_records_can_be_lost() {
        let mut ledger = Ledger::default();
        ledger.sent(&[entry(1), entry(2), entry(3)]);
        ledger.acknowledged(&[entry(1), entry(2)]);
        let lost = |number| track(&ledger).lost(number);
        assert_eq!([0, 1, 2, 3].map(lost), [2, 1, 0, 0]);
        assert_eq!(track(&ledger).floor(), 2);
    }

    #[test]
    fn a_state_must_not_be_older_than_a_recovered_one() {
        let mut ledger = Ledger::default();
        ledger.sent(&[entry(1), entry(2), entry(3)]);
        ledger.acknowledged(&[entry(1)]);
        ledger.recovered(DEVICE, Kind::CheckIn, 3);
        assert_eq!(track(&ledger).floor(), 3);
        assert_eq!([2, 3].map(|number| track(&ledger).lost(number)), [1, 0]);
        assert_eq!(track(&ledger).digest(1), None, "older records are dropped");
        assert_eq!(track(&ledger).digest(3), Some(Digest(300)));
    }

    #[test]
    fn a_resent_record_stays_acknowledged() {
        let mut ledger = Ledger::default();
        ledger.sent(&[entry(1)]);
        ledger.acknowledged(&[entry(1)]);
        ledger.sent(&[entry(1)]);
        assert_eq!(track(&ledger).lost(0), 1);
        assert_eq!(ledger.acknowledged_total(), 1);
    }
}
