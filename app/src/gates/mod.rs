//! A gate: its criteria with their evidence, its steps, and its acceptance.

mod accept;
mod acts;
mod check;
mod criterion;
mod step;

#[cfg(test)]
mod tests;

use domain::action::Action;
use domain::pages::Page;
use engine::view::GatePage as GatePageView;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

pub(crate) use acts::EndWaiver;
pub use check::check_card;
pub use criterion::{attest_form, item_words};
pub use step::step_card;

use crate::board::satisfied_text;
use crate::runs::RunGate;
use crate::ssr::page;
use crate::ui::{
    Here, Icon, card, code_text, empty, form_name, gate_badge, icon, page_head, param, post_button, roles,
};

/// The page of one gate.
#[component]
pub fn GatePage() -> impl IntoView {
    let id = param("id");
    page(move |context| async move {
        let gate = context.engine.gate(context.actor()?, &id).await?;
        Ok(gate_view(&Here::from(&context), &gate))
    })
}

/// The layout of a gate.
pub fn gate_view(here: &Here, page: &GatePageView) -> AnyView {
    let gate = &page.gate;
    let release = page
        .release
        .as_ref()
        .map_or_else(|| "no release yet".to_owned(), |r| format!("release {}", r.name()));
    let under = view! {
        <div class="row" data-live="gate-state">
            {gate_badge(gate)}
            <span class="muted num">{satisfied_text(gate)}</span>
            <span class="row small muted">"Owner" {roles(&gate.owners)}</span>
            <span class="small muted mono">{release}</span>
        </div>
    };
    let run_all = (!page.checks.is_empty()).then(|| {
        post_button(
            here,
            &form_name(Action::RunGate, &gate.id),
            RunGate::url(),
            &[("gate", &gate.id), ("shown", &page.run_all_digest)],
            view! { {icon(Icon::Play)} "Run all checks" },
            "btn--primary",
            &page.run_all,
        )
    });
    let beside = view! { {neighbours(page)} <span data-live="gate-run">{run_all}</span> };
    let title = view! { {format!("Gate {}: ", gate.id)} {code_text(&gate.title)} };
    view! {
        <Title text=Page::Gate.title_of(&gate.id) />
        {page_head(title, under, beside)}
        <div class="split">
            <div class="stack">{criteria(here, page)} {steps(here, page)}</div>
            <div class="stack">{accept::accept_card(here, page)} {notes(page)}</div>
        </div>
    }
    .into_any()
}

/// Preflight notes: findings that block nothing.
fn notes(page: &GatePageView) -> Option<AnyView> {
    let notes = page
        .notes
        .iter()
        .map(|f| {
            view! {
                <li class="stack stack--tight">
                    <p class="wrap">{code_text(&f.message)}</p>
                    <p class="small muted wrap"><code>{f.place()}</code> " · " {code_text(&f.hint)}</p>
                </li>
            }
        })
        .collect_view();
    (!page.notes.is_empty())
        .then(|| card("gate-notes", "Notes", (), view! { <ul class="lines">{notes}</ul> }))
}

fn neighbours(page: &GatePageView) -> AnyView {
    let (before, after) = page.neighbours.clone();
    let before = before.map(|id| {
        view! { <a class="btn btn--quiet" rel="prev" href=format!("/gates/{id}")>{format!("← Gate {id}")}</a> }
    });
    let after = after.map(|id| {
        view! { <a class="btn btn--quiet" rel="next" href=format!("/gates/{id}")>{format!("Gate {id} →")}</a> }
    });
    view! { {before} {after} }.into_any()
}

fn criteria(here: &Here, page: &GatePageView) -> AnyView {
    if page.gate.items.is_empty() {
        return empty(
            "The runbook lists no criteria for this gate",
            view! {
                <p class="small">
                    "Add them to the runbook as a list below the line “Acceptance (Gate "
                    {page.gate.id.clone()} "):”."
                </p>
            },
        );
    }
    page.gate.items.iter().map(|item| criterion::criterion(here, page, item)).collect_view().into_any()
}

fn steps(here: &Here, page: &GatePageView) -> AnyView {
    let body = if page.steps.is_empty() {
        view! { <p class="muted">"The runbook contains no commands for this gate."</p> }.into_any()
    } else {
        let steps = page
            .steps
            .iter()
            .map(|step| {
                let live = format!("step-{}", step.step.id);
                view! { <li data-live=live>{step_card(here, step, page.now, false)}</li> }
            })
            .collect_view();
        view! { <ol class="lines">{steps}</ol> }.into_any()
    };
    view! {
        <section class="card">
            <div class="card__head">
                <h2>"Steps"</h2>
                <span class="small muted">"in runbook order"</span>
            </div>
            <div class="card__body">{body}</div>
        </section>
    }
    .into_any()
}
