//! The ownership log: valid values of its fields, and the log as Markdown.

use crate::runbook::{FieldKind, OwnershipLine, blanks};
use crate::time::Millis;

/// Why a value is rejected; the text says what to enter instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// The value is empty.
    #[error("enter a value")]
    Empty,
    /// More than 200 characters, or more than one line.
    #[error("the value must be one line of at most 200 characters")]
    TooLong,
    /// Not a calendar day.
    #[error("“{0}” is not a date; use the form 2026-03-01")]
    NoDate(String),
    /// Not a commit.
    #[error("“{0}” is not a commit; enter 7 to 40 hexadecimal digits")]
    NoCommit(String),
    /// Not a duration.
    #[error("“{0}” is not a duration; use the form 45 s, 3 min or 1 h 20 min")]
    NoDuration(String),
    /// Not a list of tags.
    #[error("“{0}” is not a list of tags; enter names such as backend:1.4, separated by commas")]
    NoTags(String),
}

/// Checks a value for a field of this kind and returns it trimmed.
pub fn check_value(kind: FieldKind, value: &str) -> Result<String, BadValue> {
    let value = value.trim();
    let own = || value.to_owned();
    if value.is_empty() {
        return Err(BadValue::Empty);
    }
    if value.chars().count() > 200 || value.chars().any(char::is_control) {
        return Err(BadValue::TooLong);
    }
    match kind {
        FieldKind::Person | FieldKind::Text => Ok(own()),
        FieldKind::Date if Millis::start_of_day(value).is_some() => Ok(own()),
        FieldKind::Date => Err(BadValue::NoDate(own())),
        FieldKind::Commit if is_commit(value) => Ok(own()),
        FieldKind::Commit => Err(BadValue::NoCommit(own())),
        FieldKind::Duration if is_duration(value) => Ok(own()),
        FieldKind::Duration => Err(BadValue::NoDuration(own())),
        FieldKind::Tags if value.split(',').all(|t| is_tag(t.trim())) => Ok(own()),
        FieldKind::Tags => Err(BadValue::NoTags(own())),
    }
}

fn is_commit(value: &str) -> bool {
    (7..=40).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_duration(value: &str) -> bool {
    const UNITS: [&str; 14] = [
        "ms", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minutes", "h", "hours", "hour",
        "minute",
    ];
    let spaced: String = value
        .chars()
        .scan(false, |was_digit, c| {
            let is_digit = c.is_ascii_digit() || matches!(c, '.' | ',');
            let gap = *was_digit && !is_digit && c != ' ';
            *was_digit = is_digit;
            Some(if gap { format!(" {c}") } else { c.to_string() })
        })
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    !words.is_empty()
        && words.len().is_multiple_of(2)
        && words.chunks(2).all(|pair| {
            pair[0].replace(',', ".").parse::<f64>().is_ok_and(|n| n >= 0.0)
                && UNITS.contains(&pair[1].to_lowercase().as_str())
        })
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'/' | b'@'))
}

/// The log as Markdown: the lines of the runbook, with blanks replaced by the value that `value_of` returns for the
/// field's id. Blanks without a value stay blank.
pub fn markdown<'v>(
    heading: &str,
    lines: &[OwnershipLine],
    value_of: impl Fn(&str) -> Option<&'v str>,
) -> String {
    let mut out = format!("## {heading}\n\n");
    for line in lines {
        let mut filled = String::new();
        let mut from = 0;
        for (blank, field) in blanks(&line.text).into_iter().zip(&line.fields) {
            filled.push_str(&line.text[from..blank.start]);
            match value_of(&field.id) {
                Some(value) => filled.push_str(&escape(value)),
                None => filled.push_str(&line.text[blank.clone()]),
            }
            from = blank.end;
        }
        filled.push_str(&line.text[from..]);
        out.push_str("- ");
        out.push_str(filled.trim_end());
        out.push('\n');
    }
    out
}

/// Escapes markup characters.
fn escape(value: &str) -> String {
    value.chars().fold(String::new(), |mut out, c| {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '&') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_kind() {
        for (kind, good, bad) in [
            (FieldKind::Date, "2024-02-29", "2023-02-29"),
            (FieldKind::Date, " 2026-11-23 ", "23.11.2026"),
            (FieldKind::Commit, "3f2c9e1", "main"),
            (FieldKind::Duration, "1 h 20 min", "long"),
            (FieldKind::Duration, "2.1s", "12"),
            (FieldKind::Tags, "backend:1.4, frontend:1.4", "one two"),
            (FieldKind::Person, "Ada", "  "),
            (FieldKind::Text, "went well", "two\nlines"),
        ] {
            assert_eq!(check_value(kind, good).as_deref(), Ok(good.trim()), "{kind:?}");
            assert!(check_value(kind, bad).is_err(), "{kind:?} takes {bad:?}");
        }
        assert_eq!(check_value(FieldKind::Text, &"x".repeat(201)), Err(BadValue::TooLong));
    }

    #[test]
    fn the_log_is_returned_with_values_filled_in() {
        let line = OwnershipLine::read("own.1".into(), "VM by: ____  on: ____".into(), 1);
        let text = markdown("Ownership Log", &[line], |id| (id == "own.1.by").then_some("Ada_B <script>"));
        assert_eq!(text, "## Ownership Log\n\n- VM by: Ada\\_B \\<script\\>  on: ____\n");
    }
}
