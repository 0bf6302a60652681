//! The oracle: a second implementation of the rules, slow and obvious, that the engine is compared with.
//!
//! It shares only the names of states with the evaluator: it has one plain record per device, implements the tables of
//! docs/reference/DOMAIN.md row by row, and counts by iterating over all devices. Property tests, the recount and the
//! load generator's verdict rely on it. Memory grows with the number of devices; nothing on the hot path uses it.

mod disk;
mod removal;
mod rules;

pub use disk::{DiskError, ModelDisk, ModelListing};

use std::collections::BTreeMap;

use muster_wire::{CheckInRecord, DeviceId, Flags, Inventory, Onboarding};

use crate::facet::Facets;
use crate::ids::{TargetId, TenantIndex};
use crate::policy::{PolicySet, TenantPolicy};
use crate::rules::sensor::SensorState;
use crate::time::Timestamp;

/// The oracle's outcome of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The record changed the state.
    Accepted,
    /// Its seq or revision equals the last accepted one.
    Duplicate,
    /// Its seq or revision is lower than the last accepted one.
    Stale,
    /// Its seq or revision is too far ahead of the last accepted one and of the clock.
    SeqAhead,
    /// An operator has removed the device.
    DeviceRemoved,
    /// The device does not exist, and its tenant does not create devices automatically.
    UnknownDevice,
}

/// The oracle's state of one device.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelDevice {
    last: Option<CheckInRecord>,
    /// The state of the sensor when it was last offboarded.
    kept: Option<SensorState>,
    first_seen: u32,
    last_check_in: u32,
    last_contact: Option<u32>,
    last_telemetry: Option<u32>,
    last_full_report: Option<u32>,
    /// Of the inventory; 0 before the first.
    os_version: u64,
}

impl ModelDevice {
    /// A device first seen at `now` that has not checked in yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            first_seen: now.as_seconds(),
            ..Self::default()
        }
    }

    /// The device has sent an inventory with this version.
    pub fn set_os_version(&mut self, version: u64) {
        self.os_version = version;
    }

    /// Seq of the last accepted check-in; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.last.map_or(0, |check_in| check_in.seq())
    }

    /// An operator resets the seq to the time in milliseconds.
    fn reset_sequence(&mut self, now: Timestamp) {
        if let Some(last) = self.last {
            self.last = last.with_seq(now.as_millis()).ok().or(self.last);
        }
    }

    /// Applies a check-in if its seq is higher than the last accepted one. The rules decide in which state a sensor is
    /// offboarded.
    pub fn check_in(
        &mut self,
        check_in: &CheckInRecord,
        rules: &TenantPolicy,
        now: Timestamp,
    ) -> Answer {
        match check_in.seq().cmp(&self.seq()) {
            std::cmp::Ordering::Less => return Answer::Stale,
            std::cmp::Ordering::Equal => return Answer::Duplicate,
            std::cmp::Ordering::Greater => (),
        }
        let now = now.as_seconds();
        let flags = check_in.flags();
        let onboarded = check_in.onboarding() == Onboarding::Onboarded;
        match (self.is_onboarded(), onboarded) {
            (true, false) => self.kept = Some(rules::r17(self, rules, now)),
            (false, true) => {
                self.last_contact = None;
                self.last_telemetry = None;
                self.last_full_report = Some(now);
            }
            (true, true) | (false, false) => (),
        }
        self.last = Some(*check_in);
        self.last_check_in = now;
        if onboarded && flags.contains(Flags::COMMAND_AND_CONTROL_OK) {
            self.last_contact = Some(now);
        }
        if onboarded && flags.contains(Flags::TELEMETRY_OK) {
            self.last_telemetry = Some(now);
        }
        if onboarded && flags.contains(Flags::FULL_REPORT) {
            self.last_full_report = Some(now);
        }
        Answer::Accepted
    }

    /// The facets of the device at `now`, evaluated by the tables.
    pub fn facets(&self, policy: &TenantPolicy, now: Timestamp) -> Facets {
        let mut facets = Facets::default();
        if let Some(check_in) = &self.last {
            facets.platform = check_in.platform();
            facets.management_agent = check_in.management_agent();
            facets.onboarded = check_in.onboarding() == Onboarding::Onboarded;
            facets.foreign_org = check_in.flags().contains(Flags::FOREIGN_ORG);
            facets.risk = check_in.risk();
            facets.partner_threat = check_in.partner_threat_state();
        }
        facets.sensor = rules::r17(self, policy, now.as_seconds());
        if let Some(kept) = self.kept
            && !facets.onboarded
            && facets.sensor != kept
        {
            facets.sensor_before_silence = Some(kept);
        }
        facets.threat_setting = rules::r3(self, policy);
        facets.validity_expired = rules::is_expired(self, &facets, policy, now.as_seconds());
        facets.compliance = rules::r7(self, &facets, policy);
        facets
    }

    /// The clock is set back: times that lie ahead of it become its time.
    fn set_back(&mut self, now: Timestamp) {
        let now = now.as_seconds();
        self.first_seen = self.first_seen.min(now);
        self.last_check_in = self.last_check_in.min(now);
        for time in [
            &mut self.last_contact,
            &mut self.last_telemetry,
            &mut self.last_full_report,
        ] {
            *time = time.map(|time| time.min(now));
        }
    }

    fn is_onboarded(&self) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|check_in| check_in.onboarding() == Onboarding::Onboarded)
    }

    fn flag(&self, flag: Flags) -> bool {
        self.last
            .is_some_and(|check_in| check_in.flags().contains(flag))
    }
}

