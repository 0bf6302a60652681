//! A fleet, split into one part per connection, and the check-ins that it sends.
//!
//! Everything follows from the seed: the devices, whatever the number of connections, and, for a given number of
//! connections, every check-in and their order. Each device uses one connection only, so a server receives its
//! check-ins in the order in which they are made.
//!
//! The fleet is visited in rounds, each in a different pseudo-random order. A real fleet does not check in in the order
//! of its ids, which would be unrealistically easy for a server.
//! Bounds: 24 bytes per device, at most [`DELAYED_MAX`] delayed check-ins. On the hot path.

use std::{collections::VecDeque, time::Duration};

use muster_wire::{
    CheckIn, DeviceId, Inventory,
    limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, HEADER_BYTES},
};

use crate::{
    device::{Answer, Device, DeviceParameters, device_id},
    population::{self, PLATFORMS},
    random::{Random, threshold},
    schedule::Schedule,
};

mod visit_order;

use visit_order::VisitOrder;

/// The maximum number of check-ins that are delayed at the same time, to be sent as duplicates or out of order.
pub const DELAYED_MAX: usize = 64;

/// The mean number of check-ins after which a delayed one is sent. The actual number varies.
const DELAY_MEAN: u64 = 16;

/// The parameters of a fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The seed of the fleet.
    pub seed: u64,
    /// The fraction of check-ins before which the device changes.
    pub churn: f64,
    /// The fraction of check-ins that are sent a second time a little later.
    pub duplicates: f64,
    /// The fraction of check-ins that are sent after the next check-in of the same device.
    pub reorder: f64,
    /// The fraction of devices that send an inventory before their check-ins.
    pub inventory: f64,
}

impl Shape {
    /// A fleet without duplicates or reordering, in which a device changes before one check-in in fifty.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            churn: 0.02,
            duplicates: 0.0,
            reorder: 0.0,
            inventory: 0.0,
        }
    }
}

/// The devices of a part.
#[derive(Debug, Clone)]
pub enum DeviceSet {
    /// Consecutive device numbers; the ids follow from the seed.
    Range {
        /// The first number.
        first: u64,
        /// The number of devices.
        count: u64,
    },
    /// One device with the given id and number.
    Single(DeviceId, u64),
}

/// Numbers of check-ins by answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Newer than what the server had.
    pub accepted: u64,
    /// The same as what the server had.
    pub duplicate: u64,
    /// Older than what the server had.
    pub stale: u64,
}

/// The devices of one connection and the check-ins that remain to be sent.
#[derive(Debug)]
pub struct FleetPart {
    seed: u64,
    /// The number of the first device.
    first: u64,
    /// The id of a single device, which does not follow from the seed.
    given_id: Option<DeviceId>,
    devices: Vec<Device>,
    remaining: u64,
    visit_order: VisitOrder,
    /// When devices check in. Without a schedule, check-ins are due immediately, in visit order.
    schedule: Option<Schedule>,
    /// Whether the warm-up is running, in which every device checks in once.
    is_warming_up: bool,
    random: Random,
    churn: u32,
    duplicates: u32,
    disorder: u32,
    /// Delayed check-ins, with the index of their device.
    delayed: VecDeque<(usize, CheckIn)>,
    tally: Tally,
}

impl FleetPart {
    /// A part that sends `check_ins` check-ins in total.
    pub fn new(shape: &Shape, devices: &DeviceSet, check_ins: u64) -> Self {
        let parameters = DeviceParameters {
            seed: shape.seed,
            inventory_threshold: threshold(shape.inventory),
        };
        let (first, count, given_id) = match *devices {
            DeviceSet::Range { first, count } => (first, count, None),
            DeviceSet::Single(id, number) => (number, 1, Some(id)),
        };
        let devices: Vec<Device> = (first..first + count)
            .map(|number| Device::new(parameters, number))
            .collect();
        // Complementing the seed keeps this stream independent of the stream of the first device.
        let mut random = Random::new(!shape.seed, first);
        Self {
            seed: shape.seed,
            first,
            given_id,
            visit_order: VisitOrder::new(devices.len(), &mut random),
            devices,
            remaining: check_ins,
            schedule: None,
            is_warming_up: false,
            random,
            churn: threshold(shape.churn),
            duplicates: threshold(shape.duplicates),
            disorder: threshold(shape.duplicates + shape.reorder),
            delayed: VecDeque::with_capacity(DELAYED_MAX),
            tally: Tally::default(),
        }
    }

