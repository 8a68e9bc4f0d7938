//! A line of a run's log as it is shown: text with a few typed attributes, never markup.
//!
//! Escape codes are removed and secrets are masked before a line gets this form. A page must show each span
//! as a text node.

use serde::{Deserialize, Serialize};

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The command's standard output.
    Out,
    /// The command's standard error.
    Err,
    /// A message of Stagegate about the run.
    Notice,
}

/// Text in one style. It contains no control characters except tabs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// What to show, as plain text.
    #[serde(rename = "t")]
    pub text: String,
    /// Foreground colour as an index into the 256-colour palette; `None` is the default colour.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub fg: Option<u8>,
    /// Bold.
    #[serde(rename = "b", default, skip_serializing_if = "is_false")]
    pub bold: bool,
    /// Dimmed.
    #[serde(rename = "d", default, skip_serializing_if = "is_false")]
    pub dim: bool,
    /// Italic.
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
    /// When its first byte was read: milliseconds since the run started.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// Where it came from.
    #[serde(rename = "s")]
    pub stream: Stream,
    /// Its text, in order.
    #[serde(rename = "p")]
    pub spans: Vec<Span>,
    /// True if the line is longer than `spans`; the raw log contains all of it.
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
    fn a_plain_line_has_compact_json_and_is_read_back_unchanged() {
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