/// The key of a cell.
pub type ModelCell = (TenantIndex, Facets);

/// The state of a whole server, one plain record per device.
#[derive(Clone, Debug, Default)]
pub struct Model {
    devices: BTreeMap<(TenantIndex, DeviceId), ModelEntry>,
    /// The targets of devices, whether they exist or not.
    targets: BTreeMap<(TenantIndex, DeviceId), Vec<TargetId>>,
}

#[derive(Clone, Debug, Default)]
struct ModelEntry {
    device: ModelDevice,
    inventory_revision: u32,
    /// When an operator removed it.
    removed_at: Option<u32>,
}

impl ModelEntry {
    fn set_back(&mut self, now: Timestamp) {
        self.device.set_back(now);
        self.removed_at = self.removed_at.map(|at| at.min(now.as_seconds()));
    }
}

impl Model {
    /// Applies a check-in of a tenant's device.
    pub fn check_in(
        &mut self,
        policy: &PolicySet,
        tenant: TenantIndex,
        check_in: &CheckInRecord,
        now: Timestamp,
    ) -> Answer {
        if self.is_removed(tenant, check_in.device_id()) {
            return Answer::DeviceRemoved;
        }
        let stored = self.known(tenant, check_in.device_id()).0;
        let by_clock = u128::from(now.as_millis()) + 24 * 60 * 60 * 1000;
        let is_ahead = is_ahead(check_in.seq().into(), stored.into(), by_clock);
        if is_ahead && self.takes(policy, tenant, check_in.device_id()) {
            return Answer::SeqAhead;
        }
        let rules = policy.tenant(tenant);
        match (self.entry(policy, tenant, check_in.device_id(), now), rules) {
            (Some(entry), Some(rules)) => entry.device.check_in(check_in, rules, now),
            _ => Answer::UnknownDevice,
        }
    }

    /// Applies an inventory of a tenant's device.
    pub fn inventory(
        &mut self,
        policy: &PolicySet,
        tenant: TenantIndex,
        inventory: &Inventory,
        now: Timestamp,
    ) -> Answer {
        if self.is_removed(tenant, inventory.device_id) {
            return Answer::DeviceRemoved;
        }
        let stored = self.known(tenant, inventory.device_id).1;
        let by_clock = u128::from(now.as_seconds()) + 24 * 60 * 60;
        let is_ahead = is_ahead(inventory.revision.into(), stored.into(), by_clock);
        if is_ahead && self.takes(policy, tenant, inventory.device_id) {
            return Answer::SeqAhead;
        }
        let Some(entry) = self.entry(policy, tenant, inventory.device_id, now) else {
            return Answer::UnknownDevice;
        };
        match inventory.revision.cmp(&entry.inventory_revision) {
            std::cmp::Ordering::Less => Answer::Stale,
            std::cmp::Ordering::Equal => Answer::Duplicate,
            std::cmp::Ordering::Greater => {
                entry.inventory_revision = inventory.revision;
                entry.device.set_os_version(inventory.os_version);
                Answer::Accepted
            }
        }
    }

