//! The verification matrix: which table it is, and the meaning of its columns.

use domain::digest::digest_fields;
use domain::runbook::MatrixRow;

use super::blocks::{Cell, Row};
use super::phrase::split_names;
use super::text::{LineIndex, fold, has_word, squeeze};

/// The columns of a table, by meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub category: Option<usize>,
    pub method: Option<usize>,
    pub owner: Option<usize>,
    pub acceptance: Option<usize>,
}

impl Columns {
    /// Reads a header row.
    pub fn of(header: &[Cell]) -> Columns {
        let names: Vec<String> = header.iter().take(64).map(|c| fold(&c.text)).collect();
        let mut taken: Vec<usize> = Vec::new();
        let mut find = |words: &[&str]| {
            let at = (0..names.len())
                .find(|i| !taken.contains(i) && words.iter().any(|w| has_word(&names[*i], w)))?;
            taken.push(at);
            Some(at)
        };
        // The most specific words first: “Check command” is a method, not a category.
        let method = find(&["command", "commands", "method", "how", "procedure", "run"]);
        let owner = find(&["owner", "owners", "responsible", "who", "dri", "team"]);
        let acceptance = find(&[
            "acceptance",
            "accept",
            "criteria",
            "criterion",
            "threshold",
            "expected",
            "pass",
            "target",
            "expectation",
        ]);
        let category =
            find(&["category", "check", "checks", "area", "test", "suite", "type", "what", "kind"]);
        Columns { category, method, owner, acceptance }
    }

    /// How many of the four columns there are.
    pub fn score(&self) -> usize {
        self.named().iter().filter(|(_, at)| at.is_some()).count()
    }

    /// Whether the table can be the matrix.
    pub fn is_matrix(&self) -> bool {
        self.score() >= 3 && (self.method.is_some() || self.acceptance.is_some())
    }

    /// The names of the missing columns.
    pub fn missing(&self) -> Vec<&'static str> {
        self.named().into_iter().filter(|(_, at)| at.is_none()).map(|(name, _)| name).collect()
    }

    fn named(&self) -> [(&'static str, Option<usize>); 4] {
        [
            ("Category", self.category),
            ("Command/Method", self.method),
            ("Owner", self.owner),
            ("Acceptance", self.acceptance),
        ]
    }
}

/// Reads a row; `number` counts from 1 over the whole file.
pub(super) fn read_row(
    columns: Columns,
    row: &Row,
    prefix: &str,
    number: usize,
    lines: &LineIndex,
) -> MatrixRow {
    let cell = |at: Option<usize>| at.and_then(|i| row.cells.get(i));
    let text = |at| cell(at).map(|c| squeeze(&c.text)).unwrap_or_default();
    let (category, method) = (text(columns.category), text(columns.method));
    let owners = split_names(&text(columns.owner));
    let acceptance = text(columns.acceptance);
    let fields = [category.as_str(), &method, &acceptance];
    let digest = digest_fields(fields.into_iter().chain(owners.iter().map(String::as_str)));
    MatrixRow {
        id: format!("{prefix}.{number}"),
        commands: cell(columns.method).map(|c| c.codes.clone()).unwrap_or_default(),
        category,
        method,
        owners,
        acceptance,
        digest,
        line: lines.line(row.at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Columns {
        let cell = |n: &&str| Cell { text: (*n).to_owned(), codes: vec![] };
        Columns::of(&names.iter().map(cell).collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_found_in_any_order_and_under_other_names() {
        let found = columns(&["Pass criteria", "Check", "Responsible", "How"]);
        assert_eq!(
            (found.category, found.method, found.owner, found.acceptance),
            (Some(1), Some(3), Some(2), Some(0))
        );
        assert!(found.is_matrix() && found.missing().is_empty());
    }

    #[test]
    fn a_missing_column_is_named() {
        let found = columns(&["Category", "Command/Method", "Acceptance"]);
        assert!(found.is_matrix());
        assert_eq!(found.missing(), ["Owner"]);
        assert!(!columns(&["Name", "Owner", "Phone"]).is_matrix());
    }
}
