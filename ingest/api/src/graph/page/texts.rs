//! Numbers and times as people read them. Pure. Times are UTC, as in the whole API.

use muster_engine::Timestamp;
use time::OffsetDateTime;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A number with separators: 44,871.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent, with blanks that do not break. What is not nothing is never shown as nothing, and what is not all never as all.
pub(super) fn percent(count: u64, total: u64) -> String {
    if total == 0 {
        return "–".to_owned();
    }
    let tenths = (count as f64 * 1_000.0 / total as f64).round() as u64;
    match tenths {
        0 if count > 0 => "<\u{a0}0.1\u{a0}%".to_owned(),
        1_000 if count < total => ">\u{a0}99.9\u{a0}%".to_owned(),
        tenths => format!("{}.{}\u{a0}%", tenths / 10, tenths % 10),
    }
}

fn date_time(at: Timestamp) -> Option<OffsetDateTime> {
    let seconds = i64::try_from(at.as_millis() / 1_000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}

/// A time of day: 14:03:22.
pub(super) fn time_of_day(at: Timestamp) -> String {
    let (hour, minute, second) = date_time(at).map_or((0, 0, 0), |at| at.to_hms());
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// Date and time: 30 Nov 2026, 14:03:22. `None` for 0, which means never.
pub(super) fn moment(seconds: u32) -> Option<String> {
    let at = Timestamp::from_seconds(seconds);
    let date = date_time(at).filter(|_| seconds > 0)?;
    let month = MONTHS[usize::from(u8::from(date.month())) - 1];
    Some(format!(
        "{} {month} {}, {}",
        date.day(),
        date.year(),
        time_of_day(at)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        let shown = [0, 999, 1_000, 44_871, 10_000_000].map(number);
        assert_eq!(shown, ["0", "999", "1,000", "44,871", "10,000,000"]);
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_all() {
        assert_eq!(percent(0, 0), "–");
        assert_eq!(percent(0, 9), "0.0\u{a0}%");
        assert_eq!(percent(1, 100_000), "<\u{a0}0.1\u{a0}%");
        assert_eq!(percent(99_999, 100_000), ">\u{a0}99.9\u{a0}%");
        assert_eq!(percent(44_871, 52_004), "86.3\u{a0}%");
        assert_eq!(percent(7, 7), "100.0\u{a0}%");
    }

    #[test]
    fn a_moment_is_date_and_time() {
        assert_eq!(moment(0), None);
        assert_eq!(moment(1_767_229_199).unwrap(), "1 Jan 2026, 00:59:59");
    }
}
