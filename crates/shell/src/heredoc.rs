//! Here-documents: what is written after `<<`, and where the text ends.

use super::cursor::{Cursor, ends_word};

/// A here-document that was announced or is being read.
#[derive(Debug)]
pub(crate) struct Heredoc {
    delimiter: String,
    strip_tabs: bool,
    /// Its text holds no expansions.
    pub(crate) quoted: bool,
}

impl Heredoc {
    /// Reads the text after `<<`.
    pub(crate) fn announced(cursor: &mut Cursor<'_>) -> Option<Heredoc> {
        let strip_tabs = cursor.rest_starts("-");
        if strip_tabs {
            cursor.next();
        }
        cursor.take(|c| c == ' ' || c == '\t');
        let (delimiter, quoted) = match cursor.peek() {
            Some(q @ ('\'' | '"')) => {
                cursor.next();
                let word = cursor.take(|c| c != q);
                cursor.next();
                (word, true)
            }
            Some('\\') => {
                cursor.next();
                (cursor.take(|c| !ends_word(c)), true)
            }
            _ => (cursor.take(|c| !ends_word(c)), false),
        };
        let delimiter = delimiter.to_owned();
        (!delimiter.is_empty()).then_some(Heredoc { delimiter, strip_tabs, quoted })
    }

    /// Whether this line is the last one.
    pub(crate) fn ends_at(&self, line: &str) -> bool {
        let body = if self.strip_tabs { line.trim_start_matches('\t') } else { line };
        body == self.delimiter
    }
}
