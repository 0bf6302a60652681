//! Date literals, as instants.
//!
//! Owner: whoever parses. An instant is a number of ticks of 100 ns since 1970 in UTC, because a literal has up to seven
//! fractional digits; the years 1 to 9999 fit into an i64. It reads no clock and knows no time zone names.

use time::{Date, Month};

/// Ticks per second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;

/// The Julian day number of 1970-01-01.
const EPOCH_JULIAN_DAY: i64 = 2_440_588;

/// An instant from whole seconds since 1970.
#[must_use]
pub const fn ticks_from_seconds(seconds: i64) -> i64 {
    seconds.saturating_mul(TICKS_PER_SECOND)
}

/// Parses `2026-11-30`, `2026-11-30T08:15Z`, `2026-11-30T08:15:00.1234567+02:00`: a date without a time is its
/// midnight in UTC. `None` if the text has another form, more than seven fractional digits, or no zone.
pub(super) fn parse(text: &str) -> Option<i64> {
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?);
    let days = i64::from(date.ok()?.to_julian_day()) - EPOCH_JULIAN_DAY;
    if year == 0 {
        return None;
    }
    let midnight = days * 86_400 * TICKS_PER_SECOND;
    if rest.is_empty() {
        return Some(midnight);
    }
    let rest = rest.strip_prefix(['T', 't'])?;
    let (time, offset) = match rest.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let sign_at = rest.rfind(['+', '-'])?;
            let [hours, minutes] = numbers(&rest[sign_at + 1..], ':', [2, 2])?;
            if hours > 14 || minutes > 59 {
                return None;
            }
            let offset = (hours * 60 + minutes) * 60 * TICKS_PER_SECOND;
            let is_east = rest[sign_at..].starts_with('+');
            (&rest[..sign_at], if is_east { offset } else { -offset })
        }
    };
    Some(midnight + time_of_day(time)? - offset)
}

/// Ticks since midnight of `08:15`, `08:15:00` or `08:15:00.1234567`.
fn time_of_day(text: &str) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let [hours, minutes, seconds] = match whole.len() {
        5 if fraction.is_none() => {
            let [hours, minutes] = numbers(whole, ':', [2, 2])?;
            [hours, minutes, 0]
        }
        _ => numbers(whole, ':', [2, 2, 2])?,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let mut ticks = ((hours * 60 + minutes) * 60 + seconds) * TICKS_PER_SECOND;
    if let Some(fraction) = fraction {
        let digits = u32::try_from(fraction.len()).ok()?;
        if digits > 7 {
            return None;
        }
        ticks += number(fraction)? * 10_i64.pow(7 - digits);
    }
    Some(ticks)
}

/// The decimal numbers between separators, each with its number of digits.
fn numbers<const COUNT: usize>(
    text: &str,
    separator: char,
    digits: [usize; COUNT],
) -> Option<[i64; COUNT]> {
    let mut parts = text.split(separator);
    let mut found = [0; COUNT];
    for (slot, length) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *slot = number(part)?;
    }
    parts.next().is_none().then_some(found)
}

/// A number of decimal digits only.
fn number(text: &str) -> Option<i64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    #[test]
    fn dates_agree_with_the_time_crate() {
        for text in [
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-11-30T08:15:00.1234567Z",
            "2024-02-29T23:59:59.9+14:00",
            "2026-11-30T08:15:00-05:30",
        ] {
            let expected = OffsetDateTime::parse(text, &Rfc3339)
                .unwrap()
                .unix_timestamp_nanos()
                / 100;
            assert_eq!(parse(text).map(i128::from), Some(expected), "{text}");
        }
    }

    #[test]
    fn seconds_and_time_may_be_missing() {
        let midnight = parse("2026-11-30T00:00:00Z");
        assert!(midnight.is_some());
        assert_eq!(parse("2026-11-30"), midnight);
        assert_eq!(parse("2026-11-30T00:00Z"), midnight);
        assert_eq!(parse("2026-11-30T02:00:00.0000000+02:00"), midnight);
        assert_eq!(parse("1970-01-01T00:01:00Z"), Some(ticks_from_seconds(60)));
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "notadate",
            "2026-11-30T08:15:00",
            "2026-11-30T08:15:00.12345678Z",
            "2026-11-30T08:15:00.Z5",
            "2026-11-30T08:15.5Z",
            "2026-13-30",
            "2026-02-30",
            "0000-01-01",
            "2026-11-3",
            "2026-11-30T24:00:00Z",
            "2026-11-30T08:60:00Z",
            "2026-11-30T08:15:60Z",
            "2026-11-30T08:15:00+15:00",
            "2026-11-30T08:15:00+0200",
            "2026-11-30 08:15:00Z",
            "+026-11-30",
            "2026-11-30Tä",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
