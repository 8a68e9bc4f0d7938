//! The blockers: everything that prevents Go.

use super::{Blocker, BlockerKind, SignOffView};
use crate::blocked_since::gate_since;
use crate::facts::{Choice, Facts, SignOff};
use crate::gate::{GateState, GateView};
use crate::item::{ItemState, Proof, Status};
use crate::release::ReleaseState;
use crate::role::Role;

fn labels(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|r| r.label().to_owned()).collect()
}

pub(super) fn blockers_before_signing(
    facts: &Facts<'_>,
    gates: &[GateView],
    loose: &[ItemState],
    drift: &[String],
) -> Vec<Blocker> {
    let devops = || labels(&[Role::DevOps]);
    let mut out = Vec::new();
    let mut push = |kind, what: String, details: Vec<String>, owners| {
        out.push(Blocker { kind, what, details, owners, since: None });
    };
    if !facts.integrity.is_empty() {
        let advice = "Restore the data directory from the last good backup, or undo the change. If the change was \
                      intended, accept it with `stagegate verify --accept`. `stagegate verify` checks every record.";
        let details = facts.integrity.iter().cloned().chain([advice.to_owned()]).collect();
        push(
            BlockerKind::Audit,
            "The stored records do not match the audit log".into(),
            details,
            labels(&[Role::Admin]),
        );
    }
    if facts.runbook.gates.is_empty() {
        push(BlockerKind::Runbook, "The runbook has no gates".into(), vec![], labels(&[Role::Docs]));
    }
    if facts.observed.unreachable_since.is_some() {
        push(
            BlockerKind::Stack,
            "The Docker engine cannot be reached".into(),
            vec![facts.observed.unreachable_why.clone()],
            devops(),
        );
    }
    match facts.release.map(|r| r.state) {
        None => push(BlockerKind::Release, "No release is open".into(), vec![], devops()),
        Some(ReleaseState::Opened) => {
            push(BlockerKind::Release, "The release is not deployed yet".into(), vec![], devops())
        }
        Some(ReleaseState::Failed) => {
            push(BlockerKind::Release, "The deploy of this release failed".into(), vec![], devops())
        }
        Some(ReleaseState::RolledBackFrom) => push(
            BlockerKind::Release,
            "This release was rolled back and is marked bad".into(),
            vec![],
            devops(),
        ),
        Some(ReleaseState::Deployed) => {
            let bad: Vec<String> = facts
                .observed
                .services
                .iter()
                .filter(|s| !s.health.is_good())
                .map(|s| format!("{} is {}", s.name, s.health.label()))
                .collect();
            if !bad.is_empty() && facts.observed.unreachable_since.is_none() {
                push(BlockerKind::Stack, bad.join(", "), vec![], devops());
            }
        }
    }
    if !drift.is_empty() {
        push(
            BlockerKind::Stack,
            "The running stack differs from the release".into(),
            drift.to_vec(),
            devops(),
        );
    }
    for gate in gates.iter().filter(|g| !g.is_decision && g.state != GateState::Accepted) {
        let open: Vec<&ItemState> = gate.items.iter().filter(|i| !i.is_satisfied()).collect();
        let what = if open.is_empty() {
            format!("Gate {} is ready to be accepted", gate.id)
        } else {
            let all = gate.items.len();
            let noun = if all == 1 { "criterion" } else { "criteria" };
            format!("Gate {}: {} of {all} {noun} open", gate.id, open.len())
        };
        push(BlockerKind::Gate(gate.id.clone()), what, complaints(&open), labels(&gate.owners));
    }
    // Items that depend on sign-offs or other gates are listed with those; one line is enough for the rest.
    let open_of = |items: &[ItemState]| -> Vec<ItemState> {
        let own = |i: &&ItemState| {
            !matches!(i.item.proof, Proof::SignOffs | Proof::GatesAccepted) && !i.only_follows()
        };
        items.iter().filter(own).filter(|i| !i.is_satisfied()).cloned().collect()
    };
    let checklist_owners = || labels(&[Role::Qa, Role::Po]);
    for gate in gates.iter().filter(|g| g.is_decision) {
        let open = open_of(&gate.items);
        if !open.is_empty() {
            let what = format!("Gate {}: {} open", gate.id, checklist_items(open.len()));
            let details = complaints(&open.iter().collect::<Vec<_>>());
            push(BlockerKind::Gate(gate.id.clone()), what, details, checklist_owners());
        }
    }
    let open = open_of(loose);
    if !open.is_empty() {
        let what = format!("{} open", checklist_items(open.len()));
        let details = complaints(&open.iter().collect::<Vec<_>>());
        push(BlockerKind::SignOffs, what, details, checklist_owners());
    }
    out
}

