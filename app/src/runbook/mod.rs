//! The runbook page: what Stagegate read from the runbook, the problems found, and the commands outside the gates.

#[cfg(test)]
mod tests;

use domain::pages::Page;
use domain::runbook::{Problem, Runbook, Severity, StepKind};
use engine::view::{RunbookPage as RunbookView, StepView};
use leptos::prelude::*;
use leptos_meta::Title;

use crate::gates::step_card;
use crate::ssr::page;
use crate::ui::{Here, Icon, badge, card, code_text, page_head, table};

/// The page.
#[component]
pub fn RunbookPage() -> impl IntoView {
    page(move |context| async move {
        let runbook = context.engine.runbook(context.actor()?).await?;
        Ok(runbook_view(&Here::from(&context), &runbook))
    })
}

/// Renders the runbook.
pub fn runbook_view(here: &Here, page: &RunbookView) -> AnyView {
    let runbook = &page.runbook;
    let title = if runbook.title.is_empty() { "Runbook".to_owned() } else { runbook.title.clone() };
    let (rollback, other): (Vec<&StepView>, Vec<&StepView>) =
        page.loose_steps.iter().partition(|s| s.step.kind == StepKind::Rollback);
    view! {
        <Title text=Page::Runbook.title() />
        {page_head(
            view! { {code_text(&title)} },
            view! { <p class="small muted mono wrap">{page.path.clone()}</p> },
            (),
        )}
        {problems(&page.problems)}
        <div class="split">
            <div class="stack">
                {gates(runbook)}
                {steps(here, "runbook-rollback", "Rollback strategy", "“Roll back” runs the whole rollback. Here you can run its commands one at a time.", &rollback)}
                {steps(here, "runbook-loose", "Commands outside the gates", "", &other)}
            </div>
            <div class="stack">{counts(runbook)} {roles(runbook)}</div>
        </div>
    }
    .into_any()
}

fn problems(problems: &[Problem]) -> AnyView {
    if problems.is_empty() {
        return view! {
            <div class="notice notice--ok" data-live="problems">
                <p>"No problems found in the runbook and its configuration."</p>
            </div>
        }
        .into_any();
    }
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|p| std::cmp::Reverse(p.severity));
    let rows = sorted
        .into_iter()
        .map(|p| {
            let (slug, shape) = match p.severity {
                Severity::Error => ("error", Icon::Cross),
                Severity::Warning => ("warning", Icon::Warning),
                Severity::Note => ("neutral", Icon::Dot),
            };
            let place = format!("{}:{}:{}", p.file.as_deref().unwrap_or("runbook"), p.line, p.column);
            let hint = (!p.hint.is_empty()).then(|| code_text(&p.hint));
            view! {
                <li class="stack stack--tight">
                    <div class="row">
                        {badge(slug, shape, p.severity.label())}
                        <span class="mono small muted wrap">{place}</span>
                    </div>
                    <p class="wrap">{code_text(&p.message)}</p>
                    <p class="small muted wrap">{hint}</p>
                </li>
            }
        })
        .collect_view();
    card(
        "problems",
        "Problems",
        view! { <span class="small muted num">{problems.len().to_string()}</span> },
        view! { <ul class="lines">{rows}</ul> },
    )
}

fn gates(runbook: &Runbook) -> AnyView {
    let rows = runbook
        .gates
        .iter()
        .map(|gate| {
            let criteria = runbook.criteria.iter().filter(|c| c.gate == gate.id).count();
            let steps = runbook.steps.iter().filter(|s| s.gate.as_ref() == Some(&gate.id)).count();
            view! {
                <tr>
                    <td data-label="Gate">
                        <a class="strong" href=format!("/gates/{}", gate.id)>{format!("Gate {}", gate.id)}</a>
                    </td>
                    <td data-label="Title" class="wrap">{code_text(&gate.title)}</td>
                    <td data-label="Criteria" class="num">{criteria.to_string()}</td>
                    <td data-label="Steps" class="num">{steps.to_string()}</td>
                    <td data-label="Line" class="num muted">{gate.line.to_string()}</td>
                </tr>
            }
        })
        .collect_view();
    card("runbook-gates", "Gates", (), table(&["Gate", "Title", "Criteria", "Steps", "Line"], rows))
}

fn steps(here: &Here, live: &str, title: &'static str, about: &'static str, steps: &[&StepView]) -> AnyView {
    if steps.is_empty() {
        return ().into_any();
    }
    let rows = steps
        .iter()
        .map(|step| {
            let region = format!("step-{}", step.step.id);
            view! {
                <li data-live=region>
                    <p class="small muted">{code_text(&step.step.section)}</p>
                    {step_card(here, step, None, false)}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="card" id=live.to_owned()>
            <div class="card__head">
                <h2>{title}</h2>
                <span class="small muted">{about}</span>
            </div>
            <div class="card__body">
                <ol class="lines">{rows}</ol>
            </div>
        </section>
    }
    .into_any()
}

fn counts(runbook: &Runbook) -> AnyView {
    let fields: usize = runbook.ownership.iter().map(|l| l.fields.len()).sum();
    let rows = [
        ("Gates", runbook.gates.len(), "/"),
        ("Acceptance criteria", runbook.criteria.len(), "/"),
        ("Commands", runbook.steps.len(), "/"),
        ("Matrix rows", runbook.matrix.len(), "/matrix"),
        ("Checklist items", runbook.checklist.len(), "/sign-offs"),
        ("Sign-off roles", runbook.signoff_roles.len(), "/sign-offs"),
        ("Ownership log fields", fields, "/ownership"),
    ]
    .into_iter()
    .map(|(label, n, href)| view! { <dt><a href=href>{label}</a></dt><dd class="num">{n.to_string()}</dd> })
    .collect_view();
    card("runbook-counts", "Contents", (), view! { <dl class="kv">{rows}</dl> })
}

fn roles(runbook: &Runbook) -> AnyView {
    if runbook.dris.is_empty() {
        return ().into_any();
    }
    let rows = runbook
        .dris
        .iter()
        .map(|dri| view! { <dt>{dri.role.clone()}</dt><dd>{code_text(&dri.duties)}</dd> })
        .collect_view();
    card("runbook-roles", "Responsibilities", (), view! { <dl class="kv">{rows}</dl> })
}
