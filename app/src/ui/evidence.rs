//! Evidence as people read it: what was seen, what was wanted, what to do next, how old it is.

use domain::evidence::{Evidence, Outcome, Staleness};
use domain::item::{CheckState, Standing};
use domain::time::{Millis, human_span};
use leptos::prelude::*;

use super::{Icon, icon, time};

fn row(name: &'static str, text: &str) -> AnyView {
    if text.is_empty() {
        return ().into_any();
    }
    let text = text.to_owned();
    view! { <dt>{name}</dt><dd>{text}</dd> }.into_any()
}

/// One piece of evidence in full.
pub fn finding(evidence: &Evidence, now: impl Into<Option<Millis>>) -> AnyView {
    let age = now.into().map(|now| format!(" ({} ago)", human_span(now.since(evidence.at))));
    let next = if evidence.finding.outcome == Outcome::Pass { "" } else { &evidence.finding.next };
    view! {
        <dl class="found">
            {row("Saw", &evidence.finding.saw)}
            {row("Wanted", &evidence.finding.wanted)}
            {row("Next", next)}
            <dt>"When"</dt>
            <dd>
                {time(evidence.at)} {age} ", "
                <a href=format!("/runs/{}", evidence.run)>{format!("run {}", evidence.run)}</a>
            </dd>
        </dl>
    }
    .into_any()
}

/// How a check stands in words: its last evidence, and why it does not count if it does not.
pub fn check_line(state: &CheckState, now: impl Into<Option<Millis>>) -> AnyView {
    let Some(last) = &state.last else {
        return view! { <p class="small muted">"It has not run for this release."</p> }.into_any();
    };
    let stale = (state.standing == Standing::Stale).then(|| {
        let why: Vec<String> = state.stale.iter().map(Staleness::reason).collect();
        view! {
            <p class="small warn">
                {icon(Icon::Clock)} " Stale: " {why.join("; ")} ". Run it again."
            </p>
        }
    });
    view! { {stale} {finding(last, now)} }.into_any()
}

/// The last outcomes as shapes, oldest first, each a link to its run.
pub fn history_dots(history: &[Evidence]) -> AnyView {
    if history.is_empty() {
        return ().into_any();
    }
    let dots = history
        .iter()
        .rev()
        .map(|e| {
            let (shape, word) = match e.finding.outcome {
                Outcome::Pass => (Icon::Check, "passed"),
                Outcome::Fail => (Icon::Cross, "failed"),
                Outcome::Inconclusive => (Icon::Warning, "inconclusive"),
            };
            let label = format!("Run {} {word}: {}", e.run, e.finding.saw);
            view! {
                <a
                    class=format!("dot--{}", e.finding.outcome.slug())
                    href=format!("/runs/{}", e.run)
                    title=label.clone()
                    aria-label=label
                >
                    {icon(shape)}
                </a>
            }
        })
        .collect_view();
    view! { <span class="dots" role="group" aria-label="Last outcomes, oldest first">{dots}</span> }
        .into_any()
}

/// The measured values over time as a small line, oldest first; nothing below two values.
pub fn sparkline(history: &[Evidence]) -> AnyView {
    let values: Vec<f64> =
        history.iter().rev().filter_map(|e| e.finding.value).filter(|v| v.is_finite()).collect();
    if values.len() < 2 {
        return ().into_any();
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spread = if high > low { high - low } else { 1.0 };
    let steps = (values.len() - 1) as f64;
    let points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(i, v)| {
            let x = 2.0 + i as f64 / steps * 96.0;
            let y = 22.0 - (v - low) / spread * 20.0;
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let label = format!(
        "Last {} values, lowest {low}, highest {high}, now {}",
        values.len(),
        values.last().copied().unwrap_or_default()
    );
    view! {
        <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label=label>
            <polyline
                points=points.join(" ")
                fill="none"
                stroke="currentColor"
                stroke-width="1.5"
                vector-effect="non-scaling-stroke"
            ></polyline>
        </svg>
    }
    .into_any()
}
