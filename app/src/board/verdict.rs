//! The verdict, the most prominent part of the board, with all blockers.

use domain::action::Action;
use domain::facts::Choice;
use domain::judge::Verdict;
use engine::view::{BlockerView, BoardView};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use crate::releases::OpenRelease;
use crate::ui::{Here, Icon, blocker_line, icon, post_button, time};

/// Number of blockers shown with their details; the others are collapsed into one line.
const AT_ONCE: usize = 4;

/// The banner.
pub(super) fn banner(here: &Here, board: &BoardView) -> AnyView {
    let verdict = &board.judgement.verdict;
    let (class, shape) = if verdict.is_go() {
        ("verdict verdict--go", Icon::Check)
    } else {
        ("verdict verdict--no-go", Icon::Cross)
    };
    let label = verdict.label();
    let word = if label.chars().count() > 6 { "verdict__word verdict__word--long" } else { "verdict__word" };
    view! {
        <section class=class aria-labelledby="verdict" data-live="verdict">
            <div>
                <h2 class=word id="verdict">{icon(shape)} {label}</h2>
                {waived(verdict)} <div class="verdict__about">{about(here, board)}</div>
            </div>
            <div class="verdict__side">{blockers(board, &board.blockers)} {decision(board)}</div>
        </section>
    }
    .into_any()
}

/// The waived criteria and their last days: part of the verdict, so that Go is never shown without them.
fn waived(verdict: &Verdict) -> Option<AnyView> {
    (!verdict.waived.is_empty()).then(|| {
        let named: Vec<String> =
            verdict.waived.iter().map(|w| format!("{} until {}", w.item, w.last_day())).collect();
        let named = named.join(", ");
        view! { <p class="verdict__waived">{icon(Icon::Flag)} " Waived: " {named}</p> }.into_any()
    })
}

/// The current release, in one sentence.
fn about(here: &Here, board: &BoardView) -> AnyView {
    let Some(release) = &board.release else {
        return view! { <p>"No release is open yet."</p> <div class="row no-print">{open_button(here, board)}</div> }
            .into_any();
    };
    let deployed = release.deployed_at.map(|at| {
        let by = board.deployed_by.as_ref().map(|name| format!(" by {name}"));
        view! { ", deployed " {time(at)} {by} }
    });
    let moved_on = board.moved_on.clone().map(|text| {
        view! {
            <p class="small">{icon(Icon::Warning)} " " {text}</p>
            <div class="row no-print">{open_button(here, board)}</div>
        }
    });
    let subject = (!release.subject.is_empty()).then(|| {
        let subject = release.subject.clone();
        view! { <p class="small wrap">{subject}</p> }
    });
    view! {
        <p>
            "Release " <a href=format!("/releases/{}", release.id)>{release.name()}</a> {deployed}
        </p>
        {subject}
        {moved_on}
    }
    .into_any()
}

/// Opens a release from the checkout, without deploying it.
fn open_button(here: &Here, board: &BoardView) -> AnyView {
    let label = "Open a release from HEAD";
    let shown = [("commit", board.shown.commit.as_str()), ("shown", board.shown.digest.as_str())];
    post_button(
        here,
        Action::OpenRelease.name(),
        OpenRelease::url(),
        &shown,
        label,
        "btn--small",
        &board.open,
    )
}

fn blockers(board: &BoardView, blockers: &[BlockerView]) -> AnyView {
    if blockers.is_empty() {
        return view! { <p class="blocker__what">"All gates are accepted and all roles have signed."</p> }
            .into_any();
    }
    let heading = match blockers.len() {
        1 => "1 blocker".to_owned(),
        n => format!("{n} blockers"),
    };
    let (first, rest) = blockers.split_at(blockers.len().min(AT_ONCE));
    let items = first.iter().map(|b| blocker(board, b)).collect_view();
    let rest = (!rest.is_empty()).then(|| {
        let words: Vec<&str> = rest.iter().map(|b| b.blocker.what.as_str()).collect();
        let summary = format!("and {} more: {}", rest.len(), words.join("; "));
        let rest = rest.iter().map(|b| blocker(board, b)).collect_view();
        // Without `data-keep`: an open list must not hold back a new verdict.
        view! {
            <details class="blockers__rest">
                <summary class="wrap">{summary}</summary>
                <ol class="blockers">{rest}</ol>
            </details>
        }
    });
    view! {
        <h3>{heading}</h3>
        <ol class="blockers">{items}</ol>
        {rest}
    }
    .into_any()
}

fn blocker(board: &BoardView, view: &BlockerView) -> AnyView {
    view! {
        <li class="blocker">
            {blocker_line(view, board.now)} {particulars(&view.blocker.details)}
        </li>
    }
    .into_any()
}

/// The first line is shown, the others are collapsed. A printed page shows all.
fn particulars(details: &[String]) -> AnyView {
    let details: Vec<String> = details.iter().filter(|d| !d.is_empty()).cloned().collect();
    match details.as_slice() {
        [] => ().into_any(),
        [only] => {
            let only = only.clone();
            view! { <p class="blocker__why">{only}</p> }.into_any()
        }
        [first, rest @ ..] => {
            let first = first.clone();
            let more = format!("{} more", rest.len());
            let rest = rest.iter().map(|d| view! { <li>{d.clone()}</li> }).collect_view();
            view! {
                <p class="blocker__why">{first}</p>
                <details>
                    <summary>{more}</summary>
                    <ul class="blocker__why">{rest}</ul>
                </details>
            }
            .into_any()
        }
    }
}

/// The Product Owner's decision, or that it is missing.
fn decision(board: &BoardView) -> AnyView {
    match &board.judgement.decision {
        Some(decision) => {
            let word = match decision.choice {
                Choice::Go => "Go",
                Choice::NoGo => "No-Go",
            };
            let note = (!decision.note.is_empty()).then(|| format!(": {}", decision.note));
            view! {
                <p class="wrap">
                    <strong>{format!("Decision: {word}")}</strong> " by "
                    {decision.by_name.clone()} ", " {time(decision.at)} {note}
                </p>
            }
            .into_any()
        }
        None if board.judgement.fallen.is_some() => {
            let fallen = board.judgement.fallen.as_ref();
            let word = fallen.map(|f| {
                let why = f.why.join("; ");
                view! {
                    <strong>
                        {format!("Decision no longer valid: {}", f.decision.choice.label())}
                    </strong>
                    " by "
                    {f.decision.by_name.clone()}
                    ", "
                    {time(f.decision.at)}
                    ". Reason: "
                    {why}
                    "."
                }
            });
            view! { <p class="wrap">{icon(Icon::Clock)} " " {word}</p> }.into_any()
        }
        None if board.judgement.verdict.is_go() => view! {
            <p>
                "The PO can now decide: "
                <a href="/sign-offs#decision">"Record decision"</a> "."
            </p>
        }
        .into_any(),
        None => ().into_any(),
    }
}
