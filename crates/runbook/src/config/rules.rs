//! `[attestations]`, `[waivers]` and `[checklist]`: how long attestations and waivers are valid, and the parts
//! of checklist items.

use domain::item::{Proof, items};
use domain::rules::{ChecklistPart, Rules};
use domain::runbook::Runbook;
use toml::de::DeTable;

use super::checks::ReadCheck;
use super::cross::ids_near;
use super::walk::{At, Walk, suggestion};

/// The rules with the places of their ids.
#[derive(Default)]
pub(super) struct ReadRules {
    pub rules: Rules,
    /// Items in `[attestations]`.
    attested: Vec<At<String>>,
    /// Items of `[checklist]` and their parts.
    checklist: Vec<(At<String>, Vec<At<String>>)>,
}

/// Reads the three tables; all of them may be absent.
pub(super) fn read_rules(walk: &mut Walk<'_>, root: &DeTable<'_>) -> ReadRules {
    let mut read = ReadRules::default();
    if let Some(table) = walk.table(root, "attestations") {
        read.rules.attested_for_ms = walk.duration(table, "valid_for");
        for key in table.keys() {
            let item: &str = key.get_ref();
            if item == "valid_for" {
                continue;
            }
            if let Some(ms) = walk.duration(table, item) {
                read.rules.attested_for_items.insert(item.to_owned(), ms);
            }
            read.attested.push(At { value: item.to_owned(), span: key.span() });
        }
    }
    if let Some(table) = walk.table(root, "waivers") {
        walk.unknown_keys(table, &["max_duration"], "[waivers]");
        read.rules.waiver_longest_ms = walk.duration(table, "max_duration");
    }
    if let Some(table) = walk.table(root, "checklist") {
        for key in table.keys() {
            let item: &str = key.get_ref();
            let Some(parts) = walk.strings(table, item) else { continue };
            if parts.is_empty() {
                let hint = "list criteria and checks: [\"C.1\", \"check:env\"]";
                walk.error(key.span().start, format!("`{item}` has no parts"), hint);
            }
            let pieces: Vec<ChecklistPart> = parts.iter().map(|p| ChecklistPart::read(&p.value)).collect();
            read.rules.checklist.insert(item.to_owned(), pieces);
            read.checklist.push((At { value: item.to_owned(), span: key.span() }, parts));
        }
    }
    read
}

/// Checks that every id in the tables exists.
pub(super) fn check_rules(
    walk: &mut Walk<'_>,
    runbook: Option<&Runbook>,
    checks: &[ReadCheck],
    read: &ReadRules,
) {
    let known: Vec<&str> = checks.iter().map(|c| c.id.as_str()).filter(|id| !id.is_empty()).collect();
    let Some(runbook) = runbook else { return };
    let criteria: Vec<&str> = runbook.criteria.iter().map(|c| c.id.as_str()).collect();
    let lines: Vec<&str> = runbook.checklist.iter().map(|c| c.id.as_str()).collect();
    for At { value, span } in &read.attested {
        let all: Vec<&str> = criteria.iter().chain(&lines).copied().collect();
        if !all.contains(&value.as_str()) {
            let message =
                format!("`[attestations]` names `{value}`, but there is no such criterion or checklist item");
            walk.error(span.start, message, ids_near(value, &all));
        }
    }
    let proofs = items(runbook, &[], &[], &[], Rules::NONE);
    for (At { value, span }, parts) in &read.checklist {
        if !lines.contains(&value.as_str()) {
            let message = format!("the runbook has no checklist item `{value}`");
            walk.error(span.start, message, ids_near(value, &lines));
        } else if proofs
            .iter()
            .any(|i| i.id == *value && matches!(i.proof, Proof::GatesAccepted | Proof::SignOffs))
        {
            let message = format!("`{value}` is already computed from the gates or the sign-offs");
            walk.error(span.start, message, "remove it from [checklist]");
        }
        for part in parts {
            match ChecklistPart::read(&part.value) {
                ChecklistPart::Criterion(id) if !criteria.contains(&id.as_str()) => {
                    let message = format!("the runbook has no criterion `{id}`");
                    let hint = if known.contains(&id.as_str()) {
                        format!("to use the check of that name, write “check:{id}”")
                    } else {
                        ids_near(&id, &criteria)
                    };
                    walk.error(part.span.start, message, hint);
                }
                ChecklistPart::Check(id) if !known.contains(&id.as_str()) => {
                    let message = format!("there is no check `{id}`");
                    walk.error(part.span.start, message, suggestion(&id, &known));
                }
                _ => {}
            }
        }
    }
}
