//! A line of a run's log as people see it: text with a few typed attributes, never markup.
//!
//! This module knows nothing of files, escape codes or redaction: the engine has dealt with those before a
//! line takes this form, so a page may put every span into a text node and nothing else.

use serde::{Deserialize, Serialize};

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The command's standard output.
    Out,
    /// The command's standard error.
    Err,
    /// Stagegate's own words about the run.
    Notice,
}

/// A stretch of text in one style. The text holds no control characters besides the tab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// What to show, as plain text.
    #[serde(rename = "t")]
    pub text: String,
    /// Foreground colour as an index into the 256-colour palette; `None` is the default colour.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub fg: Option<u8>,
    /// Heavier strokes.
    #[serde(rename = "b", default, skip_serializing_if = "is_false")]
    pub bold: bool,
    /// Less contrast.
    #[serde(rename = "d", default, skip_serializing_if = "is_false")]
    pub dim: bool,
    /// Slanted.
    #[serde(rename = "i", default, skip_serializing_if = "is_false")]
    pub italic: bool,
    /// Underlined.
    #[serde(rename = "u", default, skip_serializing_if = "is_false")]
    pub underline: bool,
}

/// One line of a log. Lines are numbered from 0 in the order in which they were stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number, from 0.
    pub n: u64,
    /// When its first byte was seen: milliseconds since the run started.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// Where it came from.
    #[serde(rename = "s")]
    pub stream: Stream,
    /// Its text, in order.
    #[serde(rename = "p")]
    pub spans: Vec<Span>,
    /// True when the line is longer than what `spans` holds; the raw log has the rest.
    #[serde(rename = "cut", default, skip_serializing_if = "is_false")]
    pub truncated: bool,
}

impl LogLine {
    /// The line's text without its styles.
    pub fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_travels_in_few_bytes_and_returns_unchanged() {
        let line = LogLine {
            n: 7,
            at_ms: 12,
            stream: Stream::Out,
            spans: vec![Span { text: "ok".into(), ..Span::default() }],
            truncated: false,
        };
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(json, r#"{"n":7,"at":12,"s":"out","p":[{"t":"ok"}]}"#);
        assert_eq!(serde_json::from_str::<LogLine>(&json).unwrap(), line);
    }
}
