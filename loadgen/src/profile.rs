//! How much load is offered over time: as much as the server takes, a rate, steps of rates, or a schedule.
//!
//! Pure arithmetic; whoever sends does the waiting.

use std::time::Duration;

/// A rate for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Check-ins a second over all connections.
    pub rate: f64,
    /// For how long; infinite for the last one of a run without an end.
    pub seconds: f64,
}

/// The load of a measured phase.
#[derive(Debug, Clone, PartialEq)]
pub enum Profile {
    /// Closed loop: the next frame is made when there is room for it.
    Closed,
    /// Open loop: rates one after the other.
    Steps(Vec<Step>),
    /// Open loop: every device has its own times, and so many check-ins are due in each second.
    Schedule(Vec<u64>),
}

impl Profile {
    /// One rate without an end, or a closed loop.
    pub fn of_rate(rate: Option<f64>) -> Self {
        rate.map_or(Self::Closed, |rate| {
            let seconds = f64::INFINITY;
            Self::Steps(vec![Step { rate, seconds }])
        })
    }

    /// Check-ins that are due by then; none where nothing is ever due.
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
                // A run of a million years would saturate, which is right as well.
                let at = (whole as usize).min(seconds.len());
                let before: u64 = seconds[..at].iter().sum();
                let part = seconds.get(at).map_or(0.0, |count| *count as f64);
                Some(part.mul_add(elapsed - whole, before as f64))
            }
        }
    }

    /// The step at this time, if there are several.
    pub fn step_at(&self, elapsed: f64) -> Option<usize> {
        let Self::Steps(steps) = self else {
            return None;
        };
        let mut end = 0.0;
        let found = steps.iter().position(|step| {
            end += step.seconds;
            elapsed < end
        });
        (steps.len() > 1).then(|| found.unwrap_or(steps.len() - 1))
    }

    /// When the last step ends; none for a schedule, a closed loop, or a rate without an end.
    pub fn end(&self) -> Option<Duration> {
        let Self::Steps(steps) = self else {
            return None;
        };
        Duration::try_from_secs_f64(steps.iter().map(|step| step.seconds).sum()).ok()
    }
}

/// Steps of the same length from one rate to another.
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
    fn a_ramp_goes_from_one_end_to_the_other() {
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
    fn what_is_offered_adds_up_over_the_steps() {
        let profile = ramp(100.0, 300.0, 3, 2.0);
        let by = |seconds| {
            profile
                .offered_by(Duration::from_secs_f64(seconds))
                .unwrap()
        };
        assert_eq!(
            [by(0.0), by(1.0), by(3.0), by(100.0)],
            [0.0, 100.0, 400.0, 1200.0]
        );
        assert_eq!(profile.end(), Some(Duration::from_secs(6)));
        assert_eq!(
            [0.0, 2.0, 5.9, 9.0].map(|at| profile.step_at(at)),
            [0, 1, 2, 2].map(Some)
        );
    }

    #[test]
    fn a_rate_has_no_end_and_no_steps() {
        let profile = Profile::of_rate(Some(5.0));
        assert_eq!(profile.offered_by(Duration::from_secs(10)), Some(50.0));
        assert_eq!((profile.end(), profile.step_at(3.0)), (None, None));
        assert_eq!(
            Profile::of_rate(None).offered_by(Duration::from_secs(1)),
            None
        );
    }

    #[test]
    fn a_calendar_offers_what_is_in_it() {
        let profile = Profile::Schedule(vec![10, 20]);
        let by = |seconds| {
            profile
                .offered_by(Duration::from_secs_f64(seconds))
                .unwrap()
        };
        assert_eq!(
            [by(0.5), by(1.0), by(1.5), by(9.0)],
            [5.0, 10.0, 20.0, 30.0]
        );
    }
}
