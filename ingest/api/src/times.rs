//! Times as the API writes them: RFC 3339, UTC.

use muster_engine::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How Graph writes a date that has not happened, where null is not allowed.
pub(super) const NEVER: &str = "0001-01-01T00:00:00Z";

/// A time of a device record: seconds since the epoch, 0 = never.
pub(super) fn seconds(seconds: u32) -> Option<String> {
    if seconds == 0 {
        return None;
    }
    timestamp(Timestamp::from_seconds(seconds))
}

/// A timestamp; `None` beyond the year 9999.
pub(super) fn timestamp(at: Timestamp) -> Option<String> {
    let nanos = i128::from(at.as_millis()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()?
        .format(&Rfc3339)
        .ok()
}

/// A timestamp with seven digits of a second, as Graph writes them in audit events: their texts sort like the times.
pub(super) fn precise(at: Timestamp) -> Option<String> {
    let whole = Timestamp::from_millis(at.as_millis() / 1_000 * 1_000);
    let text = timestamp(whole)?;
    let ms = at.as_millis() % 1_000;
    Some(format!("{}.{ms:03}0000Z", text.trim_end_matches('Z')))
}

/// The seconds of a time that [`seconds`] has written.
pub(super) fn parse(text: &str) -> Option<u32> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u32::try_from(at.unix_timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_zero_is_never() {
        assert_eq!(seconds(0), None);
        assert_eq!(seconds(1_767_225_600).unwrap(), "2026-01-01T00:00:00Z");
        assert_eq!(parse("2026-01-01T00:00:00Z"), Some(1_767_225_600));
        assert_eq!(parse("never"), None);
        let at = Timestamp::from_millis(1_767_225_600_250);
        assert_eq!(timestamp(at).unwrap(), "2026-01-01T00:00:00.25Z");
        assert_eq!(precise(at).unwrap(), "2026-01-01T00:00:00.2500000Z");
        assert_eq!(timestamp(Timestamp::from_millis(u64::MAX)), None);
    }
}
