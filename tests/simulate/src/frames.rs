//! Frames that simulated clients send: check-ins of random devices, inventories, and records that are rejected.

use muster_engine::TenantIndex;
use muster_testkit::random::Random;
use muster_wire::{CheckInBytes, encode_check_ins_header, encode_inventory};

use crate::fleet::{Device, Fleet};

/// The devices that a client may speak for.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// Its tenant.
    pub tenant: TenantIndex,
    /// The device of a device certificate; none for a gateway, which speaks for all devices of its tenant.
    pub own_device: Option<u32>,
}

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A check-in.
    CheckIn,
    /// An inventory.
    Inventory,
}

/// A record of a frame.
#[derive(Clone, Copy, Debug)]
pub struct SentRecord {
    /// Check-in or inventory.
    pub kind: Kind,
    /// Number of the device.
    pub device: u32,
    /// Seq or revision.
    pub number: u64,
    /// Whether it is well-formed and the sender may speak for the device; the server rejects it otherwise.
    pub is_valid: bool,
    /// Whether it has the id of its device; the id is all zeros otherwise.
    pub has_id: bool,
}

/// A frame.
#[derive(Debug)]
pub struct Frame {
    /// The encoded frame.
    pub bytes: Vec<u8>,
    /// Its records.
    pub records: Vec<SentRecord>,
    /// How many of its records may be accepted: those that were not acknowledged when it was sent.
    pub accepted_max: u64,
}

impl Frame {
    /// Makes the next frame of a client.
    pub fn make(sender: &Sender, fleet: &mut Fleet, random: &mut Random) -> Self {
        if random.below(10) == 0 {
            return Self::inventory(sender, fleet, random);
        }
        let count = match random.below(10) {
            0 => 20 + random.below(60),
            1..=4 => 1,
            _ => 1 + random.below(8),
        };
        let (mut body, mut records) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let device = choose_device(sender, fleet, random);
            let number = fleet.seq(device, random);
            let mut bytes = *fleet.record(device, number).as_bytes();
            let is_valid = random.below(40) != 0;
            if !is_valid {
                invalidate(&mut bytes, random);
            }
            body.push(bytes);
            records.push(SentRecord {
                kind: Kind::CheckIn,
                device: device.number,
                number,
                is_valid: is_valid && speaks_for(sender, device.number),
                has_id: bytes[..16] != [0; 16],
            });
        }
        let header = encode_check_ins_header(body.len()).expect("1 to 80 records");
        Self {
            bytes: [&header, body.as_flattened()].concat(),
            records,
            accepted_max: 0,
        }
    }

    fn inventory(sender: &Sender, fleet: &mut Fleet, random: &mut Random) -> Self {
        let device = choose_device(sender, fleet, random);
        let revision = fleet.revision(device, random);
        let archive = fleet.inventory(device, revision).to_bytes();
        let mut bytes = Vec::new();
        let archive = archive.expect("the strings are short and there are at most two tags");
        encode_inventory(&mut bytes, &archive).expect("the archive is short");
        let is_valid = speaks_for(sender, device.number);
        Self {
            bytes,
            records: vec![SentRecord {
                kind: Kind::Inventory,
                device: device.number,
                number: u64::from(revision),
                is_valid,
                has_id: true,
            }],
            accepted_max: 0,
        }
    }
}

/// Chooses a device, usually one that the sender may speak for.
fn choose_device(sender: &Sender, fleet: &Fleet, random: &mut Random) -> Device {
    let own = sender.own_device.filter(|_| random.below(20) != 0);
    let any = random.below(u64::from(fleet.devices_per_tenant())) as u32;
    Device {
        tenant: sender.tenant,
        number: own.unwrap_or(any),
    }
}

fn speaks_for(sender: &Sender, number: u32) -> bool {
    sender.own_device.is_none_or(|own| own == number)
}

/// Makes a record invalid.
fn invalidate(bytes: &mut CheckInBytes, random: &mut Random) {
    const PLATFORM: usize = 45;
    const RESERVED: usize = 47;
    match random.below(3) {
        0 => bytes[PLATFORM] = 0xee,
        1 => bytes[RESERVED] = 1,
        _ => bytes[..16].fill(0),
    }
}
