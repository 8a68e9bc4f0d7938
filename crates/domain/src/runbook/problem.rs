//! Problems of a runbook or its configuration, with position and hint.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information; nothing is ignored.
    Note,
    /// Something may be meant differently from how it was read.
    Warning,
    /// Something cannot be used.
    Error,
}

impl Severity {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One part that was not recognised, or that is inconsistent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file it is about; `None` means the runbook itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to write instead; empty if the message is sufficient.
    #[serde(default)]
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, column, message, .. } = self;
        let file = self.file.as_deref().unwrap_or("runbook");
        write!(f, "{file}:{line}:{column}: {}: {message}", self.severity.label())?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_prints_as_compilers_print_theirs() {
        let mut problem = Problem {
            file: None,
            line: 3,
            column: 7,
            severity: Severity::Warning,
            message: "the table has no owner column".into(),
            hint: "add one".into(),
        };
        assert_eq!(problem.to_string(), "runbook:3:7: warning: the table has no owner column (add one)");
        problem.file = Some("a.toml".into());
        problem.hint.clear();
        assert_eq!(problem.to_string(), "a.toml:3:7: warning: the table has no owner column");
        assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Note);
    }
}
