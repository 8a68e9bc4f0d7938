//! The ownership log.

use domain::paging::Pages;
use domain::time::Millis;

use super::Permission;

/// The ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipPage {
    /// The lines in order.
    pub lines: Vec<OwnershipLineView>,
    /// The Save button.
    pub fill: Permission,
    /// The number of filled fields, and the number of all fields.
    pub filled: (usize, usize),
}

/// One line of the ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipLineView {
    /// The line of the runbook.
    pub line: domain::runbook::OwnershipLine,
    /// Its fields.
    pub fields: Vec<OwnershipFieldView>,
}

/// One field of the ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipFieldView {
    /// The field of the runbook.
    pub field: domain::runbook::Field,
    /// The last values that were entered, newest first.
    pub history: Vec<OwnershipEntry>,
    /// There are earlier values; the history page shows all of them.
    pub has_more: bool,
    /// A suggested value, taken from recorded runs.
    pub suggestion: Option<String>,
}

/// A page of all values that were ever entered in a field.
#[derive(Debug, Clone)]
pub struct OwnershipHistory {
    /// The field of the runbook.
    pub field: domain::runbook::Field,
    /// The values on this page, newest first.
    pub entries: Vec<OwnershipEntry>,
    /// Links to the pages before and after this one.
    pub pages: Pages,
}

/// A value that was entered in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnershipEntry {
    /// Number in the store.
    pub id: i64,
    /// The value.
    pub value: String,
    /// Who entered it.
    pub by_name: String,
    /// When.
    pub at: Millis,
}
