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

fn blocker(kind: BlockerKind, what: impl Into<String>, details: Vec<String>, owners: &[Role]) -> Blocker {
    Blocker { kind, what: what.into(), details, owners: labels(owners), since: None }
}

pub(super) fn blockers_before_signing(
    facts: &Facts<'_>,
    gates: &[GateView],
    loose: &[ItemState],
    drift: &[String],
) -> Vec<Blocker> {
    let mut out = Vec::new();
    out.extend(damaged_records(facts));
    if facts.runbook.gates.is_empty() {
        out.push(blocker(BlockerKind::Runbook, "The runbook has no gates", vec![], &[Role::Docs]));
    }
    if facts.observed.unreachable_since.is_some() {
        let why = vec![facts.observed.unreachable_why.clone()];
        out.push(blocker(BlockerKind::Stack, "The Docker engine cannot be reached", why, &[Role::DevOps]));
    }
    out.extend(release_not_running(facts));
    if !drift.is_empty() {
        let what = "The running stack differs from the release";
        out.push(blocker(BlockerKind::Stack, what, drift.to_vec(), &[Role::DevOps]));
    }
    out.extend(gates.iter().filter(|g| !g.is_decision && g.state != GateState::Accepted).map(not_accepted));
    for gate in gates.iter().filter(|g| g.is_decision) {
        let kind = BlockerKind::Gate(gate.id.clone());
        out.extend(open_checklist(kind, &format!("Gate {}: ", gate.id), &gate.items));
    }
    out.extend(open_checklist(BlockerKind::SignOffs, "", loose));
    out
}

fn damaged_records(facts: &Facts<'_>) -> Option<Blocker> {
    const ADVICE: &str = "Restore the data directory from the last good backup, or undo the change. If the change was \
                          intended, accept it with `stagegate verify --accept`. `stagegate verify` checks every record.";
    if facts.integrity.is_empty() {
        return None;
    }
    let details = facts.integrity.iter().cloned().chain([ADVICE.to_owned()]).collect();
    let what = "The stored records do not match the audit log";
    Some(blocker(BlockerKind::Audit, what, details, &[Role::Admin]))
}

/// Why the release does not run as it should.
fn release_not_running(facts: &Facts<'_>) -> Option<Blocker> {
    let what = match facts.release.map(|r| r.state) {
        None => "No release is open",
        Some(ReleaseState::Opened) => "The release is not deployed yet",
        Some(ReleaseState::Failed) => "The deploy of this release failed",
        Some(ReleaseState::RolledBackFrom) => "This release was rolled back and is marked bad",
        Some(ReleaseState::Deployed) => return services_not_healthy(facts),
    };
    Some(blocker(BlockerKind::Release, what, vec![], &[Role::DevOps]))
}

fn services_not_healthy(facts: &Facts<'_>) -> Option<Blocker> {
    let services = facts.observed.services.iter().filter(|s| !s.health.is_good());
    let bad: Vec<String> = services.map(|s| format!("{} is {}", s.name, s.health.label())).collect();
    // What was observed before the engine became unreachable says nothing about now.
    let known = !bad.is_empty() && facts.observed.unreachable_since.is_none();
    known.then(|| blocker(BlockerKind::Stack, bad.join(", "), vec![], &[Role::DevOps]))
}

fn not_accepted(gate: &GateView) -> Blocker {
    let open: Vec<&ItemState> = gate.items.iter().filter(|i| !i.is_satisfied()).collect();
    let what = if open.is_empty() {
        format!("Gate {} is ready to be accepted", gate.id)
    } else {
        let all = gate.items.len();
        let noun = if all == 1 { "criterion" } else { "criteria" };
        format!("Gate {}: {} of {all} {noun} open", gate.id, open.len())
    };
    blocker(BlockerKind::Gate(gate.id.clone()), what, complaints(&open), &gate.owners)
}

/// The open items of a checklist. Items that depend on sign-offs or other gates are listed with those.
fn open_checklist(kind: BlockerKind, place: &str, items: &[ItemState]) -> Option<Blocker> {
    let own =
        |i: &&ItemState| !matches!(i.item.proof, Proof::SignOffs | Proof::GatesAccepted) && !i.only_follows();
    let open: Vec<&ItemState> = items.iter().filter(own).filter(|i| !i.is_satisfied()).collect();
    if open.is_empty() {
        return None;
    }
    let what = format!("{place}{} open", checklist_items(open.len()));
    Some(blocker(kind, what, complaints(&open), &[Role::Qa, Role::Po]))
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
