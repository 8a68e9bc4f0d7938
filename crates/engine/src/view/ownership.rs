//! The ownership log.

use domain::page::Pages;
use domain::time::Millis;

use super::Permission;

/// The ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipPage {
    /// The lines in order.
    pub lines: Vec<OwnershipLineView>,
    /// The Save button.
    pub fill: Permission,
    /// How many fields are filled, of how many.
    pub filled: (usize, usize),
}

/// One line of the ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipLineView {
    /// The line as the runbook has it.
    pub line: domain::runbook::OwnershipLine,
    /// Its fields.
    pub fields: Vec<OwnershipFieldView>,
}

/// One field of the ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipFieldView {
    /// The field as the runbook has it.
    pub field: domain::runbook::Field,
    /// The last values that were written in it, newest first.
    pub history: Vec<OwnershipEntry>,
    /// There are earlier ones: its own page has them all.
    pub has_more: bool,
    /// A value known from what happened here, offered to be taken over.
    pub suggestion: Option<String>,
}

/// A page of everything that was written in a field.
#[derive(Debug, Clone)]
pub struct OwnershipHistory {
    /// The field as the runbook has it.
    pub field: domain::runbook::Field,
    /// The values on this page, newest first.
    pub entries: Vec<OwnershipEntry>,
    /// The pages beside it.
    pub pages: Pages,
}

/// Something written in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnershipEntry {
    /// Number in the store.
    pub id: i64,
    /// The value.
    pub value: String,
    /// Who wrote it.
    pub by_name: String,
    /// When.
    pub at: Millis,
}
