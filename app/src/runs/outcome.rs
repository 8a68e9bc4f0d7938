//! The outcome of a run: evidence, the failed services of a deploy with the rollback button, and the
//! verification of a rollback.

use domain::evidence::{Evidence, Outcome};
use engine::view::{FailingService, FollowUpState, FollowUpView, RunKind, RunPage, RunState};
use leptos::prelude::*;

use crate::ui::{Here, Icon, badge, finding, follow_up_words, icon, rollback_confirm, rollback_words, table};

/// The outcome of a run; empty for a step that passed.
pub(super) fn outcome(here: &Here, page: &RunPage) -> AnyView {
    view! {
        {went_wrong(here, page)} {follow_ups(&page.follow_ups)} {failing(&page.failing)} {proof(&page.proof)} {evidence(&page.evidence)}
    }
    .into_any()
}

fn went_wrong(here: &Here, page: &RunPage) -> AnyView {
    let changes_stack = matches!(page.run.kind, RunKind::Deploy | RunKind::Rollback | RunKind::Drill);
    let title = match page.run.state {
        RunState::Running | RunState::Passed => return ().into_any(),
        RunState::Interrupted => "Interrupted: the outcome is unknown. Check the stack before you continue.",
        RunState::Inconclusive => "Inconclusive: at least one check could not be evaluated.",
        RunState::Cancelled if changes_stack => {
            "Cancelled before it was complete. Services may be down until the next deploy or rollback."
        }
        RunState::Failed if changes_stack && page.failing.is_empty() => {
            "Failed. The log below shows the reason."
        }
        RunState::Failed if changes_stack => {
            "Failed: the stack did not become healthy. The failed services are down."
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
    let no_target = (changes_stack && page.rollback.is_none()).then(|| {
        view! {
            <p class="small">
                "There is no rollback target yet. Fix the errors shown below, then "
                <a href="/releases">"deploy again"</a> "."
            </p>
        }
    });
    view! {
        <div class=class>
            <p class="notice__title">{icon(Icon::Warning)} " " {title}</p>
            {back}
            {no_target}
        </div>
    }
    .into_any()
}

/// The automatic actions after this run, with their state.
fn follow_ups(all: &[FollowUpView]) -> AnyView {
    if all.is_empty() {
        return ().into_any();
    }
    let each = all
        .iter()
        .map(|f| {
            let started = match &f.state {
                FollowUpState::Started(run) => {
                    Some(view! { <a href=format!("/runs/{run}")>{format!("run {run}")}</a> })
                }
                FollowUpState::Pending(_) | FollowUpState::NotDone(_) => None,
            };
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
            let log = if s.last_lines.is_empty() {
                view! { <p class="small muted">"No output."</p> }.into_any()
            } else {
                view! { <pre class="command small">{s.last_lines.join("\n")}</pre> }.into_any()
            };
            view! {
                <li class="stack stack--tight">
                    <div class="row">
                        <span class="strong mono">{s.name.clone()}</span>
                        {badge("fail", Icon::Cross, &s.health)}
                    </div>
                    {log}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="card card--red">
            <div class="card__head">
                <h2>"Failed services and their last log lines"</h2>
            </div>
            <div class="card__body">
                <ul class="lines">{each}</ul>
            </div>
        </section>
    }
    .into_any()
}

/// Expected and running image of each service: whether the rollback replaced the containers.
fn proof(proof: &[(String, String, String)]) -> AnyView {
    if proof.is_empty() {
        return ().into_any();
    }
    let all = proof.iter().all(|(_, expected, running)| expected == running);
    let rows = proof
        .iter()
        .map(|(service, expected, running)| {
            let result = if expected == running {
                badge("pass", Icon::Check, "Same")
            } else {
                badge("fail", Icon::Cross, "Different")
            };
            let running = if running.is_empty() { "not running".to_owned() } else { running.clone() };
            view! {
                <tr>
                    <td data-label="Service" class="mono strong">{service.clone()}</td>
                    <td data-label="Result">{result}</td>
                    <td data-label="Expected" class="mono small wrap">{expected.clone()}</td>
                    <td data-label="Actual" class="mono small wrap">{running}</td>
                </tr>
            }
        })
        .collect_view();
    let class = if all { "card card--green" } else { "card card--red" };
    let summary = if all {
        "Every service runs the expected image."
    } else {
        "At least one service does not run the expected image."
    };
    view! {
        <section class=class>
            <div class="card__head">
                <h2>"Rollback verification"</h2>
                <span class="small muted">{summary}</span>
            </div>
            {table(&["Service", "Result", "Expected image", "Actual image"], rows)}
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
            let result = match e.finding.outcome {
                Outcome::Pass => badge("pass", Icon::Check, "Passed"),
                Outcome::Fail => badge("fail", Icon::Cross, "Failed"),
                Outcome::Inconclusive => badge("inconclusive", Icon::Warning, "Inconclusive"),
            };
            view! {
                <li class="stack stack--tight">
                    <div class="row">{result} <span class="strong mono">{e.check.clone()}</span></div>
                    {finding(e, None)}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="card">
            <div class="card__head">
                <h2>"Evidence"</h2>
                <span class="small muted">{super::list::count(evidence.len(), "check")}</span>
            </div>
            <div class="card__body">
                <ul class="lines">{each}</ul>
            </div>
        </section>
    }
    .into_any()
}
