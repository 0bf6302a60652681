//! Attributes the delay of late frames to the server or to the generator.
//!
//! A frame that is sent late delays the frames after it. The delay caused by the server's backpressure is therefore
//! carried over from frame to frame, reduced by the interval between them, in which the connection catches up. The rest
//! of a delay is attributed to the generator. Pure arithmetic on times, with one instance per connection. On the hot
//! path.

use std::time::Duration;

/// A frame is late if it was sent more than this after it was due. Timers are accurate to about a millisecond, and this
/// is a third of the strictest latency objective (15 ms at p99), so smaller delays do not matter.
pub const LATE_MIN: Duration = Duration::from_millis(5);

/// If the generator delays more than this share of the frames, the p99 latency depends more on the generator than on
/// the server.
pub const GENERATOR_LATE_SHARE_MAX: f64 = 0.01;

/// In a closed loop, the server is the limit if connections wait for it for at least this share of the time.
pub const WAITING_SHARE_MIN: f64 = 0.1;

/// What made a frame late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The window was full, the server sent a busy frame, or the connection was lost.
    Server,
    /// The generator's threads were busy or were not scheduled.
    Generator,
}

/// The causes of a frame's delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendDelay {
    /// The part of the delay that the generator caused.
    pub generator: Duration,
    /// The cause of the larger part, if the frame was late.
    pub late: Option<Cause>,
}

/// The delay caused by the server from which a connection has not caught up yet.
#[derive(Debug, Default)]
pub struct DelayAttribution {
    carried: Duration,
}

impl DelayAttribution {
    /// Attributes the delay of a frame that was sent `delay` after it was due. It was due `gap` after the previous
    /// frame, and the server prevented sending for `backpressure` of the delay.
    pub fn attribute(
        &mut self,
        delay: Duration,
        gap: Duration,
        backpressure: Duration,
    ) -> SendDelay {
        let carried = self.carried.saturating_sub(gap) + backpressure;
        self.carried = carried.min(delay);
        let generator = delay - self.carried;
        let late = (delay > LATE_MIN).then_some(if generator > self.carried {
            Cause::Generator
        } else {
            Cause::Server
        });
        SendDelay { generator, late }
    }
}

/// Numbers of frames that were sent late, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateFrames {
    /// All frames that were sent.
    pub frames: u64,
    /// Late because of the server.
    pub by_server: u64,
    /// Late because of the generator.
    pub by_generator: u64,
}

impl LateFrames {
    /// Counts a frame.
    pub fn count(&mut self, late: Option<Cause>) {
        self.frames += 1;
        match late {
            Some(Cause::Server) => self.by_server += 1,
            Some(Cause::Generator) => self.by_generator += 1,
            None => {}
        }
    }

    /// Adds the counts of another connection or phase.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.by_server += other.by_server;
        self.by_generator += other.by_generator;
    }

    /// Whether the generator limited an open loop.
    pub fn is_generator_limited(&self) -> bool {
        self.by_generator as f64 > self.frames as f64 * GENERATOR_LATE_SHARE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_frame_sent_in_time_is_not_late() {
        let delay = DelayAttribution::default().attribute(ms(1), ms(10), ms(0));
        assert_eq!(
            delay,
            SendDelay {
                generator: ms(1),
                late: None
            }
        );
    }

    #[test]
    fn a_full_window_and_the_frames_behind_it_are_attributed_to_the_server() {
        let mut attribution = DelayAttribution::default();
        let first = attribution.attribute(ms(100), ms(10), ms(100));
        assert_eq!(
            first,
            SendDelay {
                generator: ms(0),
                late: Some(Cause::Server)
            }
        );
        // The next frame was due 10 ms later and could be sent at once.
        let next = attribution.attribute(ms(91), ms(10), ms(0));
        assert_eq!(
            next,
            SendDelay {
                generator: ms(1),
                late: Some(Cause::Server)
            }
        );
    }

    #[test]
    fn a_delay_without_backpressure_is_attributed_to_the_generator() {
        let mut attribution = DelayAttribution::default();
        for delay in [20, 30, 40] {
            let found = attribution.attribute(ms(delay), ms(10), ms(0));
            assert_eq!(
                found,
                SendDelay {
                    generator: ms(delay),
                    late: Some(Cause::Generator)
                }
            );
        }
    }

    #[test]
    fn backpressure_is_forgotten_once_a_connection_has_caught_up() {
        let mut attribution = DelayAttribution::default();
        attribution.attribute(ms(50), ms(10), ms(50));
        attribution.attribute(ms(0), ms(10), ms(0));
        let delay = attribution.attribute(ms(20), ms(10), ms(0));
        assert_eq!(delay.late, Some(Cause::Generator));
    }

    #[test]
    fn more_than_one_late_frame_in_a_hundred_makes_the_generator_the_limit() {
        let mut late = LateFrames::default();
        for number in 0..1000 {
            late.count((number < 10).then_some(Cause::Generator));
        }
        assert!(!late.is_generator_limited());
        late.count(Some(Cause::Generator));
        assert!(late.is_generator_limited());
        assert!(!LateFrames::default().is_generator_limited());
    }
}
