//! Evidence for people: actual and expected value, next step, and age.

use domain::evidence::{Evidence, Outcome};
use domain::item::{CheckState, Standing};
use domain::time::{Millis, human_span};
use engine::view::Expiry;
use leptos::prelude::*;

use super::{Icon, icon, time};

fn row(name: &'static str, text: &str) -> AnyView {
    if text.is_empty() {
        return ().into_any();
    }
    let text = text.to_owned();
    view! { <dt>{name}</dt><dd>{text}</dd> }.into_any()
}

/// One piece of evidence with all its details.
pub fn finding(evidence: &Evidence, now: impl Into<Option<Millis>>) -> AnyView {
    let age = now.into().map(|now| format!(" ({} ago)", human_span(now.since(evidence.at))));
    let next = if evidence.finding.outcome == Outcome::Pass { "" } else { &evidence.finding.next };
    view! {
        <dl class="found">
            {row("Actual", &evidence.finding.saw)}
            {row("Expected", &evidence.finding.wanted)}
            {row("Next step", next)}
            <dt>"Run"</dt>
            <dd>
                {time(evidence.at)} {age} ", "
                <a href=format!("/runs/{}", evidence.run)>{format!("run {}", evidence.run)}</a>
            </dd>
        </dl>
    }
    .into_any()
}

/// The last evidence of a check and, when it is stale, the reasons.
pub fn check_line(state: &CheckState, now: impl Into<Option<Millis>>) -> AnyView {
    let Some(last) = &state.last else {
        return view! { <p class="small muted">"Not run for this release yet."</p> }.into_any();
    };
    let stale = (state.standing == Standing::Stale).then(|| stale_line(state));
    view! { {stale} {finding(last, now)} }.into_any()
}

/// The reasons why the last evidence is stale, each with its time if known.
fn stale_line(state: &CheckState) -> AnyView {
    let why = state
        .stale
        .iter()
        .enumerate()
        .map(|(i, reason)| {
            let before = if i == 0 { "" } else { "; " };
            let at = reason.at().map(|at| view! { ", " {time(at)} });
            view! { {before} {reason.reason()} {at} }
        })
        .collect_view();
    view! { <p class="small warn">{icon(Icon::Clock)} " Stale: " {why} ". Run the check again."</p> }
        .into_any()
}

/// When evidence expires; shown as a warning when that is soon.
pub fn expiry_line(expires: Option<Expiry>, now: impl Into<Option<Millis>>) -> AnyView {
    let Some(Expiry { at, soon }) = expires else { return ().into_any() };
    let left = now.into().map(|now| format!("Expires in {}, ", human_span(at.since(now))));
    let left = left.unwrap_or_else(|| "Expires: ".to_owned());
    if soon {
        view! {
            <p class="small warn">
                {icon(Icon::Clock)} " " {left} {time(at)} ". Run the check again before it expires."
            </p>
        }
        .into_any()
    } else {
        view! { <p class="small muted">{left} {time(at)} "."</p> }.into_any()
    }
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
