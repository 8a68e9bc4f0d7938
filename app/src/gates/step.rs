//! A step of the runbook: its command, its last run, its Run button.

use domain::action::Action;
use domain::runbook::StepKind;
use domain::time::Millis;
use engine::view::{RunState, StepView};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use crate::runs::RunStep;
use crate::ui::{Here, Icon, badge, chips, code_text, form_name, icon, post_button, run_line, run_progress};

/// A step with its Run button. `now` is the time of rendering, where known.
pub fn step_card(here: &Here, view: &StepView, now: impl Into<Option<Millis>>, primary: bool) -> AnyView {
    let step = &view.step;
    let running = view.last.as_ref().is_some_and(|r| r.state == RunState::Running);
    let label = if view.last.is_some() { "Run again" } else { "Run" };
    let class = if primary { "btn--primary" } else { "" };
    let button = post_button(
        here,
        &form_name(Action::RunStep, &step.id),
        RunStep::url(),
        &[("step", &step.id), ("digest", &step.digest)],
        view! { {icon(Icon::Play)} {label} },
        class,
        &view.run,
    );
    let kind = match step.kind {
        StepKind::Normal => None,
        StepKind::Optional => Some(badge("neutral", Icon::Circle, "Optional")),
        StepKind::Rollback => Some(badge("neutral", Icon::Back, "Rollback")),
    };
    let manual = step.manual.then(|| badge("neutral", Icon::Person, "Manual"));
    let now = now.into();
    let last = match &view.last {
        None => view! { <p class="small muted">"Not run yet."</p> }.into_any(),
        Some(run) if running => run_progress(run, now),
        Some(run) => run_line(run, now),
    };
    let old = view.last_is_old.then(|| {
        view! {
            <p class="small warn">
                {icon(Icon::Clock)} " This run was for another release or commit."
            </p>
        }
    });
    let note = (!step.note.is_empty()).then(|| code_text(&step.note));
    let vars = (!step.vars.is_empty())
        .then(|| view! { <p class="row small muted">"Variables" {chips(&step.vars)}</p> });
    let judged = (!view.judged_by.is_empty())
        .then(|| view! { <p class="row small muted">"Evaluated by" {chips(&view.judged_by)}</p> });
    view! {
        <div class="step" id=format!("step-{}", step.id)>
            <div class="row">
                <span class="mono small muted">{step.id.clone()}</span>
                <span class="strong wrap">{code_text(&step.title)}</span>
                {kind}
                {manual}
            </div>
            <div class="no-print">{button}</div>
            <pre class="command wide">{step.command.clone()}</pre>
            <div class="wide stack stack--tight">
                <p class="small muted">{note}</p>
                {old}
                {last}
                <div class="row">{judged} {vars}</div>
            </div>
        </div>
    }
    .into_any()
}
