//! Durations and sizes with units: `"250ms"`, `"8h"`, `"64KiB"`.
//!
//! One whole number and one unit: no fractions, no sums, no default unit, so that a value is never ambiguous. Printing
//! uses the largest unit that needs no fraction; the output parses back to the same value. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// The units of a duration in milliseconds, smallest first.
const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// The units of a size in bytes, smallest first. Binary prefixes only.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A length of time with millisecond resolution, written like `"250ms"`, `"5s"`, `"10m"`, `"8h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigDuration {
    milliseconds: u64,
}

impl ConfigDuration {
    /// A duration in milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self { milliseconds }
    }

    /// A duration in seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self {
            milliseconds: seconds * 1_000,
        }
    }

    /// Converts to the standard library's type.
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}

impl FromStr for ConfigDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text, &DURATION_UNITS).map(Self::from_millis)
    }
}

impl fmt::Display for ConfigDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.milliseconds, &DURATION_UNITS, formatter)
    }
}

impl Serialize for ConfigDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A number of bytes, written like `"512B"`, `"64KiB"`, `"8MiB"`, `"1GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize {
    bytes: u64,
}

impl ByteSize {
    /// A size in bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// A size in KiB (1024 bytes).
    pub const fn from_kib(kib: u64) -> Self {
        Self { bytes: kib << 10 }
    }

    /// A size in MiB (1024 KiB).
    pub const fn from_mib(mib: u64) -> Self {
        Self { bytes: mib << 20 }
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.bytes
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text, &SIZE_UNITS).map(Self::from_bytes)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.bytes, &SIZE_UNITS, formatter)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is not a number with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text does not start with a whole number.
    #[error("it must be a whole number followed by a unit")]
    Number,
    /// The number is not followed by one of the units.
    #[error("its unit is missing or unknown")]
    Unit,
    /// The number overflows.
    #[error("it is too large")]
    TooLarge,
}

fn parse(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::Number);
    }
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    let (_, factor) = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(UnitError::Unit)?;
    number.checked_mul(*factor).ok_or(UnitError::TooLarge)
}

fn print(amount: u64, units: &[(&str, u64)], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (name, factor) = units
        .iter()
        .rev()
        .find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor))
        .unwrap_or(&units[0]);
    write!(formatter, "{}{name}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::{ByteSize, ConfigDuration, UnitError};

    #[test]
    fn durations_parse_and_print_in_the_largest_whole_unit() {
        for text in ["0ms", "250ms", "5s", "90s", "10m", "8h", "7d"] {
            let duration: ConfigDuration = text.parse().unwrap();
            assert_eq!(duration.to_string(), text);
        }
        let minutes: ConfigDuration = "120s".parse().unwrap();
        assert_eq!(minutes.to_string(), "2m");
        assert_eq!(minutes.get().as_secs(), 120);
    }

    #[test]
    fn sizes_parse_and_print_in_the_largest_whole_unit() {
        for text in ["0B", "1B", "64KiB", "8MiB", "3GiB", "1025B"] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.to_string(), text);
        }
        assert_eq!(
            "8192KiB".parse::<ByteSize>().unwrap(),
            ByteSize::from_mib(8)
        );
    }

    #[test]
    fn anything_but_one_number_and_one_unit_is_refused() {
        let duration = |text: &str| text.parse::<ConfigDuration>().unwrap_err();
        assert_eq!(duration(""), UnitError::Number);
        assert_eq!(duration("s"), UnitError::Number);
        assert_eq!(duration("-5s"), UnitError::Number);
        assert_eq!(duration("5"), UnitError::Unit);
        assert_eq!(duration("5 s"), UnitError::Unit);
        assert_eq!(duration("1.5s"), UnitError::Unit);
        assert_eq!(duration("1h30m"), UnitError::Unit);
        assert_eq!(duration("99999999999999999999s"), UnitError::TooLarge);
        assert_eq!(duration("999999999999999d"), UnitError::TooLarge);
        assert_eq!("8MB".parse::<ByteSize>().unwrap_err(), UnitError::Unit);
    }
}
