//! Text helpers of the parser: decode bytes, find lines, compare words despite different typography.
//! Independent of Markdown.

use domain::digest::sha256_hex;

/// The text of a file, and the problems found while decoding it.
pub(super) struct Decoded {
    /// The text; every line ends in `\n` alone, and there is no byte order mark.
    pub text: String,
    /// Byte offset in `text` of the first place that was not valid text, and the number of such places.
    pub damaged: Option<(usize, usize)>,
    /// Whether the bytes look like a binary file and not like text.
    pub binary: bool,
    /// Byte offset of the first line that was blanked because it is nested too deeply.
    pub too_deep: Option<usize>,
}

/// The number of list and quote markers at the beginning of a line.
const MOST_MARKERS: usize = 32;

/// The number of columns before a list or quote marker.
const MOST_INDENT: usize = 128;

/// Decodes UTF-8 (with or without byte order mark) and UTF-16 (with byte order mark). Never fails: invalid bytes
/// become U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let nuls = bytes.iter().take(8_192).filter(|b| **b == 0).count();
    let (text, binary) = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (String::from_utf8_lossy(rest).into_owned(), nuls > 0),
        [0xFF, 0xFE, rest @ ..] => (utf16(rest, u16::from_le_bytes), false),
        [0xFE, 0xFF, rest @ ..] => (utf16(rest, u16::from_be_bytes), false),
        _ => (String::from_utf8_lossy(bytes).into_owned(), nuls > 0),
    };
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    let (text, too_deep) = flatten(text);
    let wrong = text.matches('\u{FFFD}').count();
    let damaged = text.find('\u{FFFD}').map(|at| (at, wrong));
    Decoded { text, damaged, binary, too_deep }
}

/// Replaces lines that begin with too many markers by blanks, byte for byte so that offsets do not change.
/// After such a line, a Markdown parser would need one step per level for each further line.
fn flatten(text: String) -> (String, Option<usize>) {
    let mut first = None;
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if is_too_deep(line) {
            first = first.or(Some(at));
            out.push_str(&text[copied..at]);
            let body = line.trim_end_matches('\n');
            out.extend(std::iter::repeat_n(' ', body.len()));
            copied = at + body.len();
        }
        at += line.len();
    }
    if first.is_none() {
        return (text, None);
    }
    out.push_str(&text[copied..]);
    (out, first)
}

fn is_too_deep(line: &str) -> bool {
    let bytes = line.as_bytes();
    let (mut markers, mut columns, mut at) = (0, 0, 0);
    while let Some(byte) = bytes.get(at) {
        let digits = bytes[at..].iter().take(10).take_while(|b| b.is_ascii_digit()).count();
        let blank_at = |i: usize| bytes.get(i).is_none_or(|b| b.is_ascii_whitespace());
        let marker = match byte {
            b' ' => {
                columns += 1;
                at += 1;
                continue;
            }
            b'\t' => {
                columns += 4;
                at += 1;
                continue;
            }
            b'>' => 1,
            b'-' | b'*' | b'+' if blank_at(at + 1) => 1,
            b'0'..=b'9'
                if matches!(bytes.get(at + digits), Some(b'.' | b')')) && blank_at(at + digits + 1) =>
            {
                digits + 1
            }
            _ => return false,
        };
        markers += 1;
        at += marker;
        if markers > MOST_MARKERS || columns > MOST_INDENT {
            return true;
        }
    }
    false
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks(2).map(|pair| match pair {
        [a, b] => unit([*a, *b]),
        // Half a unit at the end is invalid: a lone surrogate decodes to U+FFFD.
        _ => 0xD800,
    });
    char::decode_utf16(units).map(|c| c.unwrap_or('\u{FFFD}')).collect()
}

