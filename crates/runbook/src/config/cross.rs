//! Does the configuration match the runbook: every id exists, and its text still contains the words that
//! `proves` quotes.

use std::collections::HashMap;

use domain::runbook::{Problem, Runbook, Severity};

use super::checks::{Claim, ClaimTarget, ReadCheck};
use super::walk::{At, Walk, suggestion};
use crate::text::{fold, shorten, squeeze};

/// Ids in the other tables.
#[derive(Default)]
pub(super) struct References {
    pub steps: Vec<At<String>>,
    pub checks: Vec<At<String>>,
    pub gates: Vec<At<String>>,
    /// Criteria and checklist items that need an attestation in addition to their checks.
    pub items: Vec<At<String>>,
}

/// Compares both; without a runbook, checks only the configuration.
pub(super) fn cross_check(
    walk: &mut Walk<'_>,
    runbook: Option<&Runbook>,
    checks: &[ReadCheck],
    references: &References,
) {
    ids_and_claims(walk, checks);
    let mut known: Vec<&str> = checks.iter().map(|c| c.id.as_str()).filter(|id| !id.is_empty()).collect();
    known.sort_unstable();
    known.dedup();
    for At { value, span } in &references.checks {
        if !known.contains(&value.as_str()) {
            let message = format!("`smoke` names the check `{value}`, which does not exist");
            walk.error(span.start, message, suggestion(value, &known));
        }
    }
    let Some(runbook) = runbook else { return };
    for read in checks {
        if let Some(step) = read.check.as_ref().and_then(|c| c.spec.step()) {
            step_exists(walk, runbook, step, read.step_at);
        }
        for claim in &read.claims {
            claim_holds(walk, runbook, claim);
        }
    }
    references_exist(walk, runbook, references);
}

/// Reports an id that is used twice, and a check that proves nothing.
fn ids_and_claims(walk: &mut Walk<'_>, checks: &[ReadCheck]) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for read in checks {
        let id = read.id.as_str();
        if let Some(at) = first.get(id).filter(|_| !id.is_empty()) {
            let line = walk.lines.line(*at);
            let message = format!("the check id `{id}` is already used in line {line}");
            walk.error(read.id_at, message, "give every check a unique id");
        } else {
            first.insert(id, read.id_at);
        }
        if !read.claims_something {
            let name = if id.is_empty() { "this check".to_owned() } else { format!("the check `{id}`") };
            let hint = "add proves = [{ criterion = \"A.1\", contains = \"…\" }]";
            walk.error(read.id_at, format!("{name} proves nothing"), hint);
        }
    }
}

fn references_exist(walk: &mut Walk<'_>, runbook: &Runbook, references: &References) {
    for step in &references.steps {
        step_exists(walk, runbook, &step.value, step.span.start);
    }
    let items: Vec<&str> = runbook
        .criteria
        .iter()
        .map(|c| c.id.as_str())
        .chain(runbook.checklist.iter().map(|c| c.id.as_str()))
        .collect();
    for At { value, span } in &references.items {
        if !items.contains(&value.as_str()) {
            let message =
                format!("`attest` names `{value}`, but there is no such criterion or checklist item");
            walk.error(span.start, message, ids_near(value, &items));
        }
    }
    let gates: Vec<&str> = runbook.gates.iter().map(|g| g.id.as_str()).collect();
    for At { value, span } in &references.gates {
        if !gates.contains(&value.as_str()) {
            let message = format!("the runbook has no Gate {value}");
            walk.error(span.start, message, format!("use one of: {}", gates.join(", ")));
        }
    }
}

fn step_exists(walk: &mut Walk<'_>, runbook: &Runbook, id: &str, at: usize) {
    if runbook.step(id).is_none() {
        let ids: Vec<&str> = runbook.steps.iter().map(|s| s.id.as_str()).collect();
        walk.error(at, format!("the runbook has no step `{id}`"), ids_near(id, &ids));
    }
}

fn claim_holds(walk: &mut Walk<'_>, runbook: &Runbook, claim: &Claim) {
    let id = claim.id.value.as_str();
    let criteria = || runbook.criteria.iter().map(|c| c.id.as_str());
    let rows = || runbook.matrix.iter().map(|r| r.id.as_str());
    let items = || runbook.checklist.iter().map(|c| c.id.as_str());
    let (what, ids): (&str, Vec<&str>) = match claim.target {
        Some(ClaimTarget::Criterion) => ("criterion", criteria().collect()),
        Some(ClaimTarget::MatrixRow) => ("matrix row", rows().collect()),
        Some(ClaimTarget::ChecklistItem) => ("checklist item", items().collect()),
        None => ("criterion, row or item", criteria().chain(rows()).chain(items()).collect()),
    };
    if !ids.contains(&id) {
        let message = format!("the runbook has no {what} `{id}`");
        walk.error(claim.id.span.start, message, ids_near(id, &ids));
        return;
    }
    let (Some(says), Some(text)) = (&claim.says, runbook.provable_text(id)) else { return };
    let wanted = fold(&says.value);
    if wanted.is_empty() {
        walk.error(says.span.start, "`contains` is empty", "quote words of the text that the check proves");
    } else if !fold(&text).contains(&wanted) {
        let message = format!("the text of `{id}` does not contain “{}”", says.value);
        let hint = format!("the text is “{}”: correct the id or `contains`", shorten(&squeeze(&text), 100));
        walk.error(says.span.start, message, hint);
    }
}

/// The ids of the same gate or section, else all ids; at most 12.
pub(super) fn ids_near(id: &str, ids: &[&str]) -> String {
    if ids.is_empty() {
        return "the runbook has none".to_owned();
    }
    let prefix = id.split_once('.').map_or(id, |(p, _)| p);
    let near: Vec<&str> =
        ids.iter().copied().filter(|i| i.split_once('.').is_some_and(|(p, _)| p == prefix)).collect();
    let listed = if near.is_empty() { ids } else { &near };
    let more = if listed.len() > 12 { ", …" } else { "" };
    format!("use one of: {}{more}", listed[..listed.len().min(12)].join(", "))
}

/// Adds a note for each criterion that no check proves: a person must attest it.
pub(super) fn note_attestations(
    problems: &mut Vec<Problem>,
    runbook: &Runbook,
    checks: &[ReadCheck],
    file: &str,
) {
    let proved: std::collections::HashSet<&str> =
        checks.iter().flat_map(|c| c.claims.iter().map(|p| p.id.value.as_str())).collect();
    for criterion in runbook.criteria.iter().filter(|c| !proved.contains(c.id.as_str())).take(200) {
        problems.push(Problem {
            file: Some(file.to_owned()),
            line: criterion.line,
            column: 1,
            severity: Severity::Note,
            message: format!("no check proves {}: a person must attest it", criterion.id),
            hint: String::new(),
        });
    }
}
