//! When each device of a part checks in: a timing wheel that is turned once.
//!
//! The scenario is divided into slots. Each slot has a linked list of the devices that are due in it; the links are an
//! array with one entry per device. A device that has checked in moves to the slot of its next check-in. Owner: the
//! part.
//! Bounds: 4 bytes per device, and 4 bytes for each of at most [`SLOTS_MAX`] slots. On the hot path of scenarios.

use std::time::Duration;

use crate::{cadence::Cadence, device::Device, random::splitmix64};

/// The maximum number of slots.
pub const SLOTS_MAX: u32 = 1_000_000;

/// The minimum length of a slot in wall clock time. Timers are not more precise.
const SLOT_MIN: Duration = Duration::from_millis(1);

/// Marks the end of a list.
const END_OF_LIST: u32 = u32::MAX;

/// The length of a scenario and its mapping to wall clock time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// The length of the scenario, in scenario time.
    pub seconds: f64,
    /// How many seconds of scenario time pass per second of wall clock time.
    pub compress: f64,
    /// How long a gateway with a check-in waits for further ones for the same frame, in wall clock time.
    pub collect: Duration,
}

impl Timing {
    /// The length of the scenario in wall clock time.
    pub fn wall_clock(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds / self.compress).unwrap_or(Duration::MAX)
    }
}

/// The check-ins of a part that are still due.
#[derive(Debug, Clone)]
pub struct Schedule {
    cadence: Cadence,
    seed: u64,
    first_number: u64,
    /// The length of a slot, in scenario time.
    slot_seconds: f64,
    /// The length of a slot, in wall clock time.
    slot: Duration,
    collect_slots: usize,
    /// The first device of each slot.
    heads: Vec<u32>,
    /// For each device, the next one in its slot.
    next: Vec<u32>,
    current_slot: usize,
}

impl Schedule {
    /// A schedule for these devices; `first_number` is the number of the first one in the fleet.
    pub fn new(
        cadence: Cadence,
        timing: Timing,
        seed: u64,
        devices: &[Device],
        first_number: u64,
    ) -> Self {
        let length = timing.wall_clock();
        let slot = SLOT_MIN.max(length / SLOTS_MAX);
        let slots = length.as_nanos().div_ceil(slot.as_nanos());
        let mut schedule = Self {
            cadence,
            // Rotating the seed keeps the hashes independent of the streams of devices and parts.
            seed: seed.rotate_left(16),
            first_number,
            slot_seconds: slot.as_secs_f64() * timing.compress,
            slot,
            collect_slots: (timing.collect.as_nanos() / slot.as_nanos()) as usize,
            heads: vec![END_OF_LIST; slots as usize],
            next: vec![END_OF_LIST; devices.len()],
            current_slot: 0,
        };
        // In reverse, because inserting prepends to a list: the devices of a slot are then in ascending order.
        for (index, device) in devices.iter().enumerate().rev() {
            let first = cadence.first_check_in(device, schedule.hash_of(index));
            schedule.insert(index, (first / schedule.slot_seconds) as usize);
        }
        schedule
    }

    /// A hash of the device's number, for its cadence.
    fn hash_of(&self, index: usize) -> u64 {
        splitmix64(self.seed ^ splitmix64(self.first_number + index as u64))
    }

    /// Inserts a device into a slot. A check-in after the end of the scenario is dropped.
    fn insert(&mut self, index: usize, slot: usize) {
        if let Some(head) = self.heads.get_mut(slot) {
            self.next[index] = std::mem::replace(head, index as u32);
        }
    }

    /// The slot of the next check-in; `None` if there are no more.
    pub fn due_slot(&mut self) -> Option<usize> {
        while *self.heads.get(self.current_slot)? == END_OF_LIST {
            self.current_slot += 1;
        }
        Some(self.current_slot)
    }

    /// The time from the start at which a slot is due, in wall clock time.
    pub fn time_of(&self, slot: usize) -> Duration {
        self.slot * slot as u32
    }

    /// The number of slots for which a gateway collects check-ins after the first.
    pub const fn collect_slots(&self) -> usize {
        self.collect_slots
    }

