//! Characters that hide, reorder or imitate text, and how they are shown.
//!
//! A text that people act on must look like what it is: a command with a right-to-left override is displayed in a
//! different order than it runs, and a zero-width space makes two names different that look equal. Such characters are
//! replaced by a visible note, `⟨U+202E⟩`, wherever a text is shown. What is stored and run is not changed.

use std::borrow::Cow;

/// What kind of text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sentences and names. Joined emoji, and joiners between letters of Arabic and Indic scripts, are allowed.
    Prose,
    /// Commands, code and logs: no invisible characters and no spaces except the plain space are allowed.
    Code,
}

/// A part of a text as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text to be shown as it is.
    Text(&'a str),
    /// A character that is invisible, or changes how its neighbours are displayed.
    Hidden(char),
}

/// Whether a character is invisible or changes the order of its neighbours, in every kind of text. Tabs and line
/// breaks are not among them.
pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character looks like a space but is not one for a shell.
fn is_odd_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Emoji and similar characters, which joiners and variation selectors may follow and precede.
fn is_emoji(c: char) -> bool {
    matches!(c,
        '#' | '*' | '0'..='9' | '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2194}'..='\u{21aa}' | '\u{231a}'..='\u{23ff}' | '\u{24c2}' | '\u{25aa}'..='\u{27bf}'
        | '\u{2934}'..='\u{2935}' | '\u{2b05}'..='\u{2b55}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

/// Letters of scripts in which a joiner or non-joiner between two letters is part of the spelling.
fn is_joined_letter(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{64f}' | '\u{66e}'..='\u{6d3}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8c9}'
        | '\u{900}'..='\u{dff}')
}

/// Whether the hidden character `c` is part of the spelling between its neighbours.
fn belongs(before: &str, c: char, after: Option<char>) -> bool {
    let previous = before.chars().next_back();
    // The emoji before a variation selector, or before the joiner that follows one.
    let emoji_before = || {
        let stem = before.trim_end_matches(['\u{fe0e}', '\u{fe0f}']);
        before.len() - stem.len() <= 3 && stem.chars().next_back().is_some_and(is_emoji)
    };
    match c {
        '\u{fe0e}' | '\u{fe0f}' => previous.is_some_and(is_emoji),
        '\u{200d}' if after.is_some_and(is_emoji) && emoji_before() => {
            // A digit or `#` is an emoji only together with the characters after it, and is never joined.
            !previous.is_some_and(|c| c.is_ascii()) && !after.is_some_and(|c| c.is_ascii())
        }
        '\u{200c}' | '\u{200d}' => {
            previous.is_some_and(is_joined_letter) && (c == '\u{200d}' || after.is_some_and(is_joined_letter))
        }
        _ => false,
    }
}

/// Splits a text into parts that are shown unchanged and characters that must be made visible. All parts together,
/// including each [`Part::Hidden`], are the text.
pub fn parts(text: &str, kind: Kind) -> Vec<Part<'_>> {
    let mut out = Vec::new();
    let mut from = 0;
    for (at, c) in text.char_indices() {
        let hidden = match kind {
            Kind::Code => is_hidden(c) || is_odd_space(c),
            Kind::Prose => {
                is_hidden(c) && {
                    let (before, rest) = text.split_at(at);
                    let after = rest.chars().nth(1);
                    // Browsers end lines of form fields with both characters.
                    let ends_line = c == '\r' && after == Some('\n');
                    !ends_line && !belongs(before, c, after)
                }
            }
        };
        if hidden {
            if from < at {
                out.push(Part::Text(&text[from..at]));
            }
            out.push(Part::Hidden(c));
            from = at + c.len_utf8();
        }
    }
    if from < text.len() {
        out.push(Part::Text(&text[from..]));
    }
    out
}

/// Whether a text may contain something that [`parts`] would not show unchanged. Fast for long texts without such
/// characters.
pub fn is_suspicious(text: &str) -> bool {
    let odd =
        |bytes: &[u8]| bytes.iter().fold(false, |odd, byte| odd | (byte.wrapping_sub(b' ') > b'~' - b' '));
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = rest.as_bytes().chunks(32).take_while(|chunk| !odd(chunk)).count() * 32;
        let from = (at + plain).min(text.len());
        // One block, extended to the end of its last character.
        let mut to = (from + 32).min(text.len());
        while !text.is_char_boundary(to) {
            to += 1;
        }
        let block = text.get(from..to).unwrap_or_default();
        if block.chars().any(|c| c != '\r' && (is_hidden(c) || is_odd_space(c))) {
            return true;
        }
        at = to;
    }
    text.contains('\r')
}

/// The text with every hidden character replaced by its note.
pub fn visible(text: &str, kind: Kind) -> Cow<'_, str> {
    if !is_suspicious(text) {
        return Cow::Borrowed(text);
    }
    let parts = parts(text, kind);
    if let [Part::Text(_)] = parts.as_slice() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Hidden(c) => out.push_str(&note(c)),
        }
    }
    Cow::Owned(out)
}

/// The note that replaces a hidden character: `⟨U+202E⟩`.
pub fn note(c: char) -> String {
    format!("\u{27e8}U+{:04X}\u{27e9}", u32::from(c))
}

