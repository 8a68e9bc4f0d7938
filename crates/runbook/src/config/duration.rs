//! Durations in a configuration: `90s`, `10m`, `7d`.

use domain::time::{DAY_MS, parse_span};

/// Reads a duration into milliseconds. `None` for anything else, for zero, and for more than ten years.
pub fn parse_duration(text: &str) -> Option<u64> {
    parse_span(text).filter(|ms| (1..=3_650 * DAY_MS).contains(ms))
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, ms) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("10m", 600_000),
            ("2 h", 7_200_000),
            ("7d", 604_800_000),
            ("1w", 604_800_000),
        ] {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for text in ["", "10", "0s", "-1s", "1.5h", "99999999999999999999s", "9999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
