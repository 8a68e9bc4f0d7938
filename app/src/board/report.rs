//! What only the printed board shows: it is the readiness report, so it says who stands for what.

use domain::judge::GateState;
use engine::view::BoardView;
use leptos::prelude::*;

use crate::ui::time;

/// The head of the report: stack, release, time, fingerprint.
pub(super) fn head(board: &BoardView) -> AnyView {
    let release = board.release.as_ref().map_or_else(|| "no release".to_owned(), |r| r.name());
    let title = format!("{}: readiness of release {release}", board.stack);
    let fingerprint = board.release.as_ref().map(|r| r.parts.fingerprint()).unwrap_or_default();
    view! {
        <div class="only-print stack stack--tight">
            <p class="strong">{title}</p>
            <p class="small">
                "As of " {time(board.now)} ", fingerprint " <code>{fingerprint}</code>
            </p>
        </div>
    }
    .into_any()
}

/// Who accepted the gates, and who signed.
pub(super) fn signatures(board: &BoardView) -> AnyView {
    let gates = board
        .judgement
        .gates
        .iter()
        .filter(|g| !g.is_decision)
        .map(|g| {
            let given = g.acceptance.as_ref().filter(|_| g.state == GateState::Accepted);
            let (who, at, note) = match given {
                Some(a) => (a.by_name.clone(), Some(time(a.at)), a.note.clone()),
                None => ("not accepted".to_owned(), None, String::new()),
            };
            view! {
                <tr>
                    <td>{format!("Gate {}", g.id)}</td>
                    <td>{who}</td>
                    <td>{at}</td>
                    <td class="wrap">{note}</td>
                </tr>
            }
        })
        .collect_view();
    let signs = board
        .judgement
        .sign_offs
        .iter()
        .map(|s| {
            let word = match (s.counts(), &s.last) {
                (Some(choice), _) => choice.label(),
                (None, Some(_)) => "to be re-confirmed",
                (None, None) => "has not signed",
            };
            let who = s.last.as_ref().map(|l| l.by_name.clone());
            let at = s.last.as_ref().map(|l| time(l.at));
            let comment = s.last.as_ref().map(|l| l.comment.clone());
            view! {
                <tr>
                    <td>{s.name.clone()} ": " {word}</td>
                    <td>{who}</td>
                    <td>{at}</td>
                    <td class="wrap">{comment}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="only-print" data-live="report">
            <h2>"Accepted and signed"</h2>
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">"What"</th>
                        <th scope="col">"By"</th>
                        <th scope="col">"When"</th>
                        <th scope="col">"Note"</th>
                    </tr>
                </thead>
                <tbody>{gates} {signs}</tbody>
            </table>
        </section>
    }
    .into_any()
}
