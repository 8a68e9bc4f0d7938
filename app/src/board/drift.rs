//! Drift: what differs from the release, since when, what it blocks and what to do.

use domain::drift::{Drift, DriftKind};
use engine::view::BoardView;
use leptos::prelude::*;

use crate::ui::{Icon, badge, icon, time};

/// All drift; empty if the running stack matches the release.
pub(super) fn drift(board: &BoardView) -> AnyView {
    let drift = &board.judgement.drift;
    if drift.is_empty() {
        return ().into_any();
    }
    let title = if drift.iter().any(|d| matches!(d.kind, DriftKind::Image | DriftKind::Env) && d.blocks) {
        "The running images or the environment differ from the release"
    } else {
        "The running stack differs from the release"
    };
    let lines = drift.iter().map(line).collect_view();
    view! {
        <div class="notice notice--warn" role="status" id="drift">
            <p class="notice__title">{icon(Icon::Warning)} " " {title}</p>
            <ul class="lines">{lines}</ul>
        </div>
    }
    .into_any()
}

fn line(drift: &Drift) -> AnyView {
    let since = drift.since.map(|at| view! { ", since " {time(at)} });
    let blocks = drift.blocks.then(|| badge("fail", Icon::Cross, "Blocks Go"));
    let mut letters = drift.what.chars();
    let what: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    view! {
        <li class="stack stack--tight">
            <p class="row"><span class="strong wrap">{what}{since}"."</span> {blocks}</p>
            <p class="small wrap">{drift.next.clone()} " " {drift.effect.clone()}</p>
        </li>
    }
    .into_any()
}
