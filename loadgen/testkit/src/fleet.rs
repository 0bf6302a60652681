//! The fleet, cut into one part for each connection, and the check-ins it sends.
//!
//! Everything follows from the seed: the devices, whatever the number of connections; and, for a
//! given number of connections, every check-in in its order. A device is on one connection only, so
//! the order in which its check-ins are made is the order in which a server gets them.
//!
//! Devices are visited in rounds, each in its own scattered order, because a fleet does not check in
//! by the order of its ids, and a server must not be flattered by one that does.
//! Bounds: 24 bytes a device, at most [`DELAYED_MAX`] check-ins held back. On the hot path.

use std::{collections::VecDeque, time::Duration};

use muster_wire::{
    CheckIn, DeviceId, Inventory,
    limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, HEADER_BYTES},
};

use crate::{
    device::{Answer, Device, Traits, device_id},
    population::{self, PLATFORMS},
    random::{Random, threshold},
    schedule::Schedule,
};

mod walk;

use walk::Walk;

/// Check-ins held back for disorder at a time, at most.
pub const DELAYED_MAX: usize = 64;

/// One of so many check-ins lets a delayed one pass first, so that delays vary.
const DELAY_MEAN: u64 = 16;

/// The shape of a fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Another seed is another fleet.
    pub seed: u64,
    /// Check-ins before which a device changes something, as a fraction.
    pub churn: f64,
    /// Check-ins that are sent once more a little later, as a fraction.
    pub duplicates: f64,
    /// Check-ins that are overtaken by the next one of their device, as a fraction.
    pub reorder: f64,
    /// Devices that send an inventory before their check-ins, as a fraction.
    pub inventory: f64,
}

impl Shape {
    /// A fleet without disorder in which one check-in in fifty brings a change.
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

/// Which devices a part has.
#[derive(Debug, Clone)]
pub enum Members {
    /// So many devices from this number on; their ids follow from the seed.
    Numbered {
        /// The first number.
        first: u64,
        /// How many.
        count: u64,
    },
    /// One device with a given id and its number in the fleet.
    One(DeviceId, u64),
}

/// How a server should have answered, in numbers of check-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Newer than what the server had.
    pub accepted: u64,
    /// What the server had.
    pub duplicate: u64,
    /// Older than what the server had.
    pub stale: u64,
}

/// The devices of one connection and the check-ins they still have to send.
#[derive(Debug)]
pub struct Part {
    seed: u64,
    first: u64,
    /// The id of the only device, where it does not follow from the seed.
    given_id: Option<DeviceId>,
    devices: Vec<Device>,
    remaining: u64,
    walk: Walk,
    /// When devices check in; without it as soon as they are asked, one after the other.
    schedule: Option<Schedule>,
    /// Whether every device only checks in once, so that a server knows it.
    is_settling: bool,
    random: Random,
    churn: u32,
    duplicates: u32,
    disorder: u32,
    /// Check-ins to send later, with the place of their device.
    delayed: VecDeque<(usize, CheckIn)>,
    tally: Tally,
}

impl Part {
    /// A part that will send so many check-ins in all.
    pub fn new(shape: &Shape, members: &Members, check_ins: u64) -> Self {
        let traits = Traits {
            seed: shape.seed,
            inventory: threshold(shape.inventory),
        };
        let (first, count, given_id) = match *members {
            Members::Numbered { first, count } => (first, count, None),
            Members::One(id, number) => (number, 1, Some(id)),
        };
        let devices: Vec<Device> = (first..first + count)
            .map(|number| Device::new(traits, number))
            .collect();
        // The stream of a part is that of its first device, moved away from the device's own.
        let mut random = Random::new(!shape.seed, first);
        Self {
            seed: shape.seed,
            first,
            given_id,
            walk: Walk::new(devices.len(), &mut random),
            devices,
            remaining: check_ins,
            schedule: None,
            is_settling: false,
            random,
            churn: threshold(shape.churn),
            duplicates: threshold(shape.duplicates),
            disorder: threshold(shape.duplicates + shape.reorder),
            delayed: VecDeque::with_capacity(DELAYED_MAX),
            tally: Tally::default(),
        }
    }

    /// Check-ins still to send.
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Devices.
    pub const fn devices_count(&self) -> u64 {
        self.devices.len() as u64
    }

    /// Lets so many check-ins follow those that were made.
    pub const fn begin(&mut self, check_ins: u64) {
        self.remaining = check_ins;
    }

    /// Lets every device check in once, in no disorder.
    pub const fn begin_to_settle(&mut self) {
        self.is_settling = true;
        self.begin(self.devices_count());
    }

    /// Ends that, with so many check-ins to follow. The answers of the server count from here.
    pub fn settled(&mut self, check_ins: u64) {
        self.is_settling = false;
        self.tally = Tally::default();
        self.begin(check_ins);
    }

    /// Lets the devices check in by a schedule that `plan` makes of them, and returns how many check-ins are due in
    /// each of its seconds.
    pub fn follow(&mut self, plan: impl FnOnce(&[Device], u64) -> Schedule) -> Vec<u64> {
        let schedule = plan(&self.devices, self.first);
        let due = schedule.clone().count(&self.devices);
        self.remaining = due.iter().sum();
        self.schedule = Some(schedule);
        due
    }