    /// The number of check-ins that remain to be sent.
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The number of devices.
    pub const fn device_count(&self) -> u64 {
        self.devices.len() as u64
    }

    /// Sets the number of check-ins that remain to be sent.
    pub const fn set_remaining(&mut self, check_ins: u64) {
        self.remaining = check_ins;
    }

    /// Starts the warm-up: every device checks in once, without duplicates or reordering.
    pub const fn start_warm_up(&mut self) {
        self.is_warming_up = true;
        self.set_remaining(self.device_count());
    }

    /// Ends the warm-up and resets the tally; `check_ins` check-ins remain to be sent.
    pub fn end_warm_up(&mut self, check_ins: u64) {
        self.is_warming_up = false;
        self.tally = Tally::default();
        self.set_remaining(check_ins);
    }

    /// Schedules the check-ins of the devices with the schedule that `make` returns for them. Returns the number of
    /// check-ins that are due in each second.
    pub fn set_schedule(&mut self, make: impl FnOnce(&[Device], u64) -> Schedule) -> Vec<u64> {
        let schedule = make(&self.devices, self.first);
        let due = schedule.clone().count(&self.devices);
        self.remaining = due.iter().sum();
        self.schedule = Some(schedule);
        due
    }

    /// Whether check-ins are currently due by a schedule.
    pub const fn has_schedule(&self) -> bool {
        self.schedule.is_some() && !self.is_warming_up
    }

    /// Whether every device has checked in, so that the server knows all of them. With a schedule, this is only the
    /// case after a warm-up.
    pub const fn is_known(&self) -> bool {
        self.visit_order.has_completed_round()
    }

