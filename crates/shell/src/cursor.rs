//! A position within the characters of one line.

pub(crate) struct Cursor<'a> {
    pub(crate) line: &'a str,
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    pub(crate) fn rest_starts(&self, with: &str) -> bool {
        self.rest().starts_with(with)
    }

    /// Takes the characters that match `wanted`.
    pub(crate) fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
        &self.line[start..self.at]
    }
}

pub(crate) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What separates words in bash; other blanks, such as the no-break space, belong to a word. The carriage return is left
/// over from files with other line ends.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

pub(crate) fn ends_word(c: char) -> bool {
    is_blank(c) || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>')
}
