//! What was sent and what was acknowledged, device by device: the promise that is held against the disk.
//!
//! Owner: the tool, which is another process than the server. A record is noted as sent before it is
//! handed to a client, and as acknowledged after the server's ack was read; so whatever is in a
//! server's state was noted before. Pure: [`LedgerFile`] keeps a copy of the acknowledgements for people.
//!
//! Bounds: a number and a digest for everything that may still come back. After a check, what is older
//! than the recovered state is forgotten: a state never goes back ([`Ledger::recovered`]).

mod file;

use std::collections::{BTreeMap, HashMap};

use muster_wire::{DeviceId, Digest};

pub use file::LedgerFile;

/// What a device says: its check-ins by seq, and its inventories by revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Numbered by seq.
    CheckIn,
    /// Numbered by revision.
    Inventory,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::CheckIn, Self::Inventory];

    /// For people and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckIn => "check-in",
            Self::Inventory => "inventory",
        }
    }
}

/// A device: the place of its tenant, and its id.
pub type DeviceKey = (usize, DeviceId);

/// One record that a device sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub device: DeviceKey,
    /// Of which kind.
    pub kind: Kind,
    /// Seq or revision.
    pub number: u64,
    /// What it said.
    pub digest: Digest,
}

/// A record that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    digest: Digest,
    acknowledged: bool,
}

/// The records of one kind of one device.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// The highest number that a recovered state had.
    recovered: u64,
    /// The highest number that was acknowledged.
    acknowledged: u64,
    sent: BTreeMap<u64, Sent>,
}

impl Track {
    /// No state may be older than this: it was acknowledged, or it was recovered before.
    pub fn floor(&self) -> u64 {
        self.recovered.max(self.acknowledged)
    }

    /// The highest number that was acknowledged.
    pub const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What was sent under a number.
    pub fn digest(&self, number: u64) -> Option<Digest> {
        Some(self.sent.get(&number)?.digest)
    }

    /// How many promises are broken by a state with this number: the acknowledged records that are
    /// newer, and at least one if an earlier recovery had shown more.
    pub fn lost(&self, number: u64) -> u64 {
        let newer = self.sent.range(number + 1..);
        let acknowledged = newer.filter(|(_, sent)| sent.acknowledged).count() as u64;
        acknowledged.max(u64::from(self.floor() > number))
    }
}

/// What one device sent.
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
    /// Notes what is about to be sent; once more is no matter.
    pub fn sent(&mut self, entries: &[Entry]) {
        for entry in entries {
            let track = self.track(entry);
            track.sent.entry(entry.number).or_insert(Sent {
                digest: entry.digest,
                acknowledged: false,
            });
        }
    }

    /// Notes what a server has acknowledged.
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

    /// Notes that a state with these numbers was recovered, after it has been found right: from here on
    /// nothing may fall behind it, and what is older is forgotten.
    pub fn recovered(&mut self, device: DeviceKey, kind: Kind, number: u64) {
        if let Some(device) = self.devices.get_mut(&device) {
            let track = device.track_mut(kind);
            track.recovered = track.recovered.max(number);
            track.sent = track.sent.split_off(&track.recovered);
        }
    }

    /// One device, if it has sent anything.
    pub fn device(&self, device: DeviceKey) -> Option<&Device> {
        self.devices.get(&device)
    }

    /// Every device that has sent anything.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceKey, &Device)> {
        self.devices.iter().map(|(key, device)| (*key, device))
    }

    /// Records that were acknowledged, each as often as it was.
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
    fn only_what_is_acknowledged_can_be_lost() {
        let mut ledger = Ledger::default();
        ledger.sent(&[entry(1), entry(2), entry(3)]);
        ledger.acknowledged(&[entry(1), entry(2)]);
        let lost = |number| track(&ledger).lost(number);
        assert_eq!([0, 1, 2, 3].map(lost), [2, 1, 0, 0]);
        assert_eq!(track(&ledger).floor(), 2);
    }

    #[test]
    fn a_state_that_was_recovered_once_must_not_go_back() {
        let mut ledger = Ledger::default();
        ledger.sent(&[entry(1), entry(2), entry(3)]);
        ledger.acknowledged(&[entry(1)]);
        ledger.recovered(DEVICE, Kind::CheckIn, 3);
        assert_eq!(track(&ledger).floor(), 3);
        assert_eq!([2, 3].map(|number| track(&ledger).lost(number)), [1, 0]);
        assert_eq!(track(&ledger).digest(1), None, "it cannot come back");
        assert_eq!(track(&ledger).digest(3), Some(Digest(300)));
    }

    #[test]
    fn sending_again_forgets_no_acknowledgement() {
        let mut ledger = Ledger::default();
        ledger.sent(&[entry(1)]);
        ledger.acknowledged(&[entry(1)]);
        ledger.sent(&[entry(1)]);
        assert_eq!(track(&ledger).lost(0), 1);
        assert_eq!(ledger.acknowledged_total(), 1);
    }
}
