//! The devices of a world, and the content of their check-ins and inventories.
//!
//! Seed, tenant, device and seq determine every field of a check-in, so a check that finds a seq in a recovered state
//! knows the expected content. Each seq and revision is assigned here once; clients also repeat old ones.

use muster_engine::TenantIndex;

use muster_testkit::random::{Random, splitmix64};
use muster_wire::{
    CheckIn, CheckInRecord, DeviceId, Flags, Inventory, ManagementAgent, Onboarding, Owner,
    PartnerThreatState, Platform, Risk,
};

/// Revisions begin above every seq, so that the number in a rejection identifies the kind of record.
const REVISION_BASE: u32 = 1 << 20;

/// A device: its tenant and its number within the tenant. Tenants have devices with the same ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Index of the tenant.
    pub tenant: TenantIndex,
    /// Number within the tenant.
    pub number: u32,
}

/// All devices, with the last seq and revision of each.
#[derive(Debug)]
pub struct Fleet {
    seed: u64,
    devices_per_tenant: u32,
    seqs: Vec<u64>,
    revisions: Vec<u32>,
}

impl Fleet {
    /// A fleet that has sent nothing yet.
    pub fn new(seed: u64, tenants: u16, devices_per_tenant: u32) -> Self {
        let devices = usize::from(tenants) * devices_per_tenant as usize;
        Self {
            seed,
            devices_per_tenant,
            seqs: vec![0; devices],
            revisions: vec![REVISION_BASE; devices],
        }
    }

    /// Devices of each tenant.
    pub fn devices_per_tenant(&self) -> u32 {
        self.devices_per_tenant
    }

    fn index(&self, device: Device) -> usize {
        usize::from(device.tenant) * self.devices_per_tenant as usize + device.number as usize
    }

    /// The id of a device; number 0 has id 1, since no id is zero.
    pub fn id(&self, number: u32) -> DeviceId {
        let spread = u128::from(splitmix64(self.seed ^ u64::from(number))) << 64;
        DeviceId::from_bytes((spread | u128::from(number + 1)).to_be_bytes())
    }

    /// The number of the device with this id.
    pub fn number(&self, id: &DeviceId) -> Option<u32> {
        let number = u128::from_be_bytes(id.to_bytes()) as u32;
        let number = number.checked_sub(1)?;
        (number < self.devices_per_tenant && self.id(number) == *id).then_some(number)
    }

    /// The seq of the next check-in of a device: usually new, sometimes after a gap, sometimes a repeated one.
    pub fn seq(&mut self, device: Device, random: &mut Random) -> u64 {
        let index = self.index(device);
        let last = &mut self.seqs[index];
        if *last > 0 && random.below(6) == 0 {
            return 1 + random.below(*last);
        }
        *last += 1 + random.below(8) / 7;
        *last
    }

    /// An operator has reset the seq of a device, which continues after it.
    pub fn reset_seq(&mut self, device: Device, seq: u64) {
        let index = self.index(device);
        self.seqs[index] = seq;
    }

    /// The revision of the next inventory of a device: usually new, sometimes a repeated one.
    pub fn revision(&mut self, device: Device, random: &mut Random) -> u32 {
        let index = self.index(device);
        let last = &mut self.revisions[index];
        if *last > REVISION_BASE && random.below(5) == 0 {
            return REVISION_BASE + 1 + random.below(u64::from(*last - REVISION_BASE)) as u32;
        }
        *last += 1;
        *last
    }

    fn random(&self, device: Device, number: u64) -> Random {
        let stream = u64::from(device.tenant.0) << 32 | u64::from(device.number);
        Random::new(self.seed ^ splitmix64(number), stream)
    }

    /// The check-in with this seq. Two of three repeat the content of the one before.
    pub fn check_in(&self, device: Device, seq: u64) -> CheckIn {
        let mut random = self.random(device, seq / 3);
        CheckIn {
            device_id: self.id(device.number),
            seq,
            sent_at_ms: seq,
            boot_id: random.bits() as u32,
            payload: random.bits() as u32,
            flags: Flags::from_bits_truncate(random.bits() as u16),
            risk: random.choose(Risk::ALL),
            partner_threat_state: random.choose(PartnerThreatState::ALL),
            onboarding: random.choose(Onboarding::ALL),
            platform: random.choose(Platform::ALL),
            management_agent: random.choose(ManagementAgent::ALL),
        }
    }

    /// The record of [`Fleet::check_in`].
    pub fn record(&self, device: Device, seq: u64) -> CheckInRecord {
        let check_in = self.check_in(device, seq);
        check_in.to_record().expect("neither id nor seq is zero")
    }

    /// The inventory with this revision.
    pub fn inventory(&self, device: Device, revision: u32) -> Inventory {
        let mut random = self.random(device, u64::from(revision) << 32);
        let tags = ["berlin", "kiosk"].into_iter();
        Inventory {
            device_id: self.id(device.number),
            os_version: Inventory::pack_version([10, 0, random.below(5) as u16, 0]),
            revision,
            owner: random.choose(Owner::ALL),
            device_name: format!("device-{revision}"),
            os_name: String::new(),
            model: String::new(),
            manufacturer: String::new(),
            serial_number: String::new(),
            user_principal_name: String::new(),
            tags: tags
                .filter(|_| random.below(2) == 0)
                .map(str::to_owned)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_by_its_id() {
        let fleet = Fleet::new(7, 1, 300);
        for number in [0, 1, 255, 299] {
            assert_eq!(fleet.number(&fleet.id(number)), Some(number));
        }
        assert_eq!(fleet.number(&fleet.id(300)), None);
        assert_eq!(fleet.number(&DeviceId::ZERO), None);
    }
}
