//! What came of a run: the evidence it found, what kept a deploy from being healthy and the way back,
//! the proof of a rollback.

use domain::evidence::{Evidence, Outcome};
use engine::view::{FailingService, FollowUpView, RunPage, RunState};
use leptos::prelude::*;

use crate::ui::{Here, Icon, badge, finding, follow_up_words, icon, rollback_confirm, rollback_words, table};

/// Everything there is to say; nothing for a plain step that ended well.
pub(super) fn outcome(here: &Here, page: &RunPage) -> AnyView {
    view! {
        {went_wrong(here, page)} {follow_ups(&page.follow_ups)} {failing(&page.failing)} {proof(&page.proof)} {evidence(&page.evidence)}
    }
    .into_any()
}

fn went_wrong(here: &Here, page: &RunPage) -> AnyView {
    let changes_stack = matches!(page.run.kind.as_str(), "deploy" | "rollback" | "drill");
    let title = match page.run.state {
        RunState::Running | RunState::Passed => return ().into_any(),
        RunState::Interrupted => {
            "It was interrupted and its outcome is unknown. Look at the stack before you go on."
        }
        RunState::Inconclusive => "It ended without being able to tell.",
        RunState::Cancelled if changes_stack => {
            "It was stopped half way. Services may be down until the next deploy or rollback."
        }
        RunState::Failed if changes_stack => {
            "It did not bring the stack up healthy. Services that failed are down."
        }
        RunState::Failed | RunState::Cancelled => return ().into_any(),
    };
    let class = if changes_stack { "notice notice--error" } else { "notice notice--warn" };
    let back = page.rollback.as_ref().map(|offer| {
        view! {
            <div class="row no-print">{rollback_confirm(here, offer, "btn--danger")}</div>
            <p class="muted">{rollback_words(offer)}</p>
        }
    });
    let nowhere = (changes_stack && page.rollback.is_none()).then(|| {
        view! {
            <p class="small">
                "There is no other release to go back to yet. Mend what the services say below, then "
                <a href="/releases">"deploy again"</a> "."
            </p>
        }
    });
    view! {
        <div class=class>
            <p class="notice__title">{icon(Icon::Warning)} " " {title}</p>
            {back}
            {nowhere}
        </div>
    }
    .into_any()
}

/// What follows by itself, and what became of it.
fn follow_ups(all: &[FollowUpView]) -> AnyView {
    if all.is_empty() {
        return ().into_any();
    }
    let each = all
        .iter()
        .map(|f| {
            let started = f.started.map(|run| {
                view! { <a href=format!("/runs/{run}")>{format!("run {run}")}</a> }
            });
            view! {
                <dt>{f.label.clone()}</dt>
                <dd class="wrap">{follow_up_words(f)} " " {started}</dd>
            }
        })
        .collect_view();
    view! {
        <section class="card">
            <div class="card__head">
                <h2>"Automatic actions"</h2>
            </div>
            <div class="card__body">
                <dl class="kv">{each}</dl>
            </div>
        </section>
    }
    .into_any()
}

fn failing(services: &[FailingService]) -> AnyView {
    if services.is_empty() {
        return ().into_any();
    }
    let each = services
        .iter()
        .map(|s| {
            let said = if s.last_lines.is_empty() {
                view! { <p class="small muted">"It has written nothing."</p> }.into_any()
            } else {
                view! { <pre class="command small">{s.last_lines.join("\n")}</pre> }.into_any()
            };
            view! {
                <li class="stack stack--tight">
                    <div class="row">
                        <span class="strong mono">{s.name.clone()}</span>
                        {badge("fail", Icon::Cross, &s.health)}
                    </div>
                    {said}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="card card--red">
            <div class="card__head">
                <h2>"Services that failed, with their last lines"</h2>
            </div>
            <div class="card__body">
                <ul class="lines">{each}</ul>
            </div>
        </section>
    }
    .into_any()
}

/// Wanted against running image of each service: whether a rollback really went back.
fn proof(proof: &[(String, String, String)]) -> AnyView {
    if proof.is_empty() {
        return ().into_any();
    }
    let all = proof.iter().all(|(_, wanted, running)| wanted == running);
    let rows = proof
        .iter()
        .map(|(service, wanted, running)| {
            let word = if wanted == running {
                badge("pass", Icon::Check, "Same")
            } else {
                badge("fail", Icon::Cross, "Another")
            };
            let running = if running.is_empty() { "nothing runs".to_owned() } else { running.clone() };
            view! {
                <tr>
                    <td data-label="Service" class="mono strong">{service.clone()}</td>
                    <td data-label="Proof">{word}</td>
                    <td data-label="Wanted" class="mono small wrap">{wanted.clone()}</td>
                    <td data-label="Running" class="mono small wrap">{running}</td>
                </tr>
            }
        })
        .collect_view();
    let class = if all { "card card--green" } else { "card card--red" };
    let said = if all {
        "Every service runs the image it should."
    } else {
        "At least one service does not run the image it should."
    };
    view! {
        <section class=class>
            <div class="card__head">
                <h2>"Proof of the rollback"</h2>
                <span class="small muted">{said}</span>
            </div>
            {table(&["Service", "Proof", "Image wanted", "Image running"], rows)}
        </section>
    }
    .into_any()
}

fn evidence(evidence: &[Evidence]) -> AnyView {
    if evidence.is_empty() {
        return ().into_any();
    }
    let each = evidence
        .iter()
        .map(|e| {
            let word = match e.finding.outcome {
                Outcome::Pass => badge("pass", Icon::Check, "Pass"),
                Outcome::Fail => badge("fail", Icon::Cross, "Fail"),
                Outcome::Inconclusive => badge("inconclusive", Icon::Warning, "Inconclusive"),
            };
            view! {
                <li class="stack stack--tight">
                    <div class="row">{word} <span class="strong mono">{e.check.clone()}</span></div>
                    {finding(e, None)}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="card">
            <div class="card__head">
                <h2>"Evidence found"</h2>
                <span class="small muted">{super::list::count(evidence.len(), "check")}</span>
            </div>
            <div class="card__body">
                <ul class="lines">{each}</ul>
            </div>
        </section>
    }
    .into_any()
}