/// The name of a hidden character, for a tooltip.
pub fn name(c: char) -> &'static str {
    match c {
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => "Control character",
        '\u{ad}' => "Soft hyphen",
        '\u{200b}' => "Zero-width space",
        '\u{200c}' => "Zero-width non-joiner",
        '\u{200d}' => "Zero-width joiner",
        '\u{200e}' => "Left-to-right mark",
        '\u{200f}' => "Right-to-left mark",
        '\u{61c}' => "Arabic letter mark",
        '\u{2028}' => "Line separator",
        '\u{2029}' => "Paragraph separator",
        '\u{202a}' => "Left-to-right embedding",
        '\u{202b}' => "Right-to-left embedding",
        '\u{202c}' => "Pop directional formatting",
        '\u{202d}' => "Left-to-right override",
        '\u{202e}' => "Right-to-left override",
        '\u{2060}' => "Word joiner",
        '\u{2066}' => "Left-to-right isolate",
        '\u{2067}' => "Right-to-left isolate",
        '\u{2068}' => "First strong isolate",
        '\u{2069}' => "Pop directional isolate",
        '\u{feff}' => "Zero-width no-break space (byte order mark)",
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            "Variation selector"
        }
        '\u{e0000}'..='\u{e007f}' => "Tag character",
        c if is_odd_space(c) => "Space other than U+0020",
        _ => "Invisible character",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_either_visible_or_noted() {
        // All of Unicode, compared with the standard's lists of characters that hide or reorder text.
        for code in 0..=0x10_ffff {
            let Some(c) = char::from_u32(code) else { continue };
            let control = c.is_control() && !matches!(c, '\t' | '\n');
            let turns = matches!(code, 0x202a..=0x202e | 0x2066..=0x2069 | 0x200e | 0x200f | 0x61c);
            let no_width = matches!(code, 0x200b..=0x200d | 0x2060..=0x2064 | 0xfeff | 0xad | 0x34f | 0x180e);
            let fills = matches!(code, 0x115f | 0x1160 | 0x3164 | 0xffa0 | 0x2800);
            let tags = matches!(code, 0xe0001 | 0xe0020..=0xe007f | 0xe0100..=0xe01ef | 0xfe00..=0xfe0f);
            let text = format!("a{c}b");
            if control || turns || no_width || fills || tags || matches!(code, 0x2028 | 0x2029) {
                let want = format!("a\u{27e8}U+{code:04X}\u{27e9}b");
                assert_eq!(visible(&text, Kind::Code), want);
                assert_eq!(visible(&text, Kind::Prose), want);
                assert!(!name(c).is_empty() && is_suspicious(&text));
                assert!(is_suspicious(&format!(
                    "{}{c}",
                    "x\u{2192}".repeat(usize::try_from(code % 40).unwrap())
                )));
            }
            if c.is_alphanumeric() && !fills {
                assert_eq!(visible(&text, Kind::Prose), text, "U+{code:04X}");
                assert_eq!(visible(&text, Kind::Code), text, "U+{code:04X}");
            }
            if c.is_whitespace() && !matches!(c, ' ' | '\t' | '\n') {
                assert_ne!(visible(&text, Kind::Code), text, "U+{code:04X}");
            }
            let back: String = parts(&text, Kind::Code)
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => text.to_owned(),
                    Part::Hidden(c) => c.to_string(),
                })
                .collect();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn joiners_are_part_of_emoji_and_of_some_scripts_in_prose_and_never_in_commands() {
        let family = "ok \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{2764}\u{fe0f}\u{200d}\u{1f525} 1\u{fe0f}\u{20e3}";
        assert_eq!(visible(family, Kind::Prose), family);
        assert!(visible(family, Kind::Code).contains("\u{27e8}U+200D\u{27e9}"));
        let persian = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}";
        assert_eq!(visible(persian, Kind::Prose), persian);
        for hidden in ["ad\u{200d}min", "\u{1f468}\u{200d}x", "1\u{200d}2", "a\u{fe0f}", "\u{200d}\u{1f468}"]
        {
            assert_ne!(visible(hidden, Kind::Prose), hidden, "{hidden:?}");
        }
    }

    #[test]
    fn a_command_with_reordering_characters_is_shown_in_its_real_order() {
        assert_eq!(
            visible("echo \u{202e}# fr- mr\u{202c}\u{a0}x", Kind::Code),
            "echo \u{27e8}U+202E\u{27e9}# fr- mr\u{27e8}U+202C\u{27e9}\u{27e8}U+00A0\u{27e9}x"
        );
        assert_eq!(visible("typed\r\nlines\r", Kind::Prose), "typed\r\nlines\u{27e8}U+000D\u{27e9}");
        assert!(matches!(visible("plain \u{2192} text\n", Kind::Code), Cow::Borrowed(_)));
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back_whole_and_nothing_hidden_is_left_in_code(
            text in "(\\PC|[\u{0}-\u{1f}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{2069}\u{feff}\u{fe0f}\u{1f468}]){0,60}"
        ) {
            for kind in [Kind::Prose, Kind::Code] {
                let back: String = parts(&text, kind)
                    .into_iter()
                    .map(|part| match part {
                        Part::Text(text) => text.to_owned(),
                        Part::Hidden(c) => c.to_string(),
                    })
                    .collect();
                assert_eq!(back, text);
            }
            let shown = visible(&text, Kind::Code);
            assert!(!shown.chars().any(|c| is_hidden(c) || is_odd_space(c)), "{shown:?}");
            assert_eq!(is_suspicious(&text), text.contains('\r') || shown != text);
        }
    }
}
