//! A check: its threshold, its last evidence, its history, its Run button.

use domain::action::Action;
use domain::item::Standing;
use domain::time::{Millis, human_span};
use engine::view::CheckView;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use crate::runs::RunCheck;
use crate::ui::{
    Here, Icon, badge, check_line, expiry_line, form_name, history_dots, icon, post_button, run_progress,
    standing_badge, trend_plot,
};

/// A check with its evidence and its Run button. `now` is the time of rendering, where known.
pub fn check_card(here: &Here, view: &CheckView, now: impl Into<Option<Millis>>) -> AnyView {
    let now = now.into();
    let check = &view.check;
    let label = if view.state.standing == Standing::Missing { "Run check" } else { "Run again" };
    let button = post_button(
        here,
        &form_name(Action::RunCheck, &check.id),
        RunCheck::url(),
        &[("check", &check.id), ("shown", &view.digest)],
        view! { {icon(Icon::Play)} {label} },
        "btn--small",
        &view.run,
    );
    let running = view.running.as_ref().map(|run| run_progress(run, now));
    let flaky = view.flaky.map(|f| badge("inconclusive", Icon::Warning, &f.label()));
    let rhythm = check.schedule.every_ms.map(|ms| format!(", every {}", human_span(ms)));
    let want = check.want.as_ref().map(|w| format!("expected {w}"));
    view! {
        <div class="check-card">
            <div class="row">
                {standing_badge(view.state.standing)}
                <span class="strong wrap">{check.title.clone()}</span>
                <span class="small muted">
                    <span class="mono">{check.id.clone()}</span>
                    ", "
                    {check.spec.kind().label()}
                    {want.map(|w| format!(", {w}"))}
                    {rhythm}
                </span>
                {flaky}
            </div>
            <div class="row no-print">{button}</div>
            <div class="wide stack stack--tight">
                {running} {check_line(&view.state, now)} {expiry_line(view.expires, now)}
                <div class="row">
                    {history_dots(&view.history)} {trend_plot(check, &view.trend, &view.history)}
                </div>
            </div>
        </div>
    }
    .into_any()
}
