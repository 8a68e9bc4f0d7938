//! The gates in a row.

use domain::gate::{GateState, GateView};
use leptos::prelude::*;

use crate::ui::{code_text, gate_badge};

/// The gates in a row; the gate of the current page is marked.
pub fn gate_row(gates: &[GateView], here: Option<&str>) -> AnyView {
    if gates.is_empty() {
        return ().into_any();
    }
    let tiles = gates.iter().map(|g| view! { <li>{tile(g, here)}</li> }).collect_view();
    view! {
        <nav aria-label="Gates" data-live="gates">
            <ol class="gates">{tiles}</ol>
        </nav>
    }
    .into_any()
}

/// `1 of 3 criteria satisfied`, `0 of 1 criterion satisfied`.
pub(crate) fn satisfied_text(gate: &GateView) -> String {
    let all = gate.items.len();
    let noun = if all == 1 { "criterion" } else { "criteria" };
    format!("{} of {all} {noun} satisfied", gate.satisfied())
}

fn tile(gate: &GateView, here: Option<&str>) -> AnyView {
    let class = match gate.state {
        GateState::Accepted => "gate-tile gate-tile--accepted",
        GateState::Ready => "gate-tile gate-tile--ready",
        GateState::Open if gate.is_red() => "gate-tile gate-tile--red",
        GateState::Open => "gate-tile gate-tile--open",
    };
    let done = gate.satisfied();
    let all = gate.items.len();
    let bar = if done == all { "bar bar--go" } else { "bar" };
    let label = satisfied_text(gate);
    view! {
        <a
            class=class
            href=format!("/gates/{}", gate.id)
            aria-current=(here == Some(gate.id.as_str())).then_some("page")
        >
            <span class="gate-tile__id">{gate.id.clone()} {gate_badge(gate)}</span>
            <span class="gate-tile__title">{code_text(&gate.title)}</span>
            <span class="small muted num">{format!("{done}/{all}")}</span>
            <progress
                class=bar
                max=all.max(1).to_string()
                value=done.to_string()
                aria-label=label
            ></progress>
        </a>
    }
    .into_any()
}
