//! Time in the engine: a value that is passed in as an argument (design D8).

/// Milliseconds since the Unix epoch, by the server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A point in time, in milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A point in time, in seconds since the Unix epoch.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as u64 * 1000)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, the resolution of a device record; good until 2106.
    /// Saturates, so that a clock far in the future cannot wrap into the past.
    pub const fn as_seconds(self) -> u32 {
        let seconds = self.0 / 1000;
        if seconds > u32::MAX as u64 {
            u32::MAX
        } else {
            seconds as u32
        }
    }
}
