//! Checks the file as a whole after its last line: chooses between candidates, and reports missing parts.

use std::collections::HashSet;

use domain::role::Role;
use domain::runbook::{Problem, Severity};

use super::{Candidate, MOST_OF_A_KIND, Reader};
use crate::matrix::read_row;

impl Reader<'_> {
    /// Does everything that needs the whole file.
    pub(super) fn finish(&mut self) {
        self.choose_matrix();
        self.choose_sign_offs();
        self.drop_criteria_without_gate();
        self.look_at_gates();
        self.look_for_missing_parts();
        if self.unlisted_problems > 0 {
            let message = match self.unlisted_problems {
                1 => "1 more problem is not listed".to_owned(),
                more => format!("{more} more problems are not listed"),
            };
            self.out.problems.push(Problem {
                file: None,
                line: 1,
                column: 1,
                severity: Severity::Warning,
                message,
                hint: "fix the listed problems first".into(),
            });
        }
        self.out.problems.sort_by_key(|p| (p.line, p.column));
    }

    /// The matrix is made of the tables with the most of the four columns.
    fn choose_matrix(&mut self) {
        let tables = std::mem::take(&mut self.tables);
        let best = tables.iter().map(|t| t.columns.score()).max().unwrap_or_default();
        // With a gate M, `M.1` is a criterion.
        let prefix = if self.out.gate("M").is_some() { "matrix" } else { "M" };
        for Candidate { columns, rows, at } in tables {
            if columns.score() < best {
                continue;
            }
            for missing in columns.missing() {
                self.problem(
                    Severity::Warning,
                    at,
                    format!("the verification matrix has no column for {missing}"),
                    format!("add a column named {missing}"),
                );
            }
            for row in &rows {
                let have = self.out.matrix.len();
                if !self.has_room("matrix rows", have, MOST_OF_A_KIND, row.at) {
                    break;
                }
                let number = have + 1;
                let row = read_row(columns, row, prefix, number, &self.lines);
                if row.category.is_empty() && row.method.is_empty() && row.acceptance.is_empty() {
                    continue;
                }
                self.out.matrix.push(row);
            }
            if rows.is_empty() {
                self.problem(Severity::Warning, at, "the verification matrix has no rows", "");
            }
        }
    }

    fn choose_sign_offs(&mut self) {
        let best = self.sign_offs.iter().map(|s| s.rank).min();
        let chosen = self.sign_offs.iter().find(|s| Some(s.rank) == best);
        let mut seen = HashSet::new();
        let roles: Vec<_> = chosen.map(|s| s.roles.clone()).unwrap_or_default();
        for role in roles {
            if !seen.insert(role.role.to_lowercase()) {
                continue;
            }
            if Role::from_owner_word(&role.role).is_empty() {
                let at = self.lines.start_of(role.line);
                self.problem(
                    Severity::Warning,
                    at,
                    format!("the sign-off role “{}” is not known to Stagegate", role.role),
                    "known roles: DevOps, Backend, Frontend, QA, Security, Docs, PO",
                );
            }
            self.out.signoff_roles.push(role);
        }
    }

    fn drop_criteria_without_gate(&mut self) {
        let known: HashSet<&str> = self.out.gates.iter().map(|g| g.id.as_str()).collect();
        let lost: Vec<(String, usize)> = self
            .out
            .criteria
            .iter()
            .filter(|c| !known.contains(c.gate.as_str()))
            .map(|c| (c.gate.clone(), c.line))
            .collect();
        let mut told = HashSet::new();
        for (gate, line) in &lost {
            if told.insert(gate.clone()) {
                let at = self.lines.start_of(*line);
                self.problem(
                    Severity::Error,
                    at,
                    format!("these criteria belong to Gate {gate}, but no heading contains “(Gate {gate})”"),
                    format!("write a heading such as “## Phase 1 — Title (Gate {gate})” above them"),
                );
            }
        }
        if !lost.is_empty() {
            self.out.criteria.retain(|c| !told.contains(&c.gate));
        }
    }

    fn look_at_gates(&mut self) {
        let accepted: HashSet<String> = self.out.criteria.iter().map(|c| c.gate.clone()).collect();
        let listed: HashSet<String> = self
            .out
            .checklist
            .iter()
            .filter_map(|c| c.id.split_once('.').map(|(gate, _)| gate.to_owned()))
            .collect();
        let gates = self.out.gates.clone();
        for gate in gates.iter().filter(|g| !accepted.contains(&g.id) && !listed.contains(&g.id)) {
            let at = self.lines.start_of(gate.line);
            self.problem(
                Severity::Warning,
                at,
                format!("Gate {} has no acceptance list, so it has no criteria", gate.id),
                format!("add “Acceptance (Gate {}):” with a list of criteria below it", gate.id),
            );
        }
        for pair in gates.windows(2) {
            let [before, gate] = pair else { continue };
            let (Some(a), Some(b)) = (letter(&before.id), letter(&gate.id)) else { continue };
            let at = self.lines.start_of(gate.line);
            if b < a {
                let message = format!("Gate {} comes after Gate {}", gate.id, before.id);
                self.problem(
                    Severity::Warning,
                    at,
                    message,
                    "gates are accepted in the order of the file; move the section, or correct the letter",
                );
            } else if b > a + 1 {
                let message = format!("there is no gate between Gate {} and Gate {}", before.id, gate.id);
                self.problem(
                    Severity::Note,
                    at,
                    message,
                    "check whether a heading between them was not recognised",
                );
            }
        }
    }

    fn look_for_missing_parts(&mut self) {
        if self.text.trim().is_empty() {
            self.problem(Severity::Error, 0, "the file is empty", "write the runbook in Markdown");
            return;
        }
        if self.out.gates.is_empty() {
            self.problem(
                Severity::Error,
                0,
                "no heading with “(Gate X)” was found, so the runbook has no gates",
                "write a heading for each gate: “## Phase 1 — Title (Gate A)”",
            );
        }
        let missing = [
            (self.out.steps.is_empty(), "no commands", "write them in code blocks that start with ```bash"),
            (
                self.out.matrix.is_empty(),
                "no verification matrix",
                "write a table with the columns Category, Command/Method, Owner, Acceptance",
            ),
            (self.out.checklist.is_empty(), "no checklist", "write it as a task list: “- [ ] …”"),
            (
                self.out.dris.is_empty(),
                "no responsible roles",
                "write a list under a heading such as “Roles & DRIs”: “- Backend DRI: …”",
            ),
            (
                self.out.signoff_roles.is_empty(),
                "no sign-off roles, so no sign-off is required",
                "write a checklist item such as “Sign-offs: Backend / QA / PO”",
            ),
            (
                self.out.ownership.is_empty(),
                "no ownership log",
                "write lines with blanks (____) under a heading with the word “Ownership”",
            ),
        ];
        for (_, what, hint) in missing.into_iter().filter(|(is_missing, _, _)| *is_missing) {
            let severity = if what.contains("sign-off") { Severity::Warning } else { Severity::Note };
            self.problem(severity, 0, format!("the runbook has {what}"), hint);
        }
    }
}

/// The letter of a gate whose id is one letter.
fn letter(id: &str) -> Option<u8> {
    match id.as_bytes() {
        [one] if one.is_ascii_alphabetic() => Some(*one),
        _ => None,
    }
}