    /// Whether the devices check in by a schedule.
    pub const fn has_calendar(&self) -> bool {
        self.schedule.is_some() && !self.is_settling
    }

    /// Whether every device has checked in before, so that the server knows all of them. With a schedule only a fleet
    /// that was settled is known.
    pub const fn is_known(&self) -> bool {
        self.walk.has_been_round()
    }

    /// How a server should have answered what was made so far.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The devices with their ids.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &Device)> {
        self.devices
            .iter()
            .enumerate()
            .map(|(place, device)| (self.id(place), device))
    }

    /// Makes the next frame: header and at most `check_ins_max` records, in a buffer that holds
    /// nothing else. Returns how many records; 0 when nothing remains.
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
            self.put_next(frame, sent_at_ms);
        }
        count
    }

    /// Like [`Part::make_frame`]; with a schedule, the check-ins that a gateway collects, and when the last of them
    /// was due after the start.
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
            until += schedule.collecting();
        }
        frame.clear();
        frame.extend_from_slice(&[0; HEADER_BYTES]);
        while count < check_ins_max.min(CHECK_INS_PER_FRAME_MAX)
            && let Some(slot) = self.due_slot()
            && slot <= until
        {
            self.put_next(frame, sent_at_ms);
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

    /// The slot of the schedule in which the next check-in is due, if there is one.
    fn due_slot(&mut self) -> Option<usize> {
        if self.is_settling {
            return None;
        }
        self.schedule.as_mut()?.due_slot()
    }

    /// Puts the next check-in to send at the end of a frame, noted as sent.
    // Inlined, like what it calls, and apart from all disorder: a check-in that is handed over in memory is written by
    // fields and read as a whole a moment later, for which a processor waits until the writes are through.
    #[inline(always)]
    fn put_next(&mut self, frame: &mut Vec<u8>, sent_at_ms: u64) {
        if self.disorder == 0 || self.is_settling && self.delayed.is_empty() {
            let (place, check_in) = self.next_new(sent_at_ms);
            self.put(place, &check_in, frame);
        } else {
            self.put_in_disorder(frame, sent_at_ms);
        }
    }

    #[inline(never)]
    fn put_in_disorder(&mut self, frame: &mut Vec<u8>, sent_at_ms: u64) {
        let (place, check_in) = match self.next_delayed() {
            Some(delayed) => delayed,
            None => {
                let (place, check_in) = self.next_new(sent_at_ms);
                (place, self.disturb(place, check_in))
            }
        };
        self.put(place, &check_in, frame);
    }

    #[inline(always)]
    fn put(&mut self, place: usize, check_in: &CheckIn, frame: &mut Vec<u8>) {
        self.remaining -= 1;
        match self.devices[place].sent(check_in) {
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
        let place = match &mut self.schedule {
            Some(schedule) if !self.is_settling => schedule.next(&mut self.devices),
            _ => self.walk.next(&mut self.random, &self.devices),
        };
        let bits = self.random.bits();
        let id = self.id(place);
        let device = &mut self.devices[place];
        if (bits as u32) < self.churn {
            device.churn(&mut self.random);
        }
        (place, device.next(id, sent_at_ms, (bits >> 32) as u32))
    }

    /// Now and then sends a check-in once more later, or lets the device's next one overtake it.
    fn disturb(&mut self, place: usize, check_in: CheckIn) -> CheckIn {
        if self.is_settling {
            return check_in;
        }
        let bits = self.random.bits() as u32;
        // This one and all that are delayed must still fit what remains.
        let has_place = self.remaining > self.delayed.len() as u64 + 1;
        if bits >= self.disorder || !has_place {
            return check_in;
        }
        self.delayed.push_back((place, check_in));
        if bits < self.duplicates {
            return check_in;
        }
        self.devices[place].next(check_in.device_id, check_in.sent_at_ms, bits)
    }

    #[inline]
    fn id(&self, place: usize) -> DeviceId {
        match self.given_id {
            Some(id) => id,
            None => device_id(self.seed, self.first + place as u64),
        }
    }

    /// The inventories of the devices that send one.
    pub fn inventories(&self) -> impl Iterator<Item = Inventory> {
        self.devices
            .iter()
            .enumerate()
            .filter_map(|(place, device)| {
                let ((owner, tags), _) = population::COHORTS[device.cohort()?];
                let number = self.first + place as u64;
                let (mix, _) = PLATFORMS
                    .iter()
                    .find(|(mix, _)| mix.platform == device.platform())?;
                // Away from the streams of devices and parts, which use the seed and its complement.
                let mut random = Random::new(self.seed.rotate_left(32), number);
                let (manufacturer, model) = random.pick(mix.models);
                Some(Inventory {
                    device_id: self.id(place),
                    os_version: Inventory::pack_version(mix.os_version),
                    revision: 1,
                    owner,
                    device_name: format!("device-{number:07}"),
                    os_name: mix.os_name.to_owned(),
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
