//! Tests of the rules of the service time: case by case, then with random sequences of readings.

use proptest::prelude::*;

use super::*;

/// A day in 2026.
const START_MS: u64 = 1_790_000_000_000;
/// The machine has run for an hour.
const BOOTED_MS: u64 = 3_600_000;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;

fn at(wall_ms: u64, monotonic_ms: u64) -> Reading {
    Reading {
        wall: Timestamp::from_millis(wall_ms),
        monotonic_ms,
    }
}

/// A service time that has started on a new directory, and the clocks of its machine.
#[derive(Debug)]
struct Machine {
    steering: Steering,
    wall_ms: u64,
    monotonic_ms: u64,
}

impl Machine {
    fn new() -> Self {
        let (wall_ms, monotonic_ms) = (START_MS, BOOTED_MS);
        let (steering, event) = Steering::start(at(wall_ms, monotonic_ms), None);
        assert_eq!(event, None);
        Self {
            steering,
            wall_ms,
            monotonic_ms,
        }
    }

    fn reading(&self) -> Reading {
        at(self.wall_ms, self.monotonic_ms)
    }

    fn time_ms(&self) -> u64 {
        self.steering.time(self.monotonic_ms).as_millis()
    }

    /// The wall clock leaps alone.
    fn leap(&mut self, ms: i64) -> Option<Event> {
        self.wall_ms = self.wall_ms.checked_add_signed(ms).unwrap();
        self.steering.observe(self.reading())
    }

    /// Both clocks advance, with a reading every second; returns the events.
    fn pass(&mut self, ms: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..ms / SECOND {
            self.wall_ms += SECOND;
            self.monotonic_ms += SECOND;
            events.extend(self.steering.observe(self.reading()));
        }
        events
    }
}

fn stepped(ms: i64) -> Option<Event> {
    Some(Event::Stepped(Step {
        ms,
        follows_in_ms: FOLLOWED_AFTER_MS,
    }))
}

#[test]
fn a_leap_that_does_not_last_changes_nothing() {
    let mut machine = Machine::new();
    let days = 8 * DAY as i64;
    assert_eq!(machine.leap(days), stepped(days));
    assert_eq!(machine.pass(70 * SECOND), [], "it is logged once");
    let step = machine.steering.step(machine.reading()).unwrap();
    assert_eq!(
        (step.ms, step.follows_in_ms),
        (days, FOLLOWED_AFTER_MS - 70 * SECOND)
    );
    assert_eq!(machine.time_ms(), START_MS + 70 * SECOND);
    assert_eq!(machine.leap(-days), Some(Event::Returned));
    assert_eq!(machine.steering.step(machine.reading()), None);
    assert_eq!(machine.pass(10 * MINUTE), []);
    assert_eq!(machine.time_ms(), START_MS + 70 * SECOND + 10 * MINUTE);
    assert_eq!(machine.steering.steps_back(), 0);
}

#[test]
fn a_leap_that_lasts_five_minutes_is_followed_in_either_direction() {
    for days in [8 * DAY as i64, -8 * DAY as i64] {
        let mut machine = Machine::new();
        machine.leap(days);
        assert_eq!(machine.pass(FOLLOWED_AFTER_MS - SECOND), []);
        let [Event::Followed(followed)] = machine.pass(SECOND)[..] else {
            panic!("it is followed");
        };
        assert_eq!(followed.from.as_millis(), START_MS + FOLLOWED_AFTER_MS);
        assert_eq!(followed.to.as_millis(), machine.wall_ms);
        assert_eq!(machine.time_ms(), machine.wall_ms);
        assert_eq!(machine.steering.steps_back(), u64::from(days < 0));
        assert_eq!(machine.pass(MINUTE), []);
        assert_eq!(machine.time_ms(), machine.wall_ms);
    }
}

#[test]
fn an_operator_confirms_a_step_and_nothing_else() {
    let mut machine = Machine::new();
    assert_eq!(machine.steering.confirm(machine.reading()), None);
    machine.leap(DAY as i64);
    let followed = machine.steering.confirm(machine.reading()).unwrap();
    assert_eq!(followed.from.as_millis(), START_MS);
    assert_eq!(followed.to.as_millis(), START_MS + DAY);
    assert_eq!(machine.time_ms(), machine.wall_ms);
    assert_eq!(machine.steering.confirm(machine.reading()), None);
    assert_eq!(machine.pass(10 * MINUTE), []);
}

#[test]
fn another_step_waits_for_its_own_five_minutes() {
    let mut machine = Machine::new();
    machine.leap(DAY as i64);
    machine.pass(4 * MINUTE);
    assert_eq!(
        machine.leap(2_000),
        None,
        "within two seconds it is the same step"
    );
    let second = (DAY + 2_001) as i64;
    assert_eq!(machine.leap(1), stepped(second));
    assert_eq!(machine.pass(4 * MINUTE), []);
    assert_eq!(machine.time_ms(), START_MS + 8 * MINUTE);
    assert!(matches!(machine.pass(MINUTE)[..], [Event::Followed(_)]));
}

#[test]
fn a_small_difference_is_slewed_away_and_time_never_stands_still() {
    for ms in [2_000, -2_000] {
        let mut machine = Machine::new();
        assert_eq!(machine.leap(ms), None);
        assert_eq!(machine.time_ms(), START_MS, "never at once");
        machine.pass(SECOND);
        let moved = machine.time_ms() - START_MS;
        assert_eq!(moved, SECOND.checked_add_signed(ms.signum() * 10).unwrap());
        machine.pass(199 * SECOND);
        assert_eq!(machine.time_ms(), machine.wall_ms);
    }
}

