//! Running actions, the next step, pending actions by role, and the last runs.

use engine::view::{BoardView, Waiting};
use leptos::prelude::*;

use crate::gates::step_card;
use crate::ui::{Here, Icon, card, deploy_confirm, icon, run_progress, run_table};

/// Runs in progress. The element is always present, so that live updates can fill it.
pub(super) fn running(board: &BoardView) -> AnyView {
    let runs = board
        .running
        .iter()
        .map(|run| {
            view! {
                <div class="card">
                    <div class="card__body">{run_progress(run, board.now)}</div>
                </div>
            }
        })
        .collect_view();
    view! { <div class="stack stack--tight" data-live="running">{runs}</div> }.into_any()
}

/// The next step of the runbook; on an empty board, where to start.
pub(super) fn next(here: &Here, board: &BoardView) -> AnyView {
    let first = board.release.is_none() && board.recent.is_empty() && board.running.is_empty();
    let Some(step) = &board.next_step else {
        let message = if board.judgement.gates.is_empty() {
            "The runbook contains no step that can be run. Open the runbook page to see what was recognised."
        } else {
            "All steps are done for this release."
        };
        return card(
            "next",
            "Next step",
            view! { <a class="small" href="/runbook">"Runbook"</a> },
            view! { <p class="muted">{message}</p> },
        );
    };
    let gate = step.step.gate.clone().map(|gate| {
        view! { <a class="small" href=format!("/gates/{gate}")>{format!("Gate {gate}")}</a> }
    });
    let title = if first { "No runs yet. Start with this step" } else { "Next step" };
    let deploy = first.then(|| {
        view! {
            <hr />
            <p class="small muted">"Or deploy the current checkout first:"</p>
            {deploy_confirm(here, &board.observed, &board.shown, &board.deploy, board.backup, "btn--primary")}
        }
    });
    card(
        "next",
        title,
        gate,
        view! { {step_card(here, step, board.now, true)} <div class="next no-print">{deploy}</div> },
    )
}

/// The last runs.
pub(super) fn recent(board: &BoardView) -> AnyView {
    let body = if board.recent.is_empty() {
        view! { <p class="muted">"No runs yet."</p> }.into_any()
    } else {
        run_table(&board.recent, board.now)
    };
    card("recent", "Last runs", view! { <a class="small" href="/runs">"All runs"</a> }, body)
}

/// Pending actions by role; those of the signed-in user are marked.
pub(super) fn waiting(board: &BoardView) -> AnyView {
    let body = if board.waiting.is_empty() {
        view! { <p class="muted">"No pending actions."</p> }.into_any()
    } else {
        let items = board.waiting.iter().map(wait).collect_view();
        view! { <ul class="lines">{items}</ul> }.into_any()
    };
    card("waiting", "Waiting for", (), body)
}

fn wait(wait: &Waiting) -> AnyView {
    let people = if wait.people.is_empty() { "not assigned".to_owned() } else { wait.people.join(", ") };
    let you = wait.you.then(|| {
        view! { <span class="badge badge--ready">{icon(Icon::Person)} "You"</span> }
    });
    view! {
        <li>
            <div class="row row--between">
                <span class="row"><span class="strong">{wait.role.clone()}</span> {you}</span>
                <span class="small muted wrap">{people}</span>
            </div>
            <a class="small wrap" href=wait.href.clone()>{wait.what.clone()}</a>
        </li>
    }
    .into_any()
}