    /// Takes the next device, updates it by its cadence, and schedules its next check-in. Returns its index.
    pub fn next_device(&mut self, devices: &mut [Device]) -> usize {
        let Some((index, now)) = self.take() else {
            // Not reached, because a part has exactly the check-ins of its schedule. Any device would do.
            return 0;
        };
        let hash = self.hash_of(index);
        self.cadence.update(&mut devices[index], hash, now);
        self.insert_next(index, &devices[index], hash, now);
        index
    }

    fn take(&mut self) -> Option<(usize, f64)> {
        let slot = self.due_slot()?;
        let index = self.heads[slot] as usize;
        self.heads[slot] = self.next[index];
        Some((index, slot as f64 * self.slot_seconds))
    }

    fn insert_next(&mut self, index: usize, device: &Device, hash: u64, now: f64) {
        let next = self.cadence.next_check_in(device, hash, now);
        // No device is due twice in a slot, however much time is compressed.
        let slot = ((next / self.slot_seconds) as usize).max(self.current_slot + 1);
        self.insert(index, slot);
    }

    /// The number of check-ins that are due in each second of wall clock time.
    pub fn count(mut self, devices: &[Device]) -> Vec<u64> {
        let seconds = (self.slot * self.heads.len() as u32).as_secs_f64().ceil();
        let mut due = vec![0; seconds as usize];
        while let Some((index, now)) = self.take() {
            let second = self.time_of(self.current_slot).as_secs() as usize;
            due[second] += 1;
            self.insert_next(index, &devices[index], self.hash_of(index), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceParameters;

    fn devices(count: u64) -> Vec<Device> {
        let parameters = DeviceParameters {
            seed: 1,
            inventory_threshold: 0,
        };
        (0..count)
            .map(|number| Device::new(parameters, number))
            .collect()
    }

    const fn timing(seconds: f64, compress: f64) -> Timing {
        Timing {
            seconds,
            compress,
            collect: Duration::from_millis(100),
        }
    }

    #[test]
    fn the_counts_equal_what_is_due_in_order() {
        let mut devices = devices(500);
        let cadence = Cadence::Enrolment { over: 600.0 };
        let mut schedule = Schedule::new(cadence, timing(8000.0, 1000.0), 1, &devices, 0);
        let due = schedule.clone().count(&devices);
        assert_eq!(due.len(), 8);
        let mut found = vec![0; 8];
        let mut last = 0;
        while let Some(slot) = schedule.due_slot() {
            assert!(slot >= last);
            last = slot;
            schedule.next_device(&mut devices);
            found[schedule.time_of(slot).as_secs() as usize] += 1;
        }
        assert_eq!(found, due);
        assert!(
            due[0] > due[7],
            "the load decreases after enrolment: {due:?}"
        );
    }

    #[test]
    fn the_load_of_a_steady_fleet_is_even() {
        let devices = devices(10_000);
        let schedule = Schedule::new(Cadence::Steady, timing(28_800.0, 2880.0), 1, &devices, 0);
        let due = schedule.count(&devices);
        let sensors = devices
            .iter()
            .filter(|device| device.management_agent() == muster_wire::ManagementAgent::MsSense)
            .count() as u64;
        let total: u64 = due.iter().sum();
        let min = 10_000 - sensors + 5 * sensors;
        assert!(
            (min..=min + sensors).contains(&total),
            "{total}, at least {min} expected"
        );
        let mean = total / 10;
        assert!(
            due.iter().all(|count| count.abs_diff(mean) < mean / 5),
            "{due:?}"
        );
    }

    #[test]
    fn the_number_of_slots_is_bounded_for_any_length() {
        let devices = devices(3);
        for (seconds, compress) in [(1.0, 1.0), (28_800.0, 1.0), (28_800.0, 1e9)] {
            let schedule =
                Schedule::new(Cadence::Steady, timing(seconds, compress), 1, &devices, 0);
            assert!((1..=SLOTS_MAX as usize + 1).contains(&schedule.heads.len()));
            schedule.count(&devices);
        }
    }
}
