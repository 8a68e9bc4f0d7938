//! Parts that only the printed board shows. It is the readiness report, so it names who accepted and signed.

use domain::gate::{GateState, GateView};
use domain::item::{ItemState, Status};
use domain::judge::SignOffView;
use domain::rules::ChecklistPart;
use engine::view::BoardView;
use leptos::prelude::*;

use crate::ui::{code_text, print_table, time};

/// The head of the report: stack, release, time, fingerprint.
pub(super) fn head(board: &BoardView) -> AnyView {
    let release = board.release.as_ref().map_or_else(|| "no release".to_owned(), |r| r.name());
    let title = format!("{}: readiness report for release {release}", board.stack);
    let fingerprint = board.release.as_ref().map(|r| r.parts.fingerprint()).unwrap_or_default();
    let log = board.audit_head.clone().map(|head| {
        view! { <p class="small">"Audit log verified up to " <code class="wrap">{head}</code></p> }
    });
    view! {
        <div class="only-print stack stack--tight">
            <p class="strong">{title}</p>
            <p class="strong">{board.judgement.verdict.line()}</p>
            <p class="small">
                "As of " {time(board.now)} ", fingerprint " <code>{fingerprint}</code>
            </p>
            {log}
        </div>
    }
    .into_any()
}

/// One line for each criterion and checklist item: its state and its evidence.
pub(super) fn gates(board: &BoardView) -> AnyView {
    let rows = board
        .judgement
        .gates
        .iter()
        .flat_map(|g| &g.items)
        .chain(&board.judgement.loose_items)
        .map(|state| {
            view! {
                <tr>
                    <td class="mono">{state.item.id.clone()}</td>
                    <td class="wrap">{code_text(&state.item.text)}</td>
                    <td class="strong">{state.word()}</td>
                    <td class="wrap">{evidence_text(state)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="only-print report" data-live="report-items">
            <h2>"Criteria and checklist"</h2>
            {print_table(&["No.", "Criterion", "State", "Evidence"], rows)}
        </section>
    }
    .into_any()
}

/// The evidence, the attestation, the waiver, or what is missing, in one phrase.
fn evidence_text(state: &ItemState) -> String {
    let mut parts: Vec<String> = match &state.status {
        Status::Open(why) => why.clone(),
        Status::Waived => state
            .waiver
            .iter()
            .map(|w| format!("waived by {} until {}: {}", w.by_name, w.last_day(), w.reason))
            .collect(),
        Status::Derived => vec!["computed by Stagegate".to_owned()],
        Status::Proved | Status::Attested => {
            let value = |c: &domain::item::CheckState| {
                c.shown_value().map_or_else(|| c.check.clone(), |v| format!("{} {}", v.check, v.value))
            };
            let parts = state.pieces.iter().filter_map(|p| match &p.piece {
                ChecklistPart::Criterion(id) => Some(format!("{id} {}", p.word)),
                ChecklistPart::Check(_) => None,
            });
            state.checks.iter().map(value).chain(parts).collect()
        }
    };
    if let Some(attestation) = state.attestation.as_ref().filter(|_| state.is_satisfied()) {
        parts.push(format!("{}: {}", attestation.by_name, attestation.note));
    }
    parts.join("; ")
}

/// Who accepted the gates, and who signed.
pub(super) fn signatures(board: &BoardView) -> AnyView {
    let gates = board.judgement.gates.iter().filter(|g| !g.is_decision).map(acceptance_row).collect_view();
    let signs = board.judgement.sign_offs.iter().map(sign_off_row).collect_view();
    let decision = board.judgement.decision.as_ref().map(|d| {
        view! {
            <tr>
                <td>"Decision: " {d.choice.label()}</td>
                <td>{d.by_name.clone()}</td>
                <td>{time(d.at)}</td>
                <td class="wrap">{d.note.clone()}</td>
            </tr>
        }
    });
    view! {
        <section class="only-print report" data-live="report">
            <h2>"Acceptances and sign-offs"</h2>
            {print_table(&["Item", "By", "Time", "Note"], view! { {gates} {signs} {decision} })}
        </section>
    }
    .into_any()
}

fn acceptance_row(gate: &GateView) -> AnyView {
    let given = gate.acceptance.as_ref().filter(|_| gate.state == GateState::Accepted);
    let (who, at, note) = match given {
        Some(a) => (a.by_name.clone(), Some(time(a.at)), a.note.clone()),
        None => ("not accepted".to_owned(), None, String::new()),
    };
    view! {
        <tr>
            <td>{format!("Gate {}", gate.id)}</td>
            <td>{who}</td>
            <td>{at}</td>
            <td class="wrap">{note}</td>
        </tr>
    }
    .into_any()
}

fn sign_off_row(view: &SignOffView) -> AnyView {
    let state = match (view.counts(), &view.last) {
        (Some(choice), _) => choice.label(),
        (None, Some(_)) => "sign-off no longer valid",
        (None, None) => "not signed",
    };
    let who = view.last.as_ref().map(|l| l.by_name.clone());
    let at = view.last.as_ref().map(|l| time(l.at));
    let comment = view.last.as_ref().map(|l| match l.would_change.as_str() {
        "" => l.comment.clone(),
        would => format!("{} (conditions for a Go: {would})", l.comment),
    });
    view! {
        <tr>
            <td>{view.name.clone()} ": " {state}</td>
            <td>{who}</td>
            <td>{at}</td>
            <td class="wrap">{comment}</td>
        </tr>
    }
    .into_any()
}
