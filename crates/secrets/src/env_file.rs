//! The format of env files, by the rules of Compose. Errors name lines and keys, never values.

use std::collections::BTreeMap;

use super::references::fill;

/// Why a text is not an env file. Lines count from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvSyntaxError {
    /// It is not UTF-8 text.
    #[error("line {line} is not UTF-8 text")]
    NotText {
        /// Where.
        line: usize,
    },
    /// A line that is not an assignment.
    #[error("line {line} has no '='")]
    NoAssignment {
        /// Where.
        line: usize,
    },
    /// The text before the `=` is not the name of a variable.
    #[error("line {line} does not begin with the name of a variable")]
    BadKey {
        /// Where.
        line: usize,
    },
    /// A quote was opened and not closed.
    #[error("the quote opened in line {line} ({key}) is not closed")]
    OpenQuote {
        /// Where it was opened.
        line: usize,
        /// Of which variable.
        key: String,
    },
    /// Something follows the closing quote.
    #[error("text follows the closing quote in line {line} ({key})")]
    AfterQuote {
        /// Where.
        line: usize,
        /// Of which variable.
        key: String,
    },
    /// A value with a NUL byte cannot be given to a process.
    #[error("the value in line {line} ({key}) contains a NUL byte")]
    Nul {
        /// Where.
        line: usize,
        /// Of which variable.
        key: String,
    },
}

impl EnvSyntaxError {
    /// The error in a stable form: its kind, and the variable if there is one.
    pub fn identity(&self) -> Vec<String> {
        let (kind, key) = match self {
            Self::NotText { .. } => ("not-text", None),
            Self::NoAssignment { .. } => ("no-assignment", None),
            Self::BadKey { .. } => ("bad-key", None),
            Self::OpenQuote { key, .. } => ("open-quote", Some(key)),
            Self::AfterQuote { key, .. } => ("after-quote", Some(key)),
            Self::Nul { key, .. } => ("nul", Some(key)),
        };
        std::iter::once(kind.to_owned()).chain(key.cloned()).collect()
    }
}

/// One assignment.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub key: String,
    /// Its value, with quotes removed and references resolved.
    pub value: String,
    /// The value before references were resolved.
    pub raw: String,
    /// Its line, from 1.
    pub line: usize,
}

impl std::fmt::Debug for EnvVar {
    // Values stay out of debug output, which may end up in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvVar").field("key", &self.key).field("line", &self.line).finish_non_exhaustive()
    }
}

/// The values of a stack, as its env source gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvValues {
    /// Its assignments in order. A name may occur more than once; the last counts.
    pub vars: Vec<EnvVar>,
}

impl EnvValues {
    /// Parses the text of an env file: the copy of a release, an example, a file that a service names. The values of
    /// the stack come from [`EnvSource::values`](crate::EnvSource::values).
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvSyntaxError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            EnvSyntaxError::NotText { line: 1 + before.iter().filter(|byte| **byte == b'\n').count() }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let mut file = Self::default();
        let mut rest = Rest { text: &text, line: 1 };
        while let Some(var) = rest.next_var(&file)? {
            file.vars.push(var);
        }
        Ok(file)
    }

    /// The variables as commands get them.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.vars.iter().map(|var| (var.key.clone(), var.value.clone())).collect()
    }

    /// The value of a variable.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.vars.iter().rev().find(|var| var.key == key).map(|var| var.value.as_str())
    }

    /// Assignments whose name was already assigned: the later one is used, which is rarely intended.
    pub fn repeated(&self) -> impl Iterator<Item = &EnvVar> {
        let again = |(at, var): (usize, &EnvVar)| self.vars.iter().take(at).any(|other| other.key == var.key);
        self.vars.iter().enumerate().filter(move |pair| again(*pair)).map(|(_, var)| var)
    }
}

struct Rest<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Rest<'a> {
    /// Takes the text up to `at`, skips `skip` further bytes, and counts lines.
    fn take(&mut self, at: usize, skip: usize) -> &'a str {
        let (head, tail) = self.text.split_at(at);
        let (gone, tail) = tail.split_at(skip.min(tail.len()));
        self.line += head.matches('\n').count() + gone.matches('\n').count();
        self.text = tail;
        head
    }

    fn take_line(&mut self) -> &'a str {
        let end = self.text.find('\n').unwrap_or(self.text.len());
        self.take(end, 1)
    }

    fn next_var(&mut self, before: &EnvValues) -> Result<Option<EnvVar>, EnvSyntaxError> {
        loop {
            if self.text.is_empty() {
                return Ok(None);
            }
            let end = self.text.find('\n').unwrap_or(self.text.len());
            let head = self.text[..end].trim();
            if !head.is_empty() && !head.starts_with('#') {
                break;
            }
            self.take_line();
        }
        let line = self.line;
        let end = self.text.find('\n').unwrap_or(self.text.len());
        let Some(equals) = self.text[..end].find('=') else {
            return Err(EnvSyntaxError::NoAssignment { line });
        };
        let name = self.take(equals, 1).trim();
        let key = match name.strip_prefix("export") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim(),
            _ => name,
        };
        if !is_key(key) {
            return Err(EnvSyntaxError::BadKey { line });
        }
        let key = key.to_owned();
        let blank = self.text.len() - self.text.trim_start_matches([' ', '\t']).len();
        self.take(0, blank);
        let (raw, value) = match self.text.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote, &key, line, before)?,
            _ => {
                let text = self.take_line();
                let raw = uncommented(text).trim_end().to_owned();
                let value = fill(&raw, |key| before.get(key));
                (raw, value)
            }
        };
        if value.contains('\0') {
            return Err(EnvSyntaxError::Nul { line, key });
        }
        Ok(Some(EnvVar { key, value, raw, line }))
    }

    fn quoted(
        &mut self,
        quote: char,
        key: &str,
        line: usize,
        before: &EnvValues,
    ) -> Result<(String, String), EnvSyntaxError> {
        self.take(0, 1);
        let mut escaped = false;
        let close = self.text.char_indices().find(|(_, c)| {
            let closes = *c == quote && !escaped;
            escaped = quote == '"' && *c == '\\' && !escaped;
            closes
        });
        let Some((at, _)) = close else {
            return Err(EnvSyntaxError::OpenQuote { line, key: key.to_owned() });
        };
        let raw = self.take(at, 1).to_owned();
        let last_line = self.line;
        let after = self.take_line().trim();
        if !after.is_empty() && !after.starts_with('#') {
            return Err(EnvSyntaxError::AfterQuote { line: last_line, key: key.to_owned() });
        }
        let value = if quote == '"' { unescape(&raw, before) } else { raw.clone() };
        Ok((raw, value))
    }
}

fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// Cuts a comment off an unquoted value. A `#` inside a word belongs to the value.
fn uncommented(text: &str) -> &str {
    let comment = text
        .char_indices()
        .find(|(at, c)| *c == '#' && text[..*at].chars().next_back().is_none_or(char::is_whitespace));
    comment.map_or(text, |(at, _)| &text[..at])
}

/// Resolves the escapes of a double-quoted value, and its references.
fn unescape(raw: &str, before: &EnvValues) -> String {
    let mut out = String::new();
    let mut plain = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        // References are resolved in plain text, but not in the result of an escape.
        out.push_str(&fill(&std::mem::take(&mut plain), |key| before.get(key)));
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(kept @ ('"' | '\\' | '$')) => out.push(kept),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out.push_str(&fill(&plain, |key| before.get(key)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<(String, String)> {
        let file = EnvValues::parse(text.as_bytes()).unwrap();
        file.vars.into_iter().map(|var| (var.key, var.value)).collect()
    }

    fn one(text: &str) -> String {
        map(text).pop().unwrap().1
    }

    #[test]
    fn plain_quoted_and_exported_values_are_read() {
        assert_eq!(one("A=b"), "b");
        assert_eq!(one("export A = b c  "), "b c");
        assert_eq!(one("A='x # y'"), "x # y");
        assert_eq!(one("A=\"x\\ty\" # note"), "x\ty");
        assert_eq!(one("A="), "");
        assert_eq!(one("A=a=b=c=="), "a=b=c==");
    }

    #[test]
    fn comments_need_a_blank_before_them() {
        assert_eq!(one("A=b#c"), "b#c");
        assert_eq!(one("A=b #c"), "b");
        assert_eq!(one("A=#c"), "");
        assert_eq!(map("# A=b\n\n  # more\n"), []);
    }

    #[test]
    fn bom_crlf_and_values_over_several_lines_are_understood() {
        let text = "\u{feff}A=1\r\nKEY=\"-----BEGIN\r\nabc\r\n-----END\"\r\nB='x\ny'\nC=3";
        let file = EnvValues::parse(text.as_bytes()).unwrap();
        assert_eq!(file.get("KEY"), Some("-----BEGIN\nabc\n-----END"));
        assert_eq!(file.get("B"), Some("x\ny"));
        let lines: Vec<_> = file.vars.iter().map(|var| var.line).collect();
        assert_eq!(lines, [1, 2, 5, 7]);
    }

    #[test]
    fn references_are_filled_from_earlier_lines_but_not_in_single_quotes() {
        assert_eq!(one("U=me\nA=hi $U ${U}! ${X:-you} ${X-z} $"), "hi me me! you z $");
        assert_eq!(one("U=me\nA='$U'"), "$U");
        assert_eq!(one("U=me\nA=\"\\$U ${U}\""), "$U me");
        assert_eq!(one("A=5$"), "5$");
    }

    #[test]
    fn the_last_of_two_assignments_wins_and_is_reported() {
        let file = EnvValues::parse(b"A=1\nB=2\nA=3\n").unwrap();
        assert_eq!(file.get("A"), Some("3"));
        let again: Vec<_> = file.repeated().map(|var| (var.key.as_str(), var.line)).collect();
        assert_eq!(again, [("A", 3)]);
    }

    #[test]
    fn faults_name_their_line_and_never_the_value() {
        let fault = |text: &[u8]| EnvValues::parse(text).unwrap_err().to_string();
        assert_eq!(fault(b"A=1\nhunter2\n"), "line 2 has no '='");
        assert_eq!(fault(b"1A=hunter2"), "line 1 does not begin with the name of a variable");
        assert_eq!(fault(b"\nA=\"hunter2"), "the quote opened in line 2 (A) is not closed");
        assert_eq!(fault(b"A='x' hunter2"), "text follows the closing quote in line 1 (A)");
        assert_eq!(fault(b"A=1\nB=\xff"), "line 2 is not UTF-8 text");
        assert_eq!(fault(b"A=hunter2\0"), "the value in line 1 (A) contains a NUL byte");
        let shown = format!("{:?}", EnvValues::parse(b"A=hunter2").unwrap());
        assert!(!shown.contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = EnvValues::parse(&bytes);
        }

        #[test]
        fn no_arrangement_of_marks_makes_the_parser_panic(text in "[A$\\{\\}:='\"\\\\# \n\r-]{0,60}") {
            let _ = EnvValues::parse(text.as_bytes());
        }
    }
}
