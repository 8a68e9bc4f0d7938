//! The history of releases, newest first.

use domain::facts::{Choice, Decision};
use engine::view::{ReleaseRow, ReleasesPage};
use leptos::prelude::*;

use crate::ui::{Icon, badge, card, chips, empty, icon, pager, release_badge, run_badge, time};

/// The list.
pub(super) fn history(page: &ReleasesPage) -> AnyView {
    let body = if page.releases.is_empty() {
        empty(
            "No releases yet",
            view! { <p class="small">"Every release that is opened or deployed is listed here permanently."</p> },
        )
    } else {
        let current = page.current.as_ref().map(|r| r.id);
        let rows = page.releases.iter().map(|row| line(row, current == Some(row.release.id))).collect_view();
        view! { <ol class="lines">{rows}</ol> }.into_any()
    };
    view! {
        {card("release-history", "History", (), body)}
        {pager("/releases", "Pages of the history", page.pages)}
    }
    .into_any()
}

fn line(row: &ReleaseRow, is_current: bool) -> AnyView {
    let release = &row.release;
    let current = is_current.then(|| badge("ready", Icon::Dot, "Current"));
    let good = release.rollback_point_at.map(|_| badge("pass", Icon::Back, "Rollback target"));
    let deployed = release.deployed_at.map(|at| {
        let by = row.deployed_by.as_ref().map(|name| format!(" by {name}"));
        view! { ", deployed " {time(at)} {by} }
    });
    let changed = (!row.changed.is_empty())
        .then(|| view! { <p class="row small muted">"New images:" {chips(&row.changed)}</p> });
    let runs = row
        .runs
        .iter()
        .map(|run| {
            view! {
                <span class="row">
                    {run_badge(run.state)}
                    <a class="small" href=format!("/runs/{}", run.id)>{run.title.clone()}</a>
                </span>
            }
        })
        .collect_view();
    let decisions = row.decisions.iter().map(decision).collect_view();
    view! {
        <li class="stack stack--tight" id=format!("release-{}", release.id)>
            <div class="row">
                <a class="strong mono" href=format!("/releases/{}", release.id)>{release.name()}</a>
                {release_badge(release.state)}
                {current}
                {good}
                {decisions}
            </div>
            <p class="wrap">{release.subject.clone()}</p>
            <p class="small muted">"Opened " {time(release.opened_at)} " by " {row.opened_by.clone()} {deployed}</p>
            {changed}
            <div class="row">{runs}</div>
        </li>
    }
    .into_any()
}

/// A decision as a badge.
pub(super) fn decision(decision: &Decision) -> AnyView {
    let (slug, shape) = match decision.choice {
        Choice::Go => ("go", Icon::Check),
        Choice::NoGo => ("no-go", Icon::Cross),
    };
    let words = format!("{} by {}", decision.choice.label(), decision.by_name);
    view! { <span class=format!("badge badge--{slug}") title=decision.note.clone()>{icon(shape)} {words}</span> }
        .into_any()
}
