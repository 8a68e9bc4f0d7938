//! Reads typed values with their places from a parsed TOML document. A mistake is reported and does not stop
//! the reading. Knows TOML, but not the meaning of the keys.

use std::ops::Range;

use domain::runbook::{Problem, Severity};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::text::LineIndex;

/// Collects problems with their places in the file.
pub(super) struct Walk<'a> {
    pub text: &'a str,
    pub file: &'a str,
    pub lines: LineIndex,
    pub problems: Vec<Problem>,
}

/// A value and its place.
pub(super) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

impl<'a> Walk<'a> {
    pub fn new(text: &'a str, file: &'a str) -> Walk<'a> {
        Walk { text, file, lines: LineIndex::new(text), problems: Vec::new() }
    }

    pub fn error(&mut self, at: usize, message: impl Into<String>, hint: impl Into<String>) {
        self.say(Severity::Error, at, message, hint);
    }

    pub fn say(
        &mut self,
        severity: Severity,
        at: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (line, column) = self.lines.position(self.text, at);
        let (message, hint) = (message.into(), hint.into());
        let file = Some(self.file.to_owned());
        self.problems.push(Problem { file, line, column, severity, message, hint });
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) {
        let found = value.get_ref().type_str();
        let message = format!("`{key}` must be {wanted}, but is of type {found}");
        self.error(value.span().start, message, "");
    }

    /// A string.
    pub fn string(&mut self, table: &DeTable<'_>, key: &str) -> Option<At<String>> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At { value: text.to_string(), span: value.span() }),
            _ => {
                self.wrong_type(value, key, "a string in quotes");
                None
            }
        }
    }

    /// A list of strings; a single string counts as a list of one.
    pub fn strings(&mut self, table: &DeTable<'_>, key: &str) -> Option<Vec<At<String>>> {
        let value = table.get(key)?;
        let items = match value.get_ref() {
            DeValue::String(text) => {
                return Some(vec![At { value: text.to_string(), span: value.span() }]);
            }
            DeValue::Array(items) => items,
            _ => {
                self.wrong_type(value, key, "a list of strings");
                return None;
            }
        };
        let mut out = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => {
                    out.push(At { value: text.to_string(), span: item.span() });
                }
                _ => self.wrong_type(item, key, "a list of strings"),
            }
        }
        Some(out)
    }

    /// A table.
    pub fn table<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => {
                self.wrong_type(value, key, &format!("a table ([{key}])"));
                None
            }
        }
    }

    /// A duration such as `10m`, in milliseconds.
    pub fn duration(&mut self, table: &DeTable<'_>, key: &str) -> Option<u64> {
        let At { value, span } = self.string(table, key)?;
        let ms = super::parse_duration(&value);
        if ms.is_none() {
            let message = format!("`{key}`: “{value}” is not a duration");
            self.error(span.start, message, "write it as “90s”, “10m”, “2h” or “7d”");
        }
        ms
    }

    /// A whole number from 0 to `most`.
    pub fn number(&mut self, table: &DeTable<'_>, key: &str, most: u32) -> Option<u32> {
        let value = table.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(i) => u32::from_str_radix(i.as_str(), i.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|n| *n <= most);
        if number.is_none() {
            let message = format!("`{key}` must be a whole number from 0 to {most}");
            self.error(value.span().start, message, "");
        }
        number
    }

    /// `true` or `false`.
    pub fn yes_or_no(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        if let DeValue::Boolean(given) = value.get_ref() {
            return Some(*given);
        }
        self.error(value.span().start, format!("`{key}` must be a boolean"), "write true or false");
        None
    }

    /// Reports every key that is not in `known`. `place` is the name of the table for people.
    pub fn unknown_keys(&mut self, table: &DeTable<'_>, known: &[&str], place: &str) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let message = format!("unknown key `{name}` in {place}");
                self.error(key.span().start, message, suggestion(name, known));
            }
        }
    }
}

/// “did you mean …?”, or the list of possible names.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    let length = name.chars().count();
    // Two swapped letters are two edits.
    let most = if length < 4 { 1 } else { (length / 3).max(2) };
    let nearest =
        known.iter().map(|k| (distance(name, k), *k)).filter(|(d, _)| *d <= most).min_by_key(|(d, _)| *d);
    match nearest {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("use one of: {}", known.join(", ")),
    }
}

/// Edits between two short words. Words over 40 letters match nothing.
fn distance(a: &str, b: &str) -> usize {
    if a.chars().count() > 40 || b.chars().count() > 40 {
        return usize::MAX;
    }
    strsim::levenshtein(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_listed() {
        assert_eq!(suggestion("timout", &["title", "timeout"]), "did you mean `timeout`?");
        assert_eq!(suggestion("colour", &["id", "kind"]), "use one of: id, kind");
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
