//! Durations in a configuration: `90s`, `10m`, `7d`.

/// Reads `500ms`, `90s`, `10m`, `2h`, `7d` into milliseconds. `None` for anything else, for zero,
/// and for more than ten years.
pub fn parse_duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = number.checked_mul(unit)?;
    (1..=3_650 * 86_400_000).contains(&ms).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, ms) in
            [("500ms", 500), ("90s", 90_000), ("10m", 600_000), ("2 h", 7_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for text in ["", "10", "0s", "-1s", "1.5h", "1w", "99999999999999999999s", "9999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