#[test]
fn the_service_time_outlives_a_restart() {
    let start = |wall_ms: u64, on_disk: u64| {
        let on_disk = Some(Timestamp::from_millis(on_disk));
        let (steering, event) = Steering::start(at(wall_ms, BOOTED_MS), on_disk);
        (steering.time(BOOTED_MS).as_millis() - START_MS, event)
    };
    let (minutes, day) = (5 * MINUTE, DAY);
    // The server was down for less than a day.
    assert_eq!(start(START_MS + day - 1, START_MS), (day - 1, None));
    // The wall clock was corrected by less than five minutes: T waits for it, or follows the step back.
    assert_eq!(start(START_MS, START_MS + 1_000), (1_000, None));
    let behind = -(minutes as i64 - 1);
    let found = start(START_MS, START_MS + minutes - 1);
    assert_eq!(found, (minutes - 1, stepped(behind)));
    // Anything else is an unconfirmed step.
    assert_eq!(start(START_MS + day, START_MS), (0, stepped(day as i64)));
    let found = start(START_MS, START_MS + minutes);
    assert_eq!(found, (minutes, stepped(-(minutes as i64))));
}

#[test]
fn times_beyond_any_calendar_do_not_overflow() {
    let far = u64::MAX;
    for on_disk in [None, Some(0), Some(far)] {
        for (wall_ms, monotonic_ms) in [(0, 0), (0, far), (far, 0), (far, far)] {
            let on_disk = on_disk.map(Timestamp::from_millis);
            let (mut steering, _) = Steering::start(at(wall_ms, monotonic_ms), on_disk);
            for reading in [at(far, far), at(0, 0), at(0, far)] {
                steering.observe(reading);
                steering.confirm(reading);
                assert!(steering.offset_ms().abs() < 1 << 47);
            }
        }
    }
}

/// What happens between two readings: the time that passes, and what the wall clock jumps beside it.
fn readings() -> impl Strategy<Value = Vec<(u64, i64)>> {
    let passes = prop_oneof![
        0..3_000_u64,
        0..FOLLOWED_AFTER_MS + 2_000,
        Just(FOLLOWED_AFTER_MS),
        0..3 * DAY
    ];
    let days = 30 * DAY as i64;
    let jumps = prop_oneof![
        4 => Just(0),
        2 => -30..30_i64,
        1 => -4_000..4_000_i64,
        1 => -days..days,
        1 => Just(DAY as i64),
        1 => Just(-(DAY as i64)),
    ];
    prop::collection::vec((passes, jumps), 1..60)
}

proptest! {
    /// T moves with the monotonic clock, at most 1 % faster or slower, and jumps only if every reading of the last five
    /// minutes showed the same step; only such a jump can take it back.
    #[test]
    fn time_moves_as_promised_whatever_the_readings(readings in readings()) {
        let mut machine = Machine::new();
        let mut seen: Vec<(u64, i64)> = Vec::new();
        for (pass, jump) in readings {
            let (before, steps_back) = (machine.time_ms(), machine.steering.steps_back());
            machine.monotonic_ms += pass;
            machine.wall_ms = (machine.wall_ms + pass).saturating_add_signed(jump);
            let event = machine.steering.observe(machine.reading());
            let after = machine.time_ms();
            let offset = machine.wall_ms as i64 - machine.monotonic_ms as i64;
            seen.push((machine.monotonic_ms, offset));
            if let Some(Event::Followed(followed)) = event {
                prop_assert_eq!(followed.to.as_millis(), after);
                prop_assert_eq!(after, machine.wall_ms);
                let first = seen.iter().rposition(|(monotonic, _)| {
                    monotonic + FOLLOWED_AFTER_MS <= machine.monotonic_ms
                });
                let first = first.expect("a step that was never seen before is followed");
                for (_, shown) in &seen[first..] {
                    prop_assert!(shown.abs_diff(offset) <= 2 * FOLLOWED_WITHIN_MS, "{seen:?}");
                }
                let is_back = followed.to < followed.from;
                prop_assert_eq!(machine.steering.steps_back(), steps_back + u64::from(is_back));
            } else {
                prop_assert_eq!(machine.steering.steps_back(), steps_back);
                prop_assert!(after >= before, "T goes back without a step that is followed");
                // What was too short to move T by a millisecond counts for the next reading.
                prop_assert!((after - before).abs_diff(pass) <= pass / 100 + 1, "T jumps");
            }
            let is_far = after.abs_diff(machine.wall_ms) > FOLLOWED_WITHIN_MS;
            prop_assert_eq!(machine.steering.step(machine.reading()).is_some(), is_far);
        }
    }

    /// A restart at any reading: T is that of the disk or the wall clock's, and never the earlier of the two.
    #[test]
    fn a_start_takes_the_disk_or_the_wall_clock(ahead in -400 * DAY as i64..400 * DAY as i64) {
        let on_disk = START_MS;
        let wall_ms = START_MS.checked_add_signed(ahead).unwrap();
        let (steering, event) = Steering::start(
            at(wall_ms, BOOTED_MS),
            Some(Timestamp::from_millis(on_disk)),
        );
        let time = steering.time(BOOTED_MS).as_millis();
        prop_assert!(time == on_disk || time == wall_ms);
        prop_assert!(time >= on_disk);
        let is_far = time.abs_diff(wall_ms) > FOLLOWED_WITHIN_MS;
        prop_assert_eq!(matches!(event, Some(Event::Stepped(_))), is_far);
    }
}
