//! The load that is offered over time: a closed loop, a rate, steps of rates, or a schedule.
//!
//! Pure arithmetic; the sender does the waiting.

use std::time::Duration;

/// A rate for some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Check-ins per second over all connections.
    pub rate: f64,
    /// The duration; infinite for a rate without an end.
    pub seconds: f64,
}

/// The load of a measured phase.
#[derive(Debug, Clone, PartialEq)]
pub enum Profile {
    /// Closed loop: the next frame is made when the window has room.
    Closed,
    /// Open loop: one rate after the other.
    Steps(Vec<Step>),
    /// Open loop: each device has its own times. The numbers of check-ins that are due in each second.
    Schedule(Vec<u64>),
}

impl Profile {
    /// An open loop with a constant rate, or a closed loop if there is no rate.
    pub fn of_rate(rate: Option<f64>) -> Self {
        rate.map_or(Self::Closed, |rate| {
            let seconds = f64::INFINITY;
            Self::Steps(vec![Step { rate, seconds }])
        })
    }

    /// The number of check-ins that are due after `elapsed`; `None` in a closed loop.
    pub fn offered_by(&self, elapsed: Duration) -> Option<f64> {
        let elapsed = elapsed.as_secs_f64();
        match self {
            Self::Closed => None,
            Self::Steps(steps) => {
                let mut left = elapsed;
                let in_step = |step: &Step| {
                    let seconds = left.min(step.seconds);
                    left -= seconds;
                    step.rate * seconds
                };
                Some(steps.iter().map(in_step).sum())
            }
            Self::Schedule(seconds) => {
                let whole = elapsed.floor();
                // The cast saturates for extremely long runs, which is harmless.
                let at = (whole as usize).min(seconds.len());
                let before: u64 = seconds[..at].iter().sum();
                let part = seconds.get(at).map_or(0.0, |count| *count as f64);
                Some(part.mul_add(elapsed - whole, before as f64))
            }
        }
    }

    /// When the last step ends; `None` for a schedule, a closed loop, or a rate without an end.
    pub fn end(&self) -> Option<Duration> {
        let Self::Steps(steps) = self else {
            return None;
        };
        Duration::try_from_secs_f64(steps.iter().map(|step| step.seconds).sum()).ok()
    }
}

/// A ramp from one rate to another in steps of the same duration.
pub fn ramp(from: f64, to: f64, steps: u32, seconds: f64) -> Profile {
    let rate = |step: u32| {
        let share = f64::from(step) / f64::from(steps.max(2) - 1);
        (to - from).mul_add(share, from)
    };
    Profile::Steps(
        (0..steps)
            .map(|step| Step {
                rate: rate(step),
                seconds,
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_includes_both_ends() {
        let Profile::Steps(steps) = ramp(100.0, 400.0, 4, 2.0) else {
            panic!("steps")
        };
        let rates: Vec<f64> = steps.iter().map(|step| step.rate).collect();
        assert_eq!(rates, [100.0, 200.0, 300.0, 400.0]);
        let one = ramp(100.0, 400.0, 1, 2.0);
        assert_eq!(
            one,
            Profile::Steps(vec![Step {
                rate: 100.0,
                seconds: 2.0
            }])
        );
    }

    #[test]
    fn the_offered_check_ins_add_up_over_the_steps() {
        let profile = ramp(100.0, 300.0, 3, 2.0);
        let offered_by = |seconds| {
            profile
                .offered_by(Duration::from_secs_f64(seconds))
                .unwrap()
        };
        assert_eq!(
            [0.0, 1.0, 3.0, 100.0].map(offered_by),
            [0.0, 100.0, 400.0, 1200.0]
        );
        assert_eq!(profile.end(), Some(Duration::from_secs(6)));
    }

    #[test]
    fn a_constant_rate_has_no_end() {
        let profile = Profile::of_rate(Some(5.0));
        assert_eq!(profile.offered_by(Duration::from_secs(10)), Some(50.0));
        assert_eq!(profile.end(), None);
        assert_eq!(
            Profile::of_rate(None).offered_by(Duration::from_secs(1)),
            None
        );
    }

    #[test]
    fn a_schedule_offers_what_is_due_in_each_second() {
        let profile = Profile::Schedule(vec![10, 20]);
        let offered_by = |seconds| {
            profile
                .offered_by(Duration::from_secs_f64(seconds))
                .unwrap()
        };
        assert_eq!(
            [0.5, 1.0, 1.5, 9.0].map(offered_by),
            [5.0, 10.0, 20.0, 30.0]
        );
    }
}
