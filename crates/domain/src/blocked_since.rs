//! Since when something blocks the release, where the facts show it; otherwise `None`.

use crate::evidence::{Outcome, Staleness, staleness};
use crate::facts::Facts;
use crate::gate::{GateState, GateView};
use crate::item::{CheckState, ItemState, Proof, Standing, Status};
use crate::time::Millis;

/// Since when a gate blocks: since its longest open item, else since it became ready.
pub fn gate_since(gate: &GateView, facts: &Facts<'_>) -> Option<Millis> {
    let open: Vec<&ItemState> = gate.items.iter().filter(|i| !i.is_satisfied()).collect();
    if open.is_empty() {
        return (gate.state == GateState::Ready).then(|| ready_since(gate)).flatten();
    }
    open.into_iter().filter_map(|i| item_since(i, facts)).min()
}

/// When the last requirement was met: the newest evidence, attestation or waiver among its items.
fn ready_since(gate: &GateView) -> Option<Millis> {
    gate.items
        .iter()
        .filter_map(|item| match item.status {
            Status::Proved => {
                let seen = item.checks.iter().filter_map(|c| c.last.as_ref()).map(|e| e.at);
                seen.chain(item.attestation.as_ref().map(|a| a.at)).max()
            }
            Status::Attested => item.attestation.as_ref().map(|a| a.at),
            Status::Waived => item.waiver.as_ref().map(|w| w.at),
            Status::Derived | Status::Open(_) => None,
        })
        .max()
}

/// Since when an item is open; `None` when it is satisfied or the time is not known.
pub fn item_since(state: &ItemState, facts: &Facts<'_>) -> Option<Millis> {
    if state.is_satisfied() {
        return None;
    }
    let opened = facts.release?.opened_at;
    let waiver_ended = facts
        .waivers
        .iter()
        .rfind(|w| state.item.is_called(&w.item) && state.item.says(&w.text_digest))
        .map(|w| if w.holds { w.until } else { w.at })
        .filter(|at| *at <= facts.now);
    let checks = state.checks.iter().filter_map(|c| check_since(c, facts, opened)).min();
    let attestation = state.takes_word().then(|| attestation_since(state, facts, opened)).flatten();
    let since = match &state.item.proof {
        Proof::Attestation => attestation,
        Proof::Checks(_) | Proof::Pieces(_) => match (checks, attestation) {
            (Some(a), Some(b)) if state.attestation.is_none() => Some(a.min(b)),
            (Some(a), _) => Some(a),
            (None, b) => b,
        },
        // Files show what is wrong, but not since when.
        Proof::GatesAccepted | Proof::SignOffs | Proof::Preflight { .. } => None,
    }?;
    // While a waiver was in force, the item did not block.
    Some(waiver_ended.map_or(since, |ended| since.max(ended)))
}

fn attestation_since(state: &ItemState, facts: &Facts<'_>, opened: Millis) -> Option<Millis> {
    match &state.old_word {
        None => Some(opened),
        Some(old) if !old.holds => Some(old.at),
        Some(old) if old.text_digest != state.item.digest => None,
        Some(old) => facts.rules.attested_for(&state.item.id).map(|valid| old.at.plus(valid)),
    }
}

/// Since when a check has not passed for the current release.
fn check_since(state: &CheckState, facts: &Facts<'_>, opened: Millis) -> Option<Millis> {
    match state.standing {
        Standing::Pass => None,
        Standing::Missing => Some(opened),
        Standing::Stale => match (state.stale.as_slice(), &state.last) {
            ([Staleness::TooOld { allowed_ms, .. }], Some(last)) => Some(last.at.plus(*allowed_ms)),
            // A part or the check changed; the evidence does not record when.
            _ => None,
        },
        Standing::Fail | Standing::Inconclusive => {
            let check = facts.checks.iter().find(|c| c.id == state.check)?;
            let parts = &facts.release?.parts;
            facts
                .evidence
                .iter()
                .rev()
                .filter(|e| e.check == check.id && staleness(e, check, parts, facts.now).is_empty())
                .take_while(|e| e.finding.outcome != Outcome::Pass)
                .map(|e| e.at)
                .last()
        }
    }
}
