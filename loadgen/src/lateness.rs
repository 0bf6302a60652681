//! Why frames leave late: because the server's window had no room, or because the generator was busy.
//!
//! A frame that leaves late makes those after it late too. So what the server's pressure has cost is carried
//! from frame to frame, less the time between two frames, which is when lost time is made good; the rest of a
//! delay is the generator's own. Pure arithmetic on times; one for each connection. On the hot path.

use std::time::Duration;

/// A frame is late if it left so long after it was due. Timers are true to about a millisecond; a third of the
/// strictest latency that we promise (15 ms at p99) is where lateness begins to matter.
pub const LATE_MIN: Duration = Duration::from_millis(5);

/// With more late frames of its own making than this share, a latency at p99 says more of the generator than of
/// the server.
pub const OWN_LATE_SHARE_MAX: f64 = 0.01;

/// A closed loop is the server's as long as connections spend at least this share of their time waiting for it.
pub const WAITING_SHARE_MIN: f64 = 0.1;

/// Who made a frame late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The window was full, the server asked for a pause, or the connection was lost.
    Server,
    /// The generator's threads were busy, or had no core.
    Generator,
}

/// How a frame left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The part of its delay that was the generator's own.
    pub own: Duration,
    /// Whose the larger part is, if it was late at all.
    pub late: Option<Cause>,
}

/// What the server's pressure has cost that is not made good yet.
#[derive(Debug, Default)]
pub struct Lateness {
    carried: Duration,
}

impl Lateness {
    /// A frame left `delay` after it was due, `gap` after the one before it was due; its connection could not
    /// take it for `pressure` of that.
    pub fn left(&mut self, delay: Duration, gap: Duration, pressure: Duration) -> Start {
        let carried = self.carried.saturating_sub(gap) + pressure;
        self.carried = carried.min(delay);
        let own = delay - self.carried;
        let late = (delay > LATE_MIN).then_some(if own > self.carried {
            Cause::Generator
        } else {
            Cause::Server
        });
        Start { own, late }
    }
}

/// Frames that left late, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateFrames {
    /// Frames that left.
    pub frames: u64,
    /// Late because of the server.
    pub by_server: u64,
    /// Late because of the generator.
    pub by_generator: u64,
}

impl LateFrames {
    /// Counts one.
    pub fn count(&mut self, late: Option<Cause>) {
        self.frames += 1;
        match late {
            Some(Cause::Server) => self.by_server += 1,
            Some(Cause::Generator) => self.by_generator += 1,
            None => {}
        }
    }

    /// Counts those of another connection.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.by_server += other.by_server;
        self.by_generator += other.by_generator;
    }

    /// Whether an open loop shows the limits of the generator.
    pub fn is_generators(&self) -> bool {
        self.by_generator as f64 > self.frames as f64 * OWN_LATE_SHARE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_frame_that_leaves_in_time_is_nobodys_fault() {
        let start = Lateness::default().left(ms(1), ms(10), ms(0));
        assert_eq!(
            start,
            Start {
                own: ms(1),
                late: None
            }
        );
    }

    #[test]
    fn a_full_window_is_the_servers_and_so_are_the_frames_behind_it() {
        let mut lateness = Lateness::default();
        let first = lateness.left(ms(100), ms(10), ms(100));
        assert_eq!(
            first,
            Start {
                own: ms(0),
                late: Some(Cause::Server)
            }
        );
        // The next one was due 10 ms later and could leave at once.
        let next = lateness.left(ms(91), ms(10), ms(0));
        assert_eq!(
            next,
            Start {
                own: ms(1),
                late: Some(Cause::Server)
            }
        );
    }

    #[test]
    fn a_busy_generator_is_its_own_limit() {
        let mut lateness = Lateness::default();
        for delay in [20, 30, 40] {
            let start = lateness.left(ms(delay), ms(10), ms(0));
            assert_eq!(
                start,
                Start {
                    own: ms(delay),
                    late: Some(Cause::Generator)
                }
            );
        }
    }

    #[test]
    fn pressure_is_forgotten_once_it_was_made_good() {
        let mut lateness = Lateness::default();
        lateness.left(ms(50), ms(10), ms(50));
        lateness.left(ms(0), ms(10), ms(0));
        let start = lateness.left(ms(20), ms(10), ms(0));
        assert_eq!(start.late, Some(Cause::Generator));
    }

    #[test]
    fn one_in_a_hundred_is_where_the_generator_is_the_limit() {
        let mut late = LateFrames::default();
        for number in 0..1000 {
            late.count((number < 10).then_some(Cause::Generator));
        }
        assert!(!late.is_generators());
        late.count(Some(Cause::Generator));
        assert!(late.is_generators());
        assert!(!LateFrames::default().is_generators());
    }
}