    /// Resets the numbers of a device to the time. Returns whether the device exists.
    pub fn reset_sequence(
        &mut self,
        tenant: TenantIndex,
        device_id: DeviceId,
        now: Timestamp,
    ) -> bool {
        let entry = self.devices.get_mut(&(tenant, device_id));
        let Some(entry) = entry.filter(|entry| entry.removed_at.is_none()) else {
            return false;
        };
        entry.device.reset_sequence(now);
        entry.inventory_revision = entry.inventory_revision.min(now.as_seconds());
        true
    }

    /// The clock has this time now, which may be before the last one. Devices whose retention has ended are gone:
    /// some days after they were removed, or of silence if they are offboarded.
    pub fn time(&mut self, policy: &PolicySet, now: Timestamp) {
        self.devices
            .values_mut()
            .for_each(|entry| entry.set_back(now));
        self.devices
            .retain(|(tenant, _), entry| !entry.is_over(policy, *tenant, now));
    }

    /// The clock was set back for one device.
    pub fn set_back(&mut self, tenant: TenantIndex, device_id: DeviceId, now: Timestamp) {
        if let Some(entry) = self.devices.get_mut(&(tenant, device_id)) {
            entry.set_back(now);
        }
    }

    /// Seq and inventory revision of a device; 0 for one that does not exist.
    fn known(&self, tenant: TenantIndex, device_id: DeviceId) -> (u64, u32) {
        let entry = self.devices.get(&(tenant, device_id));
        entry.map_or((0, 0), |entry| {
            (entry.device.seq(), entry.inventory_revision)
        })
    }

    /// Whether the device exists or may be created.
    fn takes(&self, policy: &PolicySet, tenant: TenantIndex, device_id: DeviceId) -> bool {
        let creates = policy.tenant(tenant).map(|rules| rules.auto_create_devices);
        creates.is_some_and(|creates| creates || self.devices.contains_key(&(tenant, device_id)))
    }

    fn entry(
        &mut self,
        policy: &PolicySet,
        tenant: TenantIndex,
        device_id: DeviceId,
        now: Timestamp,
    ) -> Option<&mut ModelEntry> {
        let creates = policy.tenant(tenant)?.auto_create_devices;
        match self.devices.entry((tenant, device_id)) {
            std::collections::btree_map::Entry::Occupied(entry) => Some(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) if creates => {
                let device = ModelDevice::new(now);
                Some(entry.insert(ModelEntry {
                    device,
                    ..ModelEntry::default()
                }))
            }
            std::collections::btree_map::Entry::Vacant(_) => None,
        }
    }

    /// Number of devices that are not removed.
    pub fn devices(&self) -> usize {
        let present = self.devices.values();
        present.filter(|entry| entry.removed_at.is_none()).count()
    }

    /// The facets of one device at `now`.
    pub fn device(
        &self,
        policy: &PolicySet,
        tenant: TenantIndex,
        device_id: DeviceId,
        now: Timestamp,
    ) -> Option<Facets> {
        let entry = self.devices.get(&(tenant, device_id))?;
        let rules = self.rules(policy, tenant, device_id)?;
        Some(entry.device.facets(&rules, now))
    }

    /// Sets all targets of a device.
    pub fn set_targets(&mut self, tenant: TenantIndex, device_id: DeviceId, targets: &[TargetId]) {
        self.targets.insert((tenant, device_id), targets.to_vec());
    }

    fn rules(
        &self,
        policy: &PolicySet,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Option<TenantPolicy> {
        let targets = self.targets.get(&(tenant, device_id));
        policy.for_targets(tenant, targets.map_or(&[], Vec::as_slice))
    }

    /// Every cell with its number of devices at `now`, counted over all devices.
    pub fn cells(&self, policy: &PolicySet, now: Timestamp) -> BTreeMap<ModelCell, u64> {
        let mut cells = BTreeMap::new();
        let present = self.devices.iter();
        for ((tenant, device_id), entry) in present.filter(|(_, entry)| entry.removed_at.is_none())
        {
            let Some(rules) = self.rules(policy, *tenant, *device_id) else {
                continue;
            };
            let facets = entry.device.facets(&rules, now);
            *cells.entry((*tenant, facets)).or_default() += 1;
        }
        cells
    }
}

/// Whether a number is above both the stored one plus 2^20 and that of the clock.
fn is_ahead(number: u128, stored: u128, by_clock: u128) -> bool {
    number > by_clock.max(stored + 1_048_576)
}
