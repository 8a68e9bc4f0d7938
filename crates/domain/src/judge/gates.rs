//! The states of the gates.

use super::digests::{Digests, gate_head};
use crate::facts::Facts;
use crate::gate::{GateState, GateView};
use crate::item::{Item, ItemState, gate_owners};
use crate::role::Role;

pub(super) fn gate_of(item: &Item, gates: &[GateView]) -> Option<String> {
    item.gate.clone().filter(|g| gates.iter().any(|v| v.id == *g))
}

pub(super) fn items_of(states: &[ItemState], gate: &str) -> Vec<ItemState> {
    states.iter().filter(|s| s.item.gate.as_deref() == Some(gate)).cloned().collect()
}

pub(super) fn gate_views(
    facts: &Facts<'_>,
    states: &[ItemState],
    decision_gate: Option<&str>,
) -> Vec<GateView> {
    let mut views: Vec<GateView> = Vec::new();
    for gate in &facts.runbook.gates {
        let items = items_of(states, &gate.id);
        let release = facts.release.map(|r| r.id);
        let digests = Digests::of(&gate_head(&gate.id, release), items.iter());
        let is_decision = decision_gate == Some(gate.id.as_str());
        let satisfied = items.iter().all(ItemState::is_satisfied);
        let acceptance =
            facts.acceptances.iter().rfind(|a| a.gate == gate.id && Some(a.release) == release).cloned();
        let holds = satisfied && acceptance.as_ref().is_some_and(|a| digests.has(&a.digest));
        let state = match (release.is_some() && satisfied && !is_decision, holds && !is_decision) {
            (_, true) => GateState::Accepted,
            (true, false) => GateState::Ready,
            (false, false) => GateState::Open,
        };
        let waits_for =
            views.iter().filter(|v| v.state != GateState::Accepted).map(|v| v.id.clone()).collect();
        views.push(GateView {
            id: gate.id.clone(),
            title: gate.title.clone(),
            state,
            owners: if is_decision { vec![Role::Po] } else { gate_owners(&gate.id, facts) },
            items,
            digest: digests.now,
            fell_back: acceptance.is_some() && !holds && !is_decision,
            acceptance,
            waits_for,
            is_decision,
        });
    }
    views
}
