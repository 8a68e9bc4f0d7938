//! What drifted from the release: what, since when, what it blocks, what to do.

use domain::drift::{Drift, DriftKind};
use engine::view::BoardView;
use leptos::prelude::*;

use crate::ui::{Icon, badge, icon, time};

/// Everything that drifted; nothing when all is as the release says.
pub(super) fn drift(board: &BoardView) -> AnyView {
    let drift = &board.judgement.drift;
    if drift.is_empty() {
        return ().into_any();
    }
    let title = if drift.iter().any(|d| matches!(d.kind, DriftKind::Image | DriftKind::Env) && d.blocks) {
        "What runs is not the release that is judged"
    } else {
        "Something is not as the release has it"
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
