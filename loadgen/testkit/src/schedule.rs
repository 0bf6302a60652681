//! When each device of a part checks in: a wheel of slots that is turned once.
//!
//! The time of a scenario is cut into slots; each has a list of the devices that are due in it, linked through a
//! number for each device. A device that has checked in goes into the slot of its next check-in. Owner: the part.
//! Bounds: 4 bytes a device, and 4 for each of at most [`SLOTS_MAX`] slots. On the hot path of scenarios.

use std::time::Duration;

use crate::{cadence::Cadence, device::Device, random::mix};

/// Slots, at most.
pub const SLOTS_MAX: u32 = 1_000_000;

/// The shortest slot on the clock: timers are no truer than that.
const SLOT_MIN: Duration = Duration::from_millis(1);

/// The end of a list.
const NOBODY: u32 = u32::MAX;

/// How the time of a scenario passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// How long the scenario is, in its own time.
    pub seconds: f64,
    /// How many of its seconds pass in one of the clock.
    pub compress: f64,
    /// A gateway that has a check-in waits so long for others that go into the same frame, on the clock.
    pub collect: Duration,
}

impl Pass {
    /// How long the scenario is on the clock.
    pub fn on_clock(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds / self.compress).unwrap_or(Duration::MAX)
    }
}

/// The check-ins of a part that are still to come.
#[derive(Debug, Clone)]
pub struct Schedule {
    cadence: Cadence,
    seed: u64,
    first_number: u64,
    /// Of a slot, in the time of the scenario.
    slot_seconds: f64,
    /// Of a slot, on the clock.
    slot: Duration,
    collecting: usize,
    /// For each slot its first device.
    heads: Vec<u32>,
    /// For each device the next one in its slot.
    next: Vec<u32>,
    at: usize,
}

impl Schedule {
    /// For these devices, the first of which has this number in the fleet of this seed.
    pub fn new(
        cadence: Cadence,
        pass: Pass,
        seed: u64,
        devices: &[Device],
        first_number: u64,
    ) -> Self {
        let clock = pass.on_clock();
        let slot = SLOT_MIN.max(clock / SLOTS_MAX);
        let slots = clock.as_nanos().div_ceil(slot.as_nanos());
        let mut schedule = Self {
            cadence,
            // Away from the streams of devices and parts.
            seed: seed.rotate_left(16),
            first_number,
            slot_seconds: slot.as_secs_f64() * pass.compress,
            slot,
            collecting: (pass.collect.as_nanos() / slot.as_nanos()) as usize,
            heads: vec![NOBODY; slots as usize],
            next: vec![NOBODY; devices.len()],
            at: 0,
        };
        // The last device first, so that those of a slot come in their order.
        for (place, device) in devices.iter().enumerate().rev() {
            let first = cadence.first(device, schedule.draw(place));
            schedule.put(place, (first / schedule.slot_seconds) as usize);
        }
        schedule
    }

    /// A number of its own for each device.
    fn draw(&self, place: usize) -> u64 {
        mix(self.seed ^ mix(self.first_number + place as u64))
    }

    /// What is due after the end never comes.
    fn put(&mut self, place: usize, slot: usize) {
        if let Some(head) = self.heads.get_mut(slot) {
            self.next[place] = std::mem::replace(head, place as u32);
        }
    }

    /// The slot of the next check-in; `None` when no more come.
    pub fn due_slot(&mut self) -> Option<usize> {
        while *self.heads.get(self.at)? == NOBODY {
            self.at += 1;
        }
        Some(self.at)
    }

    /// When a slot is due after the start, on the clock.
    pub fn time_of(&self, slot: usize) -> Duration {
        self.slot * slot as u32
    }

    /// Slots for which a gateway collects check-ins after the first.
    pub const fn collecting(&self) -> usize {
        self.collecting
    }

    /// Takes the next device, changes it as its cadence says, and puts it where it comes next.
    pub fn next(&mut self, devices: &mut [Device]) -> usize {
        let Some((place, now)) = self.take() else {
            // A part has no more check-ins than its schedule; one that is asked for all the same is the first's.
            return 0;
        };
        let draw = self.draw(place);
        self.cadence.change(&mut devices[place], draw, now);
        self.put_next(place, &devices[place], draw, now);
        place
    }

    fn take(&mut self) -> Option<(usize, f64)> {
        let slot = self.due_slot()?;
        let place = self.heads[slot] as usize;
        self.heads[slot] = self.next[place];
        Some((place, slot as f64 * self.slot_seconds))
    }

    fn put_next(&mut self, place: usize, device: &Device, draw: u64, now: f64) {
        let next = self.cadence.after(device, draw, now);
        // No device comes twice in a slot, however much time is compressed.
        let slot = ((next / self.slot_seconds) as usize).max(self.at + 1);
        self.put(place, slot);
    }

    /// Check-ins that are due in each second on the clock.
    pub fn count(mut self, devices: &[Device]) -> Vec<u64> {
        let seconds = (self.slot * self.heads.len() as u32).as_secs_f64().ceil();
        let mut due = vec![0; seconds as usize];
        while let Some((place, now)) = self.take() {
            let second = self.time_of(self.at).as_secs() as usize;
            due[second] += 1;
            self.put_next(place, &devices[place], self.draw(place), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Traits;

    fn devices(count: u64) -> Vec<Device> {
        let traits = Traits {
            seed: 1,
            inventory: 0,
        };
        (0..count)
            .map(|number| Device::new(traits, number))
            .collect()
    }

    const fn pass(seconds: f64, compress: f64) -> Pass {
        Pass {
            seconds,
            compress,
            collect: Duration::from_millis(100),
        }
    }

    #[test]
    fn what_is_counted_is_what_comes_in_its_order() {
        let mut devices = devices(500);
        let cadence = Cadence::Enrolment { over: 600.0 };
        let mut schedule = Schedule::new(cadence, pass(8000.0, 1000.0), 1, &devices, 0);
        let due = schedule.clone().count(&devices);
        assert_eq!(due.len(), 8);
        let mut found = vec![0; 8];
        let mut last = 0;
        while let Some(slot) = schedule.due_slot() {
            assert!(slot >= last);
            last = slot;
            schedule.next(&mut devices);
            found[schedule.time_of(slot).as_secs() as usize] += 1;
        }
        assert_eq!(found, due);
        assert!(due[0] > due[7], "an enrolment calms down: {due:?}");
    }

    #[test]
    fn a_steady_fleet_is_as_busy_at_any_time() {
        let devices = devices(10_000);
        let schedule = Schedule::new(Cadence::Steady, pass(28_800.0, 2880.0), 1, &devices, 0);
        let due = schedule.count(&devices);
        let sensors = devices
            .iter()
            .filter(|device| device.management_agent() == muster_wire::ManagementAgent::MsSense)
            .count() as u64;
        let all: u64 = due.iter().sum();
        let least = 10_000 - sensors + 5 * sensors;
        assert!(
            (least..=least + sensors).contains(&all),
            "{all} of {least} or more"
        );
        let mean = all / 10;
        assert!(
            due.iter().all(|count| count.abs_diff(mean) < mean / 5),
            "{due:?}"
        );
    }

    #[test]
    fn a_scenario_of_any_length_has_a_bound_of_slots() {
        let devices = devices(3);
        for (seconds, compress) in [(1.0, 1.0), (28_800.0, 1.0), (28_800.0, 1e9)] {
            let schedule = Schedule::new(Cadence::Steady, pass(seconds, compress), 1, &devices, 0);
            assert!((1..=SLOTS_MAX as usize + 1).contains(&schedule.heads.len()));
            schedule.count(&devices);
        }
    }
}
