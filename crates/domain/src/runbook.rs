//! The runbook as read from Markdown: gates, criteria, steps, matrix, checklist, roles, ownership.
//!
//! These types are independent of Markdown and files. Ids consist of a gate's letter and the position
//! within it, so they do not change when texts are edited; digests show when a text has changed.

use serde::{Deserialize, Serialize};

mod blank;
mod problem;

pub use blank::{FieldKind, blanks};
pub use problem::{Problem, Severity};

/// A whole runbook: what was recognised, and the problems.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// First heading of the file; empty when it has none.
    pub title: String,
    /// SHA-256 of the file's bytes, 64 hex digits.
    pub digest: String,
    /// The gates in the order of the file.
    pub gates: Vec<Gate>,
    /// The acceptance bullets in the order of the file.
    pub criteria: Vec<Criterion>,
    /// The commands in the order of the file, inside gates and outside.
    pub steps: Vec<Step>,
    /// The rows of the verification matrix.
    pub matrix: Vec<MatrixRow>,
    /// The task-list items.
    pub checklist: Vec<ChecklistItem>,
    /// The directly responsible roles and their duties.
    pub dris: Vec<Dri>,
    /// The roles that must sign.
    pub signoff_roles: Vec<SignoffRole>,
    /// The lines of the ownership log.
    pub ownership: Vec<OwnershipLine>,
    /// What was not recognised, and why.
    pub problems: Vec<Problem>,
}

impl Runbook {
    /// The gate with this id.
    pub fn gate(&self, id: &str) -> Option<&Gate> {
        self.gates.iter().find(|g| g.id == id)
    }

    /// The step with this id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|s| s.id == id)
    }

    /// The text of the criterion, checklist item or matrix row with this id, which a check can prove.
    pub fn provable_text(&self, id: &str) -> Option<String> {
        let criterion = self.criteria.iter().find(|c| c.id == id).map(|c| c.text.clone());
        let item = || self.checklist.iter().find(|c| c.id == id).map(|c| c.text.clone());
        let row = || {
            let row = self.matrix.iter().find(|r| r.id == id)?;
            Some(format!("{} {} {}", row.category, row.method, row.acceptance))
        };
        criterion.or_else(item).or_else(row)
    }
}

/// One phase of the runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The `X` of `(Gate X)`, in capitals.
    pub id: String,
    /// The number in `Phase N`; without one, the position among the gates, from 1.
    pub phase: u32,
    /// The heading without phase and gate.
    pub title: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// One acceptance bullet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// Gate and position: `A.1`.
    pub id: String,
    /// The gate's id.
    pub gate: String,
    /// Plain text; inline code keeps its backticks, nested bullets follow their parent.
    pub text: String,
    /// SHA-256 of the text, with white space collapsed.
    pub digest: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// Part of the gate's work.
    #[default]
    Normal,
    /// Only for a rollback; not a step of the gate's progress.
    Rollback,
    /// The runbook calls it optional.
    Optional,
}

/// One command of the runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Gate and position, `A.s1`; outside any gate the section's slug and position.
    pub id: String,
    /// The gate's id, if it is inside a gate.
    pub gate: Option<String>,
    /// Text of the nearest heading above.
    pub section: String,
    /// The comment above the command, else the command's first line.
    pub title: String,
    /// The command as written, lines joined by newlines, without the comment after it.
    pub command: String,
    /// The comment after the command; may be empty.
    pub note: String,
    /// Names of the variables that must be passed to the command, in order of first use.
    pub vars: Vec<String>,
    /// What it is for.
    pub kind: StepKind,
    /// Whether only a person can do it, such as a visual check.
    pub manual: bool,
    /// SHA-256 of the command.
    pub digest: String,
    /// Line of the command in the file, from 1.
    pub line: usize,
}

impl Step {
    /// Whether the command starts a Compose project. Such a step is not run directly, because a deploy does it
    /// with pinned images and a rollback target.
    pub fn deploys(&self) -> bool {
        let joined = self.command.replace("\\\n", " ");
        joined.split(['\n', ';', '|', '&', '(', ')']).any(|part| {
            let words: Vec<&str> = part.split_whitespace().collect();
            let compose = words
                .windows(2)
                .position(|w| w == ["docker", "compose"])
                .map(|at| at + 2)
                .or(words.iter().position(|w| *w == "docker-compose").map(|at| at + 1));
            // A service or a command inside a container may be called `up` too; it comes after
            // another subcommand.
            compose.is_some_and(|at| {
                let rest = words[at..].iter();
                let subcommand = rest.copied().find(|w| {
                    matches!(*w, "up" | "exec" | "run" | "build" | "ps" | "logs" | "down" | "pull" | "config")
                });
                subcommand == Some("up")
            })
        })
    }
}

/// A row of the verification matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixRow {
    /// Position: `M.1`.
    pub id: String,
    /// What is verified.
    pub category: String,
    /// How it is verified, as written in the cell.
    pub method: String,
    /// The commands named in the cell: the contents of its inline code.
    pub commands: Vec<String>,
    /// The owners as written, one each.
    pub owners: Vec<String>,
    /// What counts as passed.
    pub acceptance: String,
    /// Digest over all cells.
    pub digest: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// An item of the go/no-go checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecklistItem {
    /// Gate and position, `H.c1`; outside any gate `c1`.
    pub id: String,
    /// Plain text; inline code keeps its backticks.
    pub text: String,
    /// SHA-256 of the text, with white space collapsed.
    pub digest: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Whether its box is ticked in the file. It has no effect.
    pub checked: bool,
}

/// A directly responsible role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dri {
    /// The role as written, without the word DRI.
    pub role: String,
    /// Its duties.
    pub duties: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// A role that must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignoffRole {
    /// The role as written.
    pub role: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// A line of the ownership log, with blanks to be filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnershipLine {
    /// Position: `own.1`.
    pub id: String,
    /// The line's source text without its bullet; [`blanks`] finds the blanks in it again.
    pub text: String,
    /// One field for each blank, in order.
    pub fields: Vec<Field>,
    /// Line in the file, from 1.
    pub line: usize,
}

/// A blank of the ownership log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The line's id and the last word of the label: `own.1.by`.
    pub id: String,
    /// The words before the blank.
    pub label: String,
    /// The kind of value.
    pub kind: FieldKind,
    /// Line in the file, from 1.
    pub line: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_start_a_stack_are_recognised() {
        let step = |command: &str| Step {
            id: "x".into(),
            gate: None,
            section: String::new(),
            title: String::new(),
            command: command.into(),
            note: String::new(),
            vars: vec![],
            kind: StepKind::Normal,
            manual: false,
            digest: String::new(),
            line: 1,
        };
        for up in [
            "docker compose --env-file .env.staging -f docker-compose.yml up -d --build",
            "cd app && docker-compose up",
            "docker compose \\\n  -f x.yml \\\n  up -d",
        ] {
            assert!(step(up).deploys(), "{up}");
        }
        for other in [
            "docker compose ps",
            "docker compose exec backend npm run up",
            "echo up; docker compose logs backend",
            "npm run build",
        ] {
            assert!(!step(other).deploys(), "{other}");
        }
    }
}