fn checklist_items(n: usize) -> String {
    if n == 1 { "1 checklist item".to_owned() } else { format!("{n} checklist items") }
}

/// One line per cause, with all items that it keeps open: `A.1, A.3: check “x” has not run`.
fn complaints(items: &[&ItemState]) -> Vec<String> {
    let mut causes: Vec<(&String, Vec<&str>)> = Vec::new();
    for item in items {
        let Status::Open(why) = &item.status else { continue };
        for cause in why {
            match causes.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, ids)) => ids.push(&item.item.id),
                None => causes.push((cause, vec![&item.item.id])),
            }
        }
    }
    causes.into_iter().map(|(cause, ids)| format!("{}: {cause}", ids.join(", "))).collect()
}

fn no_go_details(signed: &SignOff) -> Vec<String> {
    let mut details = vec![format!("{}: {}", signed.by_name, signed.comment)];
    if !signed.would_change.is_empty() {
        details.push(format!("what would change it: {}", signed.would_change));
    }
    details
}

/// Sets since when each blocker exists, if known.
pub(super) fn date_blockers(blockers: &mut [Blocker], facts: &Facts<'_>, gates: &[GateView]) {
    for blocker in blockers.iter_mut().filter(|b| b.since.is_none()) {
        blocker.since = match &blocker.kind {
            BlockerKind::Gate(id) => gates.iter().find(|g| g.id == *id).and_then(|g| gate_since(g, facts)),
            BlockerKind::Stack => facts.observed.unreachable_since,
            BlockerKind::Release => {
                facts.release.filter(|r| r.state == ReleaseState::Opened).map(|r| r.opened_at)
            }
            BlockerKind::Runbook | BlockerKind::SignOffs | BlockerKind::Audit => None,
        };
    }
}

/// Removes blockers that follow from another one: without a release no criterion can be satisfied, and a release
/// that was rolled back is replaced, not repaired.
pub(super) fn without_consequences(blockers: Vec<Blocker>, facts: &Facts<'_>) -> Vec<Blocker> {
    let moot = facts.release.is_none_or(|r| r.state == ReleaseState::RolledBackFrom);
    let follows = |b: &Blocker| matches!(b.kind, BlockerKind::Gate(_) | BlockerKind::SignOffs);
    blockers.into_iter().filter(|b| !(moot && follows(b))).collect()
}

pub(super) fn sign_off_blockers(facts: &Facts<'_>, views: &[SignOffView]) -> Vec<Blocker> {
    let mut out = Vec::new();
    for view in views.iter().filter(|v| v.counts() == Some(Choice::NoGo)) {
        let Some(signed) = &view.last else { continue };
        out.push(Blocker {
            kind: BlockerKind::SignOffs,
            what: format!("{} signed No-Go", view.name),
            details: no_go_details(signed),
            owners: vec![view.name.clone()],
            since: Some(signed.at),
        });
    }
    let waiting: Vec<&SignOffView> = views.iter().filter(|v| v.counts().is_none()).collect();
    if !waiting.is_empty() {
        let details = waiting
            .iter()
            .filter(|v| !v.stale.is_empty())
            .map(|v| format!("{}: sign-off no longer valid: {}", v.name, v.stale.join("; ")))
            .collect();
        let names: Vec<String> = waiting.iter().map(|v| v.name.clone()).collect();
        out.push(Blocker {
            kind: BlockerKind::SignOffs,
            what: format!("Sign-offs missing: {}", names.join(", ")),
            details,
            owners: names,
            since: None,
        });
    }
    let signers: Vec<i64> =
        views.iter().filter(|v| v.counts().is_some()).filter_map(|v| Some(v.last.as_ref()?.by)).collect();
    let deployer = facts.release.and_then(|r| r.deployed_by);
    if waiting.is_empty() && !signers.is_empty() && signers.iter().all(|s| Some(*s) == deployer) {
        out.push(Blocker {
            kind: BlockerKind::SignOffs,
            what: "Only the person who deployed has signed".to_owned(),
            details: vec![],
            owners: views.iter().map(|v| v.name.clone()).collect(),
            since: None,
        });
    }
    out
}