/// The beginnings of lines, to convert byte offsets into line and column.
pub(super) struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    /// Indexes `text`.
    pub fn new(text: &str) -> LineIndex {
        let mut starts = vec![0];
        starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        LineIndex { starts }
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }

    /// Byte offset of the beginning of a line; of the last line for lines beyond the end.
    pub fn start_of(&self, line: usize) -> usize {
        let index = line.saturating_sub(1).min(self.starts.len() - 1);
        self.starts[index]
    }

    /// Line and column (in characters), both from 1.
    pub fn position(&self, text: &str, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.starts[line - 1];
        let column = text.get(start..offset.min(text.len())).map_or(1, |s| s.chars().count() + 1);
        (line, column)
    }
}

/// Lower case, every hyphen and dash as `-`, each run of white space as one blank:
/// to recognise words, never to show them.
pub(super) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}' => {
                out.push('-');
            }
            '\u{FF1A}' => out.push(':'),
            '\u{00AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' => {}
            c if c.is_whitespace() => {
                if !out.ends_with(' ') && !out.is_empty() {
                    out.push(' ');
                }
            }
            c => out.extend(c.to_lowercase()),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Each run of white space as one blank, none at the ends.
pub(super) fn squeeze(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// SHA-256 of the text with normalised white space.
pub(super) fn text_digest(text: &str) -> String {
    sha256_hex(squeeze(text).as_bytes())
}

/// A heading as part of an id: lowercase letters, digits and hyphens, at most 48 characters.
pub(super) fn slug(heading: &str) -> String {
    let mut out = String::new();
    for c in fold(heading).chars() {
        if out.chars().count() >= 48 {
            break;
        }
        if c.is_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    let slug = out.trim_end_matches('-');
    if slug.is_empty() { "section".to_owned() } else { slug.to_owned() }
}

/// At most `most` characters, with an ellipsis for the rest.
pub(super) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
    }
}

/// Whether `folded` contains `word` as a whole word.
pub(super) fn has_word(folded: &str, word: &str) -> bool {
    folded.split(|c: char| !c.is_alphanumeric()).any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_marks_and_line_endings_disappear() {
        assert_eq!(decode(b"\xEF\xBB\xBFa\r\nb\rc\n").text, "a\nb\nc\n");
        assert_eq!(decode(b"\xFF\xFE#\0 \0A\0").text, "# A");
        assert_eq!(decode(b"\xFE\xFF\0#\0 \0A").text, "# A");
        assert!(decode(b"\xFF\xFE#\0 ").damaged.is_some());
    }

    #[test]
    fn invalid_text_is_counted_with_its_place() {
        let decoded = decode(b"ok\n\xFFno\xFE");
        assert_eq!(decoded.damaged, Some((3, 2)));
        assert!(decode(b"\x7fELF\0\0").binary);
    }

    #[test]
    fn lines_nested_too_deeply_are_blanked_and_offsets_do_not_change() {
        let deep = format!("a\n{}é\nb", "> ".repeat(40));
        let decoded = decode(deep.as_bytes());
        assert_eq!(decoded.too_deep, Some(2));
        assert_eq!(decoded.text.len(), deep.len());
        assert_eq!(squeeze(&decoded.text), "a b");
        for fine in ["- - - - -", "    1. > * x", "echo >>>>>>", &" ".repeat(300)] {
            assert_eq!(decode(fine.as_bytes()).too_deep, None, "{fine}");
        }
    }

    #[test]
    fn positions_are_what_editors_show() {
        let text = "é\nab≥c\n";
        let lines = LineIndex::new(text);
        assert_eq!(lines.position(text, 0), (1, 1));
        assert_eq!(lines.position(text, 8), (2, 4));
        assert_eq!(lines.position(text, 10_000).0, 3);
    }

    #[test]
    fn typography_does_not_hide_words() {
        assert_eq!(fold("  Go/No\u{2011}Go \u{2014}\u{00A0}Check:"), "go/no-go - check:");
        assert_eq!(slug("Deployment (Quick Reference) 🚀"), "deployment-quick-reference");
        assert_eq!(slug("🚀"), "section");
        assert_eq!(shorten("abcdef", 3), "abc…");
    }
}
