//! Sign-offs, and why a decision is no longer valid.

use super::digests::{Digests, FirstNames};
use super::{SignOffView, Verdict};
use crate::diff::{part_changes, row_changes, value_changes, why_stale};
use crate::facts::{Choice, Decision, Facts, ShownRow};
use crate::release::ReleaseComponents;
use crate::role::Role;

pub(super) fn why_fallen(
    decision: &Decision,
    verdict: &Verdict,
    digests: &Digests,
    shown: &[ShownRow],
    names: &FirstNames,
) -> Vec<String> {
    let mut why = Vec::new();
    if !verdict.is_go() {
        let first = verdict.blockers.first().map_or("", |b| b.what.as_str());
        let more = match verdict.blockers.len() {
            0 | 1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        why.push(format!("the verdict is now No-Go: {first}{more}"));
    }
    if !digests.has(&decision.digest) {
        let then = names.renewed(&decision.shown);
        let rows = if then.is_empty() { vec![] } else { row_changes(&then, shown) };
        if rows.is_empty() && verdict.is_go() {
            why.push("the evidence has changed since the decision".to_owned());
        }
        why.extend(rows);
    } else if why.is_empty() {
        why.push("the sign-offs have changed since the decision".to_owned());
    }
    why
}

pub(super) fn sign_off_views(
    facts: &Facts<'_>,
    digests: &Digests,
    shown: &[ShownRow],
    names: &FirstNames,
) -> Vec<SignOffView> {
    let release = facts.release.map(|r| r.id);
    let mut seen: Vec<i64> = Vec::new();
    let none = ReleaseComponents::default();
    let parts = facts.release.map_or(&none, |r| &r.parts);
    let mut views = Vec::new();
    for name in &facts.runbook.signoff_roles {
        let role = Role::from_owner_word(&name.role).first().copied();
        let last =
            facts.sign_offs.iter().rfind(|s| Some(s.release) == release && Some(s.role) == role).cloned();
        let (mut stale, mut changes) = (Vec::new(), Vec::new());
        if let Some(signed) = &last {
            let then = names.renewed(&signed.shown);
            // A No-Go is valid until its signer changes it; only a Go can become stale.
            if signed.choice == Choice::Go && !digests.has(&signed.digest) {
                stale = why_stale(&then, signed.parts.as_ref(), shown, parts);
            }
            changes = signed.parts.as_ref().map(|p| part_changes(p, parts)).unwrap_or_default();
            changes.extend(row_changes(&then, shown));
            changes.extend(value_changes(&then, shown));
            if seen.contains(&signed.by) {
                stale.push(format!("{} has already signed for another role", signed.by_name));
            }
            seen.push(signed.by);
        }
        views.push(SignOffView { name: name.role.clone(), role, last, stale, changes });
    }
    views
}
