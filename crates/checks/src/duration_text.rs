//! Durations as written in stagegate.toml: `90s`, `10m`, `24h`, `14d`.

/// Milliseconds of a written duration; `None` when the text is not a duration.
pub(super) fn parse_span(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..split].parse().ok()?;
    let unit = match text[split..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        assert_eq!(parse_span("24h"), Some(86_400_000));
        assert_eq!(parse_span(" 90 s "), Some(90_000));
        assert_eq!(parse_span("14d"), Some(1_209_600_000));
        for bad in ["", "h", "24", "-1h", "1.5h", "99999999999999999999d", "1 year"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }
}
