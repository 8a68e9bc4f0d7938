//! Blanks of the ownership log: their positions in a line, and the kind of value.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The kind of value of a blank, derived from the label before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// The name of a person.
    Person,
    /// A calendar day.
    Date,
    /// A commit.
    Commit,
    /// Image or version tags.
    Tags,
    /// How long something took.
    Duration,
    /// Anything else.
    Text,
}

impl FieldKind {
    /// The kind for a label, derived from its last word.
    pub fn of_label(label: &str) -> FieldKind {
        match last_word(label).as_str() {
            "by" | "who" | "person" | "name" | "owner" | "operator" => FieldKind::Person,
            "on" | "date" | "when" | "day" => FieldKind::Date,
            "commit" | "sha" | "revision" => FieldKind::Commit,
            "tag" | "tags" | "image" | "images" => FieldKind::Tags,
            "duration" | "took" | "elapsed" => FieldKind::Duration,
            _ => FieldKind::Text,
        }
    }
}

/// The last word of a label in lower case, letters and digits only.
pub(crate) fn last_word(label: &str) -> String {
    label
        .split(|c: char| !c.is_alphanumeric())
        .rfind(|w| !w.is_empty())
        .map(str::to_lowercase)
        .unwrap_or_default()
}

/// The positions of the blanks in a line, as byte ranges in order. A blank is three or more underscores that are not
/// part of a word.
pub fn blanks(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'_' {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at] == b'_' {
            at += 1;
        }
        let glued = text[..start].chars().next_back().is_some_and(char::is_alphanumeric)
            || text[at..].chars().next().is_some_and(char::is_alphanumeric);
        if at - start >= 3 && !glued {
            found.push(start..at);
        }
    }
    found
}

/// The label before a blank, without surrounding punctuation and without the backtick of a blank that is
/// written as code.
fn label_of(words: &str) -> String {
    let mut words = words.trim();
    if words.matches('`').count() % 2 == 1 {
        words = words.strip_suffix('`').or_else(|| words.strip_prefix('`')).unwrap_or(words);
    }
    let words = words.trim().trim_start_matches(". ");
    words.trim_matches(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | ';' | '|')).to_owned()
}

/// Maximum number of blanks per line that become fields.
const MOST_FIELDS: usize = 64;

impl super::OwnershipLine {
    /// Reads the line's blanks (the first 64) into typed fields. `id` is the line's id, `text`
    /// its source text.
    pub fn read(id: String, text: String, line: usize) -> super::OwnershipLine {
        let mut fields: Vec<super::Field> = Vec::new();
        let mut from = 0;
        for blank in blanks(&text).into_iter().take(MOST_FIELDS) {
            let label = label_of(&text[from..blank.start]);
            from = blank.end;
            let word = match last_word(&label) {
                w if w.is_empty() => "field".to_owned(),
                w => w,
            };
            let wanted = format!("{id}.{word}");
            let earlier =
                fields.iter().filter(|f| f.id == wanted || f.id.starts_with(&format!("{wanted}-"))).count();
            let field_id = if earlier == 0 { wanted } else { format!("{wanted}-{}", earlier + 1) };
            let kind = FieldKind::of_label(&label);
            fields.push(super::Field { id: field_id, label, kind, line });
        }
        super::OwnershipLine { id, text, fields, line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::OwnershipLine;

    #[test]
    fn every_blank_becomes_a_field_typed_by_its_label() {
        let line = OwnershipLine::read(
            "own.3".into(),
            "Release commit: ____  date: ____  tags: ____ took: ___ remarks: ______".into(),
            9,
        );
        let seen: Vec<(&str, FieldKind)> = line.fields.iter().map(|f| (f.id.as_str(), f.kind)).collect();
        assert_eq!(
            seen,
            [
                ("own.3.commit", FieldKind::Commit),
                ("own.3.date", FieldKind::Date),
                ("own.3.tags", FieldKind::Tags),
                ("own.3.took", FieldKind::Duration),
                ("own.3.remarks", FieldKind::Text),
            ]
        );
        assert_eq!(line.fields[0].label, "Release commit");
    }

    #[test]
    fn backticks_stay_in_names_and_are_removed_from_blanks() {
        let line = OwnershipLine::read("own.1".into(), "`.env` commit: `____` on: ____".into(), 1);
        let labels: Vec<&str> = line.fields.iter().map(|f| f.label.as_str()).collect();
        assert_eq!(labels, ["`.env` commit", "on"]);
    }

    #[test]
    fn equal_labels_get_different_ids() {
        let line = OwnershipLine::read("own.1".into(), "by: ____ by: ____ ____".into(), 1);
        let ids: Vec<&str> = line.fields.iter().map(|f| f.id.as_str()).collect();
        assert_eq!(ids, ["own.1.by", "own.1.by-2", "own.1.field"]);
    }

    #[test]
    fn underscores_inside_names_are_not_blanks() {
        assert!(blanks("`A___B` and c___d, __").is_empty());
        assert_eq!(blanks("`____`"), vec![1..5]);
        assert_eq!(blanks("é: ___"), vec![4..7]);
    }
}
