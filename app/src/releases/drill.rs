//! The rollback drill: a planned rollback and return, which shows that a rollback works.

use domain::action::Action;
use engine::view::{DrillView, ReleasesPage};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::Drill;
use crate::ui::{Here, Icon, card, confirm, envelope, hidden, icon, lines, offer_button, span, time};

/// The card with the button and the last drill.
pub(super) fn drill(here: &Here, page: &ReleasesPage) -> AnyView {
    let view = &page.drill;
    let target = view.target.as_ref().map(|t| t.name()).unwrap_or_default();
    let panel = || {
        view! {
            <form class="form" method="post" action=Drill::url()>
                {envelope(here, Action::Drill.name())} {hidden(&[("shown", &view.digest)])}
                <p class="strong">{format!("Roll back to release {target} and return?")}</p>
                <p class="small">
                    "The stack is rolled back and verified, then returned to the release that runs now. Its services are replaced twice. The database keeps its schema. Both directions are timed, and the availability of the stack is recorded."
                </p>
                {offer_button("Yes, run the drill", "btn--primary", &view.offer)}
            </form>
        }
        .into_any()
    };
    let button = confirm(view! { {icon(Icon::Back)} "Run drill" }, "", &view.offer, panel);
    card("rel-drill", "Rollback drill", (), view! { <div class="stack">{last(view)} {button}</div> })
}

fn last(view: &DrillView) -> AnyView {
    let (Some(run), Some(figures)) = (&view.last, &view.result) else {
        return view! { <p class="muted">"No drill recorded yet."</p> }.into_any();
    };
    let outages: Vec<String> = figures
        .outages
        .iter()
        .map(|o| {
            format!(
                "{}: longest outage {}, {} of {} probes failed",
                o.what,
                domain::time::human_span(o.longest_ms),
                o.missed,
                o.asked
            )
        })
        .collect();
    view! {
        <div class="stack stack--tight">
            <p>
                {icon(Icon::Check)} " " <a href=format!("/runs/{}", run.id)>{run.title.clone()}</a> ", by "
                {run.by_name.clone()} ", " {run.ended_at.map(time)}
            </p>
            <p class="small">"Rollback: " {span(figures.away_ms)} ", return: " {span(figures.back_ms)} "."</p>
            {lines(&outages)}
        </div>
    }
    .into_any()
}
