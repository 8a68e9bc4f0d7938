//! The active waivers, on the board until they expire.

use domain::action::Action;
use engine::view::{BoardView, WaiverView};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use crate::gates::EndWaiver;
use crate::ui::{Here, Icon, badge, card, form_name, icon, post_button};

/// The card; empty if there are no waivers.
pub(super) fn waivers(here: &Here, board: &BoardView) -> AnyView {
    if board.waivers.is_empty() {
        return view! { <div data-live="waivers"></div> }.into_any();
    }
    let title = match board.waivers.len() {
        1 => "1 active waiver".to_owned(),
        n => format!("{n} active waivers"),
    };
    let items = board.waivers.iter().map(|w| waiver(here, board, w)).collect_view();
    view! { <div data-live="waivers">{card("waiver-list", title, (), view! { <ul class="lines">{items}</ul> })}</div> }
        .into_any()
}

fn waiver(here: &Here, board: &BoardView, view: &WaiverView) -> AnyView {
    let waiver = &view.waiver;
    let left = match view.days_left {
        0 => "expires today".to_owned(),
        1 => "expires tomorrow".to_owned(),
        n => format!("{n} days left"),
    };
    let slug = if view.days_left <= 1 { "inconclusive" } else { "waived" };
    let idle = (!view.needed).then(|| {
        view! { <p class="small muted">"Not needed: the criterion is met without this waiver."</p> }
    });
    view! {
        <li>
            <div class="row row--between">
                <a class="strong" href=view.href.clone()>{waiver.item.clone()}</a>
                {badge(slug, Icon::Flag, &left)}
            </div>
            <p class="small wrap">{waiver.reason.clone()}</p>
            <p class="small muted">
                {format!("Waived by {} until the end of {} (UTC)", waiver.by_name, waiver.last_day())}
            </p>
            {idle}
            <div class="no-print">
                {post_button(
                    here,
                    &form_name(Action::EndWaiver, &waiver.item),
                    EndWaiver::url(),
                    &[("item", &waiver.item), ("waiver", &waiver.id.to_string())],
                    view! { {icon(Icon::Flag)} {format!("End waiver for {}", waiver.item)} },
                    "btn--small btn--quiet",
                    &board.end_waiver,
                )}
            </div>
        </li>
    }
    .into_any()
}