    /// How a server must have answered the check-ins made so far.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The devices with their ids.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &Device)> {
        self.devices
            .iter()
            .enumerate()
            .map(|(index, device)| (self.id(index), device))
    }

    /// Makes the next frame, which replaces the content of the buffer: a header and at most `check_ins_max` records.
    /// Returns the number of records; 0 if no check-ins remain.
    pub fn make_frame(
        &mut self,
        frame: &mut Vec<u8>,
        check_ins_max: usize,
        sent_at_ms: u64,
    ) -> usize {
        frame.clear();
        let limit = check_ins_max.min(CHECK_INS_PER_FRAME_MAX);
        let count = usize::try_from(self.remaining).map_or(limit, |left| left.min(limit));
        let Ok(header) = muster_wire::encode_check_ins_header(count) else {
            return 0;
        };
        frame.reserve(HEADER_BYTES + count * CHECK_IN_BYTES);
        frame.extend_from_slice(&header);
        for _ in 0..count {
            self.append_next(frame, sent_at_ms);
        }
        count
    }

    /// Like [`FleetPart::make_frame`]. With a schedule, makes a frame of the check-ins that a gateway collects, and
    /// also returns the time from the start at which the last of them is due.
    pub fn make_due_frame(
        &mut self,
        frame: &mut Vec<u8>,
        check_ins_max: usize,
        sent_at_ms: u64,
    ) -> (usize, Option<Duration>) {
        let Some(mut until) = self.due_slot() else {
            return (self.make_frame(frame, check_ins_max, sent_at_ms), None);
        };
        let (mut count, mut last) = (0, until);
        if let Some(schedule) = &self.schedule {
            until += schedule.collect_slots();
        }
        frame.clear();
        frame.extend_from_slice(&[0; HEADER_BYTES]);
        while count < check_ins_max.min(CHECK_INS_PER_FRAME_MAX)
            && let Some(slot) = self.due_slot()
            && slot <= until
        {
            self.append_next(frame, sent_at_ms);
            (count, last) = (count + 1, slot);
        }
        if let Ok(header) = muster_wire::encode_check_ins_header(count) {
            frame[..HEADER_BYTES].copy_from_slice(&header);
        }
        let due = self
            .schedule
            .as_ref()
            .map(|schedule| schedule.time_of(last));
        (count, due)
    }

    /// The slot of the schedule in which the next check-in is due, if any.
    fn due_slot(&mut self) -> Option<usize> {
        if self.is_warming_up {
            return None;
        }
        self.schedule.as_mut()?.due_slot()
    }

    /// Appends the next check-in to a frame and records it as sent.
    // Inlined with its callees, and separate from the path with duplicates and reordering. A check-in that is passed
    // through memory is written field by field and then read as a whole, which stalls on store forwarding.
    #[inline(always)]
    fn append_next(&mut self, frame: &mut Vec<u8>, sent_at_ms: u64) {
        if self.disorder == 0 || self.is_warming_up && self.delayed.is_empty() {
            let (index, check_in) = self.next_new(sent_at_ms);
            self.append(index, &check_in, frame);
        } else {
            self.append_in_disorder(frame, sent_at_ms);
        }
    }

    #[inline(never)]
    fn append_in_disorder(&mut self, frame: &mut Vec<u8>, sent_at_ms: u64) {
        let (index, check_in) = match self.next_delayed() {
            Some(delayed) => delayed,
            None => {
                let (index, check_in) = self.next_new(sent_at_ms);
                (index, self.delay_or_duplicate(index, check_in))
            }
        };
        self.append(index, &check_in, frame);
    }

    #[inline(always)]
    fn append(&mut self, index: usize, check_in: &CheckIn, frame: &mut Vec<u8>) {
        self.remaining -= 1;
        match self.devices[index].record_sent(check_in) {
            Answer::Accepted => self.tally.accepted += 1,
            Answer::Duplicate => self.tally.duplicate += 1,
            Answer::Stale => self.tally.stale += 1,
        }
        frame.extend_from_slice(&check_in.to_bytes());
    }

    #[inline]
    fn next_delayed(&mut self) -> Option<(usize, CheckIn)> {
        if self.delayed.is_empty() {
            return None;
        }
        let is_due = self.delayed.len() == DELAYED_MAX
            || self.remaining <= self.delayed.len() as u64
            || self.random.below(DELAY_MEAN) == 0;
        if is_due {
            self.delayed.pop_front()
        } else {
            None
        }
    }

    #[inline(always)]
    fn next_new(&mut self, sent_at_ms: u64) -> (usize, CheckIn) {
        let index = match &mut self.schedule {
            Some(schedule) if !self.is_warming_up => schedule.next_device(&mut self.devices),
            _ => self.visit_order.next(&mut self.random, &self.devices),
        };
        let bits = self.random.bits();
        let id = self.id(index);
        let device = &mut self.devices[index];
        if (bits as u32) < self.churn {
            device.churn(&mut self.random);
        }
        (
            index,
            device.next_check_in(id, sent_at_ms, (bits >> 32) as u32),
        )
    }

    /// At random, delays a copy of the check-in, or delays the check-in itself and returns the next one of its device.
    fn delay_or_duplicate(&mut self, index: usize, check_in: CheckIn) -> CheckIn {
        if self.is_warming_up {
            return check_in;
        }
        let bits = self.random.bits() as u32;
        // The remaining check-ins must leave room for this one and for all delayed ones.
        let has_room = self.remaining > self.delayed.len() as u64 + 1;
        if bits >= self.disorder || !has_room {
            return check_in;
        }
        self.delayed.push_back((index, check_in));
        if bits < self.duplicates {
            return check_in;
        }
        self.devices[index].next_check_in(check_in.device_id, check_in.sent_at_ms, bits)
    }

    #[inline]
    fn id(&self, index: usize) -> DeviceId {
        match self.given_id {
            Some(id) => id,
            None => device_id(self.seed, self.first + index as u64),
        }
    }

    /// The inventories of the devices that send one.
    pub fn inventories(&self) -> impl Iterator<Item = Inventory> {
        self.devices
            .iter()
            .enumerate()
            .filter_map(|(index, device)| {
                let ((owner, tags), _) = population::INVENTORIES[device.inventory_kind()?];
                let number = self.first + index as u64;
                let (share, _) = PLATFORMS
                    .iter()
                    .find(|(share, _)| share.platform == device.platform())?;
                // Rotating the seed keeps this stream independent of those of devices and parts.
                let mut random = Random::new(self.seed.rotate_left(32), number);
                let (manufacturer, model) = random.choose_weighted(share.models);
                Some(Inventory {
                    device_id: self.id(index),
                    os_version: device.os_version(),
                    revision: 1,
                    owner,
                    device_name: format!("device-{number:07}"),
                    os_name: share.os_name.to_owned(),
                    model: model.to_owned(),
                    manufacturer: manufacturer.to_owned(),
                    serial_number: format!("SN{:010X}", random.bits() >> 24),
                    user_principal_name: format!("user{}@example.com", number / 2),
                    tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                })
            })
    }
}

#[cfg(test)]
mod tests;
