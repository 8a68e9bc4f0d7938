//! Runs as one line, as a table, and with progress.

use domain::time::{Millis, human_span};
use engine::view::{FollowUpState, RunState, RunView};
use leptos::prelude::*;

use super::table::table;
use super::{health_badge, run_badge, since, time};

fn href(run: &RunView) -> String {
    format!("/runs/{}", run.id)
}

fn took(run: &RunView) -> Option<u64> {
    run.ended_at.map(|end| end.since(run.started_at))
}

/// A run in one line: state, title, summary, person and time.
pub fn run_line(run: &RunView, now: impl Into<Option<Millis>>) -> AnyView {
    let now = now.into();
    let length = match took(run) {
        Some(ms) => view! { <span class="num">"took " {human_span(ms)}</span> }.into_any(),
        None => view! { <span>"for " {since(run.started_at, now)}</span> }.into_any(),
    };
    view! {
        <div class="row">
            {run_badge(run.state)}
            <a href=href(run) class="wrap">{run.title.clone()}</a>
            <span class="muted small wrap">{run.summary.clone()}</span>
            <span class="muted small">
                {run.by_name.clone()} ", " {time(run.started_at)} ", " {length}
            </span>
        </div>
    }
    .into_any()
}

/// A run in progress: elapsed and expected time, a progress bar, and the services of a deploy.
pub fn run_progress(run: &RunView, now: impl Into<Option<Millis>>) -> AnyView {
    let now = now.into();
    let elapsed = now.map(|now| now.since(run.started_at));
    let bar = match elapsed.zip(run.expected_ms.filter(|ms| *ms > 0)) {
        Some((elapsed, expected)) => {
            // The estimate never reaches 100 % before the run has ended.
            let share = (elapsed.saturating_mul(100) / expected).min(97);
            view! { <progress class="bar" max="100" value=share.to_string() aria-label="Progress, estimated from the last run"></progress> }
                .into_any()
        }
        None => view! { <progress class="bar bar--unknown" aria-label="In progress"></progress> }.into_any(),
    };
    let expected = run.expected_ms.map(|ms| format!(" of about {}", human_span(ms))).unwrap_or_default();
    let services = (!run.services.is_empty()).then(|| {
        let each = run
            .services
            .iter()
            .map(|s| view! { <span class="row"><span class="small strong">{s.name.clone()}</span> {health_badge(s.health)}</span> })
            .collect_view();
        view! { <div class="row">{each}</div> }
    });
    let ended = run.state != RunState::Running;
    view! {
        <div class="stack stack--tight">
            <div class="row row--between">
                <span class="row">
                    {run_badge(run.state)}
                    <a class="strong wrap" href=href(run)>{run.title.clone()}</a>
                </span>
                <span class="small muted">
                    {since(run.started_at, run.ended_at.or(now))} {expected} ", by "
                    {run.by_name.clone()}
                </span>
            </div>
            {(!ended).then_some(bar)}
            <p class="small muted wrap">{run.summary.clone()}</p>
            {services}
        </div>
    }
    .into_any()
}

/// Runs as a table.
pub fn run_table(runs: &[RunView], now: impl Into<Option<Millis>>) -> AnyView {
    let now = now.into();
    let rows = runs
        .iter()
        .map(|run| {
            let length = match took(run) {
                Some(ms) => human_span(ms).into_any(),
                None => since(run.started_at, now),
            };
            view! {
                <tr>
                    <td data-label="State">{run_badge(run.state)}</td>
                    <td data-label="Run">
                        <a href=href(run) class="wrap">{run.title.clone()}</a>
                        <div class="small muted wrap">{run.summary.clone()}</div>
                    </td>
                    <td data-label="By">{run.by_name.clone()}</td>
                    <td data-label="Started">{time(run.started_at)}</td>
                    <td data-label="Duration" class="num nowrap">{length}</td>
                </tr>
            }
        })
        .collect_view();
    table(&["State", "Run", "By", "Started", "Duration"], rows)
}

/// The state of an automatic action: `was not done: run 7 was started first`.
pub fn follow_up_words(follow_up: &engine::view::FollowUpView) -> String {
    let (words, because) = match &follow_up.state {
        FollowUpState::Pending(because) => ("is pending", because.as_str()),
        FollowUpState::Started(_) => ("started", ""),
        FollowUpState::NotDone(because) => ("was not done", because.as_str()),
    };
    if because.is_empty() { words.to_owned() } else { format!("{words}: {because}") }
}
