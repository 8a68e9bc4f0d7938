//! Points in time and durations. This crate has no clock: rules get `now` as an argument.

use std::fmt;

use ::time::format_description::well_known::Rfc3339;
use ::time::macros::format_description;
use ::time::{Date, OffsetDateTime, PrimitiveDateTime};
use serde::{Deserialize, Serialize};

/// A day, milliseconds.
pub const DAY_MS: u64 = 86_400_000;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// Milliseconds from `earlier` to `self`; never negative.
    pub fn since(self, earlier: Millis) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// The instant `ms` milliseconds later.
    pub fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// Reads RFC 3339 with any fraction of a second and any offset: `2026-03-01T09:30:00.123456789Z`. `None` for anything
    /// else. A Docker engine writes a time of the year 1 for “never”.
    pub fn parse_rfc3339(text: &str) -> Option<Millis> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Millis)
    }

    /// The start of a day written `2026-03-01`, UTC. `None` for anything else.
    pub fn start_of_day(day: &str) -> Option<Millis> {
        // The parser accepts a sign and more digits in the year.
        let shape =
            |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
        if day.len() != 10 || !day.bytes().enumerate().all(shape) {
            return None;
        }
        let date = Date::parse(day, format_description!("[year]-[month]-[day]")).ok()?;
        date.midnight().assume_utc().unix_timestamp().checked_mul(1_000).map(Millis)
    }

    /// RFC 3339 in UTC to the millisecond: `2026-03-01T09:30:00.250Z`.
    pub fn rfc3339(self) -> String {
        let t = self.utc();
        let (hour, minute, second, millis) = t.to_hms_milli();
        format!("{}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", self.date())
    }

    /// Short form for people, UTC: `2026-03-01 09:30`.
    pub fn short(self) -> String {
        let t = self.utc();
        format!("{} {:02}:{:02}", self.date(), t.hour(), t.minute())
    }

    /// The calendar day, UTC: `2026-03-01`.
    pub fn date(self) -> String {
        let t = self.utc();
        format!("{:04}-{:02}-{:02}", t.year(), u8::from(t.month()), t.day())
    }

    /// The day in short form, UTC: `30 Nov`.
    pub fn day(self) -> String {
        let t = self.utc();
        format!("{} {}", t.day(), &t.month().to_string()[..3])
    }

    /// The same instant in the calendar, which ends with the year 9999: later instants are its last one.
    fn utc(self) -> OffsetDateTime {
        let last = if self.0 < 0 { PrimitiveDateTime::MIN } else { PrimitiveDateTime::MAX };
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or_else(|_| last.assume_utc())
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `4 d`.
pub fn human_span(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..10 => format!("{}.{} s", s, ms % 1_000 / 100),
        10..60 => format!("{s} s"),
        60..3_600 => format!("{} min {:02} s", s / 60, s % 60),
        3_600..172_800 => format!("{} h {:02} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d", s / 86_400),
    }
}

/// Reads `500ms`, `90s`, `10m`, `10 min`, `2h`, `7d`, `2w` into milliseconds; `None` for anything else.
pub fn parse_span(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_agrees_with_known_days() {
        for (ms, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Millis(ms).rfc3339(), want);
        }
    }

    #[test]
    fn instants_beyond_the_calendar_are_its_ends() {
        assert_eq!(Millis(i64::MAX).rfc3339(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Millis(i64::MIN).date(), "-9999-01-01");
    }

    #[test]
    fn times_of_other_tools_are_read() {
        for (text, ms) in [
            ("2024-02-28T23:59:59.999999999Z", 1_709_164_799_999),
            ("2024-02-29T01:59:59.9+02:00", 1_709_164_799_900),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.9995Z", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ] {
            assert_eq!(Millis::parse_rfc3339(text), Some(Millis(ms)), "{text}");
        }
        for text in ["", "yesterday", "2024-02-30T00:00:00Z", "2024-02-28", "2024-02-28T23:59:59"] {
            assert_eq!(Millis::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn days_are_read_only_in_full() {
        assert_eq!(Millis::start_of_day("2024-02-29"), Some(Millis(1_709_164_800_000)));
        for text in
            ["2023-02-29", "2024-2-29", "24-02-29", "+024-02-29", "2024-13-01", "2024-02-290", "2024/02/29"]
        {
            assert_eq!(Millis::start_of_day(text), None, "{text}");
        }
    }

    #[test]
    fn spans_are_read() {
        for (text, ms) in [
            ("500ms", 500),
            ("24h", DAY_MS),
            (" 90 s ", 90_000),
            ("14d", 14 * DAY_MS),
            ("2w", 14 * DAY_MS),
            ("0s", 0),
        ] {
            assert_eq!(parse_span(text), Some(ms), "{text}");
        }
        for text in ["", "h", "24", "-1h", "1.5h", "99999999999999999999d", "1 year"] {
            assert_eq!(parse_span(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(ms in -62_135_596_800_000..253_402_300_800_000_i64) {
            proptest::prop_assert_eq!(Millis::parse_rfc3339(&Millis(ms).rfc3339()), Some(Millis(ms)));
        }
    }

    #[test]
    fn days_have_a_short_form() {
        assert_eq!(Millis(1_709_164_799_999).day(), "28 Feb");
        assert_eq!(Millis(1_709_164_800_000).day(), "29 Feb");
    }

    #[test]
    fn durations_are_formatted_for_people() {
        assert_eq!(human_span(420), "0.4 s");
        assert_eq!(human_span(12_900), "12 s");
        assert_eq!(human_span(185_000), "3 min 05 s");
        assert_eq!(human_span(7_800_000), "2 h 10 min");
        assert_eq!(human_span(400_000_000), "4 d");
    }

    #[test]
    fn a_duration_is_never_negative() {
        assert_eq!(Millis(5).since(Millis(9)), 0);
    }
}
