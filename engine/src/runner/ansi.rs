//! From the bytes of a line to typed spans. Colours become attributes; every other escape code is dropped;
//! characters that hide or turn text are made visible.

use domain::log::Span;

/// Most text attributes and colours; what follows is in the style of the last.
const SPANS_MAX: usize = 2_000;

/// Turns one line, already cut to the length to show, into spans.
pub(super) fn spans(line: &[u8]) -> Vec<Span> {
    let text = String::from_utf8_lossy(line);
    let mut out = Vec::new();
    let mut style = Span::default();
    let mut rest = text.as_ref();
    while let Some(c) = rest.chars().next() {
        if c == '\u{1b}' {
            let (code, after) = escape(rest);
            if let Some(params) = code.filter(|_| out.len() < SPANS_MAX) {
                let mut next = style.clone();
                select(&mut next, params);
                if !same_style(&next, &style) {
                    flush(&mut out, &mut style);
                    next.text = String::new();
                    style = next;
                }
            }
            rest = after;
            continue;
        }
        show(c, &mut style.text);
        rest = &rest[c.len_utf8()..];
    }
    flush(&mut out, &mut style);
    out
}

fn flush(out: &mut Vec<Span>, style: &mut Span) {
    if !style.text.is_empty() {
        out.push(style.clone());
        style.text.clear();
    }
}

fn same_style(a: &Span, b: &Span) -> bool {
    (a.fg, a.bold, a.dim, a.italic, a.underline) == (b.fg, b.bold, b.dim, b.italic, b.underline)
}

/// Takes one escape code off the front: the parameters if it selects a style, and what follows it.
fn escape(text: &str) -> (Option<&str>, &str) {
    let body = text.get(1..).unwrap_or_default();
    match body.chars().next() {
        Some('[') => {
            let body = &body[1..];
            let Some(end) = body.find(|c: char| !matches!(c, '\u{20}'..='\u{3f}')) else {
                return (None, "");
            };
            let is_final = body[end..].starts_with(|c: char| matches!(c, '\u{40}'..='\u{7e}'));
            if !is_final {
                return (None, &body[end..]);
            }
            (body[end..].starts_with('m').then(|| &body[..end]), &body[end + 1..])
        }
        // Strings for the terminal: titles, links, clipboard. They end at BEL or ESC \, or with the line.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let bell = body.find('\u{7}').map(|at| (at, at + 1));
            let st = body.find("\u{1b}\\").map(|at| (at, at + 2));
            let end = [bell, st].into_iter().flatten().min();
            (None, end.map_or("", |(_, after)| &body[after..]))
        }
        Some('\u{20}'..='\u{2f}') => {
            let after = body.trim_start_matches(|c: char| matches!(c, '\u{20}'..='\u{2f}'));
            let skip =
                after.chars().next().filter(|c| matches!(c, '\u{30}'..='\u{7e}')).map_or(0, char::len_utf8);
            (None, &after[skip..])
        }
        Some('\u{30}'..='\u{7e}') => (None, &body[1..]),
        _ => (None, body),
    }
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

fn show(c: char, out: &mut String) {
    match c {
        '\t' => out.push(c),
        '\u{0}'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or(' ')),
        '\u{7f}' => out.push('\u{2421}'),
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => out.push_str(&format!("<U+{:04X}>", u32::from(c))),
        _ => out.push(c),
    }
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
            plain("a\u{202e}b\u{0}\u{8}\u{7f}\u{9b}31m\tc"),
            "a<U+202E>b\u{2400}\u{2408}\u{2421}<U+009B>31m\tc"
        );
        assert_eq!(plain("\u{1f468}\u{200d}\u{1f469} \u{fc}"), "\u{1f468}\u{200d}\u{1f469} \u{fc}");
        assert_eq!(spans(b"a\xffb")[0].text, "a\u{fffd}b");
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
