//! Class names and the timestamp of a log line. The server's static tail and the browser's terminal
//! share this module, so that both look the same. It depends on no page and no element.

/// The class of a span's colour. The styles have 16 colours; the other 240 are mapped to the nearest one.
pub fn colour_class(index: u8) -> &'static str {
    const CLASSES: [&str; 16] = [
        "fg-0", "fg-1", "fg-2", "fg-3", "fg-4", "fg-5", "fg-6", "fg-7", "fg-8", "fg-9", "fg-10", "fg-11",
        "fg-12", "fg-13", "fg-14", "fg-15",
    ];
    let nearest = match index {
        0..=15 => index,
        16..=231 => cube(index - 16),
        232..=237 => 0,
        238..=243 => 8,
        244..=250 => 7,
        251..=255 => 15,
    };
    CLASSES[usize::from(nearest)]
}

/// The nearest of the 16 colours to a point of the 6 × 6 × 6 cube.
fn cube(point: u8) -> u8 {
    let (red, green, blue) = (point / 36, point / 6 % 6, point % 6);
    let most = red.max(green).max(blue);
    if red == green && green == blue {
        return match most {
            0 => 0,
            1 | 2 => 8,
            3 | 4 => 7,
            _ => 15,
        };
    }
    // A channel counts if it has more than half of the strongest one.
    let bit = |channel: u8, weight: u8| if channel * 2 > most { weight } else { 0 };
    let hue = bit(red, 1) | bit(green, 2) | bit(blue, 4);
    if most > 3 { hue + 8 } else { hue }
}

/// How a span looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanStyle {
    /// Index into the 256-colour palette; `None` is the default colour.
    pub colour: Option<u8>,
    /// Bold.
    pub bold: bool,
    /// Dimmed.
    pub dim: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
}

/// The classes of a span, in one string.
pub fn span_class(style: SpanStyle) -> String {
    let mut class = String::new();
    let classes = [
        style.colour.map(colour_class),
        style.bold.then_some("bold"),
        style.dim.then_some("dim"),
        style.italic.then_some("italic"),
        style.underline.then_some("underline"),
    ];
    for name in classes.into_iter().flatten() {
        if !class.is_empty() {
            class.push(' ');
        }
        class.push_str(name);
    }
    class
}

/// The classes of a line; `stream` is `out`, `err` or `notice`.
pub fn line_class(stream: &str, cut: bool) -> &'static str {
    match (stream, cut) {
        ("err", false) => "log-line log-line--err",
        ("err", true) => "log-line log-line--err log-line--cut",
        ("notice", false) => "log-line log-line--notice",
        ("notice", true) => "log-line log-line--notice log-line--cut",
        (_, false) => "log-line",
        (_, true) => "log-line log-line--cut",
    }
}

/// Time since the start of the run, in hours, minutes, seconds and milliseconds: `0:01.250`, `1:02:03.004`.
pub fn clock(ms: u64) -> String {
    let (hours, minutes, seconds, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    if hours == 0 {
        format!("{minutes}:{seconds:02}.{rest:03}")
    } else {
        format!("{hours}:{minutes:02}:{seconds:02}.{rest:03}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_the_cube_are_mapped_to_the_nearest_of_16() {
        for (index, class) in [
            (9, "fg-9"),
            (196, "fg-9"),
            (46, "fg-10"),
            (21, "fg-12"),
            (226, "fg-11"),
            (16, "fg-0"),
            (231, "fg-15"),
            (124, "fg-1"),
        ] {
            assert_eq!(colour_class(index), class, "{index}");
        }
        for index in 0..=255 {
            assert!(colour_class(index).starts_with("fg-"));
        }
    }

    #[test]
    fn a_plain_span_has_no_class_and_a_styled_one_has_all() {
        assert_eq!(span_class(SpanStyle::default()), "");
        let all = SpanStyle { colour: Some(2), bold: true, dim: true, italic: true, underline: true };
        assert_eq!(span_class(all), "fg-2 bold dim italic underline");
        assert_eq!(span_class(SpanStyle { italic: true, ..SpanStyle::default() }), "italic");
    }

    #[test]
    fn the_clock_shows_hours_only_from_one_hour_on() {
        assert_eq!(clock(1_250), "0:01.250");
        assert_eq!(clock(754_003), "12:34.003");
        assert_eq!(clock(3_723_004), "1:02:03.004");
    }
}
