//! Since when something stands in the way, as far as the facts tell. Where they do not, nothing is said.

use crate::evidence::{Outcome, Staleness, staleness};
use crate::facts::Facts;
use crate::gate::{GateState, GateView};
use crate::item::{CheckState, ItemState, Proof, Standing, Status};
use crate::time::Millis;

/// Since when a gate stands in the way: its longest open item, else when it became ready.
pub fn gate_since(gate: &GateView, facts: &Facts<'_>) -> Option<Millis> {
    let open: Vec<&ItemState> = gate.items.iter().filter(|i| !i.is_satisfied()).collect();
    if open.is_empty() {
        return (gate.state == GateState::Ready).then(|| ready_since(gate)).flatten();
    }
    open.into_iter().filter_map(|i| item_since(i, facts)).min()
}

/// The last thing that was needed: the newest evidence, word or waiver among its items.
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

/// Since when an open item is open; `None` for a satisfied one and where it is not known.
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
    let word = state.takes_word().then(|| word_since(state, facts, opened)).flatten();
    let since = match &state.item.proof {
        Proof::Attestation => word,
        Proof::Checks(_) | Proof::Pieces(_) => match (checks, word) {
            (Some(a), Some(b)) if state.attestation.is_none() => Some(a.min(b)),
            (Some(a), _) => Some(a),
            (None, b) => b,
        },
        // Files say what is wrong, not since when.
        Proof::GatesAccepted | Proof::SignOffs | Proof::Preflight { .. } => None,
    }?;
    // While it was let through it was not in the way.
    Some(waiver_ended.map_or(since, |ended| since.max(ended)))
}

fn word_since(state: &ItemState, facts: &Facts<'_>, opened: Millis) -> Option<Millis> {
    match &state.old_word {
        None => Some(opened),
        Some(word) if !word.holds => Some(word.at),
        Some(word) if word.text_digest != state.item.digest => None,
        Some(word) => facts.rules.attested_for(&state.item.id).map(|valid| word.at.plus(valid)),
    }
}

/// Since when a check does not pass for the release that is judged.
fn check_since(state: &CheckState, facts: &Facts<'_>, opened: Millis) -> Option<Millis> {
    match state.standing {
        Standing::Pass => None,
        Standing::Missing => Some(opened),
        Standing::Stale => match (state.stale.as_slice(), &state.last) {
            ([Staleness::TooOld { allowed_ms, .. }], Some(last)) => Some(last.at.plus(*allowed_ms)),
            // A part or the check changed; when is not in the evidence.
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
