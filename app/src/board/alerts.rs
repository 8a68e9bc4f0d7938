//! Alerts above the verdict: a failed deploy, a Docker engine that does not respond, errors in the
//! runbook.

use domain::runbook::Severity;
use domain::time::human_span;
use engine::view::{BoardView, RunKind};
use leptos::prelude::*;

use crate::ui::{
    Here, Icon, deploy_confirm, follow_up_words, icon, lines, rollback_confirm, rollback_words, since, time,
};

/// The alerts, the most urgent first.
pub(super) fn alerts(here: &Here, board: &BoardView) -> AnyView {
    view! {
        <div class="stack stack--tight" data-live="alerts">
            {failed_deploy(here, board)} {follow_ups(board)} {incident(board)} {unreachable(board)} {faults(board)} {problems(board)}
            {expiring(board)}
        </div>
    }
    .into_any()
}

fn failed_deploy(here: &Here, board: &BoardView) -> Option<AnyView> {
    let run = board.failed_deploy.as_ref()?;
    let title = match run.kind {
        RunKind::Rollback => "The rollback failed",
        RunKind::Drill => "The rollback drill failed",
        RunKind::Deploy | RunKind::Step | RunKind::Check => "The deploy failed",
    };
    let back = match &board.rollback {
        Some(offer) => view! {
            {rollback_confirm(here, offer, "btn--danger btn--big")} {rollback_words(offer)}
        }
        .into_any(),
        None => view! {
            <span class="small">"There is no rollback target yet. Fix the cause and deploy again."</span>
        }
        .into_any(),
    };
    let now: Vec<String> =
        board.observed.services.iter().map(|s| format!("{} {}", s.name, s.health.label())).collect();
    let services = (!now.is_empty())
        .then(|| view! { <p class="small">{format!("Services now: {}.", now.join(", "))}</p> });
    Some(
        view! {
            <div class="notice notice--error" role="alert">
                <p class="notice__title">{icon(Icon::Cross)} " " {title}</p>
                <p class="wrap">
                    {run.summary.clone()} ". Started by " {run.by_name.clone()} ", "
                    {time(run.started_at)} ". "
                    <a href=format!("/runs/{}", run.id)>"Show the log"</a>
                </p>
                {services}
                <div class="row row--top no-print">
                    {back} {deploy_confirm(here, &board.observed, &board.shown, &board.deploy, board.backup, "")}
                </div>
            </div>
        }
        .into_any(),
    )
}

/// Automatic actions after the last deploy or rollback that have not started.
fn follow_ups(board: &BoardView) -> Option<AnyView> {
    let each = board
        .follow_ups
        .iter()
        .map(|f| {
            let run = format!("run {}", f.run);
            view! {
                <li class="wrap">
                    {f.label.clone()} " after " <a href=format!("/runs/{}", f.run)>{run}</a> " "
                    {follow_up_words(f)}
                </li>
            }
        })
        .collect_view();
    (!board.follow_ups.is_empty()).then(|| {
        view! {
            <div class="notice notice--warn" role="status">
                <p class="notice__title">{icon(Icon::Warning)} " Automatic actions that have not started"</p>
                <ul class="lines">{each}</ul>
            </div>
        }
        .into_any()
    })
}

fn incident(board: &BoardView) -> Option<AnyView> {
    let row = board.unexplained.as_ref()?;
    let id = row.incident.id;
    Some(
        view! {
            <div class="notice notice--info" role="status">
                <p>
                    {icon(Icon::Flag)} " " <a href=format!("/incidents/{id}")>{format!("Incident {id}")}</a>
                    ": the cause is not recorded yet. " {row.incident.end()} " (release " {row.to.clone()} "), by "
                    {row.incident.by_name.clone()} ", " {time(row.incident.at)} "."
                </p>
            </div>
        }
        .into_any(),
    )
}

fn unreachable(board: &BoardView) -> Option<AnyView> {
    let from = board.observed.unreachable_since?;
    let why = board.observed.unreachable_why.clone();
    Some(
        view! {
            <div class="notice notice--warn" role="status">
                <p class="notice__title">
                    {icon(Icon::Warning)} " The Docker engine has not responded for "
                    {since(from, board.now)}
                </p>
                <p class="small wrap">{why}</p>
                <p class="small">
                    "Since " {time(from)}
                    ". The service states shown may be out of date. Stagegate retries automatically."
                </p>
            </div>
        }
        .into_any(),
    )
}

/// Evidence that expires soon, so that it can be renewed before the decision.
fn expiring(board: &BoardView) -> Option<AnyView> {
    let each = board
        .expiring
        .iter()
        .map(|e| {
            let left = human_span(e.at.since(board.now));
            view! { <li><a href=e.href.clone()>{e.title.clone()}</a> {format!(" in {left}, ")} {time(e.at)}</li> }
        })
        .collect_view();
    (!board.expiring.is_empty()).then(|| {
        view! {
            <div class="notice notice--info" role="status">
                <p class="notice__title">{icon(Icon::Clock)} " Evidence that expires soon"</p>
                <ul class="lines">{each}</ul>
            </div>
        }
        .into_any()
    })
}

fn faults(board: &BoardView) -> Option<AnyView> {
    (!board.observed.faults.is_empty()).then(|| {
        view! {
            <div class="notice notice--warn" role="status">
                <p class="notice__title">
                    {icon(Icon::Warning)} " Part of the stack cannot be read"
                </p>
                {lines(&board.observed.faults)}
            </div>
        }
        .into_any()
    })
}

fn problems(board: &BoardView) -> Option<AnyView> {
    let grave: Vec<String> =
        board.problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect();
    (!grave.is_empty()).then(|| {
        view! {
            <div class="notice notice--error" role="status">
                <p class="notice__title">
                    {icon(Icon::Cross)} " The runbook or its checks contain errors"
                </p>
                {lines(&grave)}
                <p class="small">
                    <a href="/runbook">"Show what was recognised and what was not"</a>
                </p>
            </div>
        }
        .into_any()
    })
}
