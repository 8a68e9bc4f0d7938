//! Converts the bytes of a line to typed spans. Colours become attributes; every other escape code is dropped;
//! characters that hide or reorder text are made visible.

use domain::log::Span;
use domain::visible::{Kind, visible};

use secrets::{Token, token};

/// Most spans with attributes or colours; later text keeps the last style.
const SPANS_MAX: usize = 2_000;

/// Turns one line, already cut to the length to show, into spans.
pub(super) fn spans(line: &[u8]) -> Vec<Span> {
    let mut out = Vec::new();
    let mut style = Span::default();
    // Bytes in the current style.
    let mut shown = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let len = match token(rest, true) {
            Token::Plain(len) | Token::Hidden(len) => {
                shown.extend_from_slice(&rest[..len]);
                len
            }
            Token::Style(len, (from, to)) => {
                let params = std::str::from_utf8(&rest[from..to]).unwrap_or_default();
                if out.len() < SPANS_MAX {
                    let mut next = style.clone();
                    select(&mut next, params);
                    if !same_style(&next, &style) {
                        flush(&mut out, &style, &mut shown);
                        style = next;
                    }
                }
                len
            }
            // A line break within a line is a carriage return; the reader has handled it.
            Token::Break(len) | Token::Code(len) | Token::Text(len, _) => len,
            Token::Unfinished => rest.len(),
        };
        rest = rest.get(len..).unwrap_or_default();
    }
    flush(&mut out, &style, &mut shown);
    out
}

fn flush(out: &mut Vec<Span>, style: &Span, shown: &mut Vec<u8>) {
    if !shown.is_empty() {
        let text = String::from_utf8_lossy(shown);
        let text = visible(&text, Kind::Prose).into_owned();
        out.push(Span { text, ..style.clone() });
        shown.clear();
    }
}

fn same_style(a: &Span, b: &Span) -> bool {
    (a.fg, a.bold, a.dim, a.italic, a.underline) == (b.fg, b.bold, b.dim, b.italic, b.underline)
}

fn select(style: &mut Span, params: &str) {
    let mut codes = params
        .split([';', ':'])
        .map(|code| if code.is_empty() { 0 } else { code.parse().unwrap_or(u16::MAX) });
    while let Some(code) = codes.next() {
        match code {
            0 => *style = Span::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            3 => style.italic = true,
            4 => style.underline = true,
            22 => (style.bold, style.dim) = (false, false),
            23 => style.italic = false,
            24 => style.underline = false,
            30..=37 => style.fg = u8::try_from(code - 30).ok(),
            90..=97 => style.fg = u8::try_from(code - 90 + 8).ok(),
            39 => style.fg = None,
            38 | 48 | 58 => {
                let colour = match codes.next() {
                    Some(5) => codes.next().and_then(|index| u8::try_from(index).ok()),
                    Some(2) => {
                        let mut part = || codes.next().map_or(0, |value| value.min(255));
                        Some(nearest(part(), part(), part()))
                    }
                    _ => None,
                };
                if code == 38 {
                    style.fg = colour.or(style.fg);
                }
            }
            _ => {}
        }
    }
}

/// The nearest colour of the 6×6×6 cube in the 256-colour palette.
fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    let step = |value: u16| {
        if value < 48 {
            0
        } else if value < 115 {
            1
        } else {
            (value - 35) / 40
        }
    };
    u8::try_from(16 + 36 * step(red) + 6 * step(green) + step(blue)).unwrap_or(15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str) -> String {
        spans(line.as_bytes()).iter().map(|span| span.text.as_str()).collect()
    }

    #[test]
    fn colours_become_attributes() {
        let got = spans(b"a \x1b[1;31mred\x1b[0;4m u\x1b[m \x1b[38;5;200mx\x1b[38;2;255;0;0my\x1b[39;92mz");
        let shown: Vec<_> = got.iter().map(|s| (s.text.as_str(), s.fg, s.bold, s.underline)).collect();
        assert_eq!(
            shown,
            [
                ("a ", None, false, false),
                ("red", Some(1), true, false),
                (" u", None, false, true),
                (" ", None, false, false),
                ("x", Some(200), false, false),
                ("y", Some(196), false, false),
                ("z", Some(10), false, false),
            ]
        );
    }

    #[test]
    fn other_escape_codes_leave_no_trace() {
        assert_eq!(plain("a\x1b[2K\x1b[1Gb\x1b[?25lc\x1b(Bd\x1b7e"), "abcde");
        assert_eq!(plain("a\x1b]8;;https://x\x1b\\link\x1b]8;;\x07b\x1bPq#\x1b\\c"), "alinkbc");
        assert_eq!(plain("a\x1b]52;c;aGk="), "a");
        assert_eq!(plain("a\x1b[31"), "a");
        assert_eq!(plain("a\x1b"), "a");
    }

    #[test]
    fn what_hides_or_turns_text_is_shown() {
        assert_eq!(
            plain("a\u{202e}b\u{0}\u{8}\u{7f}\u{85}\tc"),
            "a\u{27e8}U+202E\u{27e9}b\u{27e8}U+0000\u{27e9}\u{27e8}U+0008\u{27e9}\u{27e8}U+007F\u{27e9}\u{27e8}U+0085\u{27e9}\tc"
        );
        assert_eq!(plain("\u{1f468}\u{200d}\u{1f469} \u{fc}"), "\u{1f468}\u{200d}\u{1f469} \u{fc}");
        assert_eq!(spans(b"a\xffb")[0].text, "a\u{fffd}b");
    }

    #[test]
    fn codes_of_the_c1_set_are_the_same_codes() {
        let got = spans("a\u{9b}31mb\u{9d}0;title\u{9c}c\u{90}q\u{9c}".as_bytes());
        let shown: Vec<_> = got.iter().map(|span| (span.text.as_str(), span.fg)).collect();
        assert_eq!(shown, [("a", None), ("bc", Some(1))]);
        assert_eq!(plain("a\x1b_apc\x1b\\b\x1b^pm\x07c\x1bXsos\x18d\x1b]0;cut\x1b[1me"), "abcde");
        let long = format!("a\x1b]0;{}b", "x".repeat(9_000));
        assert!(plain(&long).ends_with("xb"), "an unterminated string must not hide text");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_no_control_character_passes(
            bytes in proptest::collection::vec(proptest::prop_oneof![
                proptest::prelude::any::<u8>(), proptest::sample::select(b"\x1b[];m0123:\\P(\x07".to_vec())
            ], 0..120)
        ) {
            for span in spans(&bytes) {
                assert!(span.text.chars().all(|c| c == '\t' || !c.is_control()), "{:?}", span.text);
                assert!(!span.text.is_empty());
            }
        }
    }
}
