//! What was recognised in the runbook, line by line, and the problems: for `stagegate check`, as text and JSON.

use std::fmt::{self, Write as _};

use domain::check::Check;
use domain::preflight::{self, Weight};
use domain::runbook::{Problem, Runbook, Severity, StepKind};
use serde::Serialize;

use super::config::Reading;
use super::text::{shorten, squeeze};

/// One thing that was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Line in the runbook, from 1.
    pub line: usize,
    /// Its kind: `gate`, `criterion`, `step`, `matrix row`, `checklist item`, `role`, `sign-off`,
    /// `ownership`.
    pub kind: &'static str,
    /// Its id, or the role's name.
    pub id: String,
    /// Its text, shortened, with details in square brackets.
    pub text: String,
}

/// The result of `stagegate check`. Its JSON has the keys of the runbook, `recognised` and `findings`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The runbook with all problems, including those of the configuration.
    #[serde(flatten)]
    pub runbook: Runbook,
    /// What was recognised, in the order of the file.
    pub recognised: Vec<Finding>,
    /// The preflight findings. Empty when only a runbook was read.
    pub findings: Vec<preflight::Finding>,
    /// The name of the runbook file in the text output.
    #[serde(skip)]
    pub file: String,
}

impl Report {
    /// Reports on a runbook alone. `file` is the name shown for it.
    pub fn of_runbook(file: &str, bytes: &[u8]) -> Report {
        Report::new(file, super::parse(bytes), &[], vec![])
    }

    /// Reports on a configuration and its runbook, with the preflight `findings`.
    pub fn of_reading(read: Reading, findings: Vec<preflight::Finding>) -> Report {
        let checks = read.config.as_ref().map(|c| c.checks.as_slice()).unwrap_or_default();
        let mut report =
            Report::new(&read.runbook_file, read.runbook.unwrap_or_default(), checks, read.problems);
        report.findings = findings;
        report
    }

    fn new(file: &str, mut runbook: Runbook, checks: &[Check], more: Vec<Problem>) -> Report {
        let recognised = recognised(&runbook, checks);
        for problem in &mut runbook.problems {
            problem.file = Some(file.to_owned());
        }
        runbook.problems.extend(more);
        Report { runbook, recognised, findings: vec![], file: file.to_owned() }
    }

    /// The number of blocking findings.
    pub fn breaking(&self) -> usize {
        self.findings.iter().filter(|f| f.weight == Weight::Breaks).count()
    }

    /// Whether there are no errors.
    pub fn is_usable(&self) -> bool {
        self.runbook.problems.iter().all(|p| p.severity != Severity::Error)
    }
}

fn recognised(runbook: &Runbook, checks: &[Check]) -> Vec<Finding> {
    let proof = |id: &str| {
        let ids: Vec<&str> =
            checks.iter().filter(|c| c.proves.iter().any(|p| p == id)).map(|c| c.id.as_str()).collect();
        if ids.is_empty() { String::new() } else { format!("  [proved by {}]", ids.join(", ")) }
    };
    let mut all = Vec::new();
    let mut add = |line, kind, id: &str, text: String| {
        all.push(Finding { line, kind, id: id.to_owned(), text });
    };
    let brief = |text: &str| shorten(&squeeze(text), 100);
    for g in &runbook.gates {
        add(g.line, "gate", &g.id, brief(&g.title));
    }
    for c in &runbook.criteria {
        add(c.line, "criterion", &c.id, brief(&c.text) + &proof(&c.id));
    }
    for s in &runbook.steps {
        let mut text = brief(&s.title);
        match s.kind {
            StepKind::Normal => {}
            StepKind::Rollback => text.push_str("  [rollback]"),
            StepKind::Optional => text.push_str("  [optional]"),
        }
        if s.manual {
            text.push_str("  [manual]");
        }
        if !s.vars.is_empty() {
            let _ = write!(text, "  [needs {}]", s.vars.join(", "));
        }
        add(s.line, "step", &s.id, text);
    }
    for r in &runbook.matrix {
        let owners = r.owners.join(", ");
        let text = format!("{} · {owners} · {}", brief(&r.category), brief(&r.acceptance));
        add(r.line, "matrix row", &r.id, text + &proof(&r.id));
    }
    for c in &runbook.checklist {
        add(c.line, "checklist item", &c.id, brief(&c.text) + &proof(&c.id));
    }
    for d in &runbook.dris {
        add(d.line, "role", &d.role, brief(&d.duties));
    }
    for s in &runbook.signoff_roles {
        add(s.line, "sign-off", &s.role, "must sign".to_owned());
    }
    for o in &runbook.ownership {
        let fields: Vec<&str> = o.fields.iter().map(|f| f.label.as_str()).collect();
        add(o.line, "ownership", &o.id, brief(&fields.join(" | ")));
    }
    all.sort_by_key(|f| f.line);
    all
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = &self.runbook;
        let title = if r.title.is_empty() { "(no title)" } else { &r.title };
        writeln!(f, "{title}")?;
        writeln!(f, "{} · SHA-256 {}", self.file, shorten(&r.digest, 12))?;
        if !self.recognised.is_empty() {
            writeln!(f, "\nRecognised")?;
        }
        for Finding { line, kind, id, text } in &self.recognised {
            writeln!(f, "  {line:>5}  {kind:<14}  {id:<10}  {text}")?;
        }
        if !r.problems.is_empty() {
            writeln!(f, "\nProblems")?;
        }
        for p in &r.problems {
            let file = p.file.as_deref().unwrap_or(&self.file);
            writeln!(f, "  {file}:{}:{}: {}: {}", p.line, p.column, p.severity.label(), p.message)?;
            if !p.hint.is_empty() {
                writeln!(f, "      {}", p.hint)?;
            }
        }
        if !self.findings.is_empty() {
            writeln!(f, "\nPreflight findings")?;
        }
        for found in &self.findings {
            let gate = found.gate.as_ref().map_or_else(String::new, |g| format!("gate {g}: "));
            let word = match found.weight {
                Weight::Breaks => "blocking",
                Weight::Note => "note",
            };
            writeln!(f, "  {}: {word}: {gate}{}", found.place(), found.message)?;
            writeln!(f, "      {}", found.hint)?;
        }
        let count = |severity| r.problems.iter().filter(|p| p.severity == severity).count();
        writeln!(
            f,
            "\n{}, {}, {}, {}, {}, {}, {}, {}",
            many(r.gates.len(), "gate", "gates"),
            many(r.criteria.len(), "criterion", "criteria"),
            many(r.steps.len(), "step", "steps"),
            many(r.matrix.len(), "matrix row", "matrix rows"),
            many(r.checklist.len(), "checklist item", "checklist items"),
            many(r.dris.len(), "role", "roles"),
            many(r.signoff_roles.len(), "sign-off", "sign-offs"),
            many(r.ownership.len(), "ownership line", "ownership lines"),
        )?;
        writeln!(
            f,
            "{}, {}, {}; {}",
            many(count(Severity::Error), "error", "errors"),
            many(count(Severity::Warning), "warning", "warnings"),
            many(count(Severity::Note), "note", "notes"),
            many(self.breaking(), "blocking finding", "blocking findings"),
        )
    }
}

fn many(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
