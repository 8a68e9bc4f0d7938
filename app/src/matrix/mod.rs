//! The verification matrix: every row with its command, owners, acceptance and checks.

#[cfg(test)]
mod tests;

use domain::action::Action;
use domain::item::Standing;
use domain::pages::Page;
use engine::view::{MatrixPage as MatrixPageView, MatrixRowView};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use crate::gates::check_card;
use crate::runs::RunGate;
use crate::ssr::page;
use crate::ui::{Here, Icon, badge, chips, code_text, empty, form_name, icon, page_head, post_button};

/// The page of the verification matrix.
#[component]
pub fn MatrixPage() -> impl IntoView {
    page(move |context| async move {
        let matrix = context.engine.matrix(context.actor()?).await?;
        Ok(matrix_view(&Here::from(&context), &matrix))
    })
}

/// Renders the matrix.
pub fn matrix_view(here: &Here, page: &MatrixPageView) -> AnyView {
    let run_all = post_button(
        here,
        &form_name(Action::RunGate, "matrix"),
        RunGate::url(),
        &[("gate", "matrix"), ("shown", &page.run_all_digest)],
        view! { {icon(Icon::Play)} "Run all checks" },
        "btn--primary",
        &page.run_all,
    );
    let passed = page.rows.iter().filter(|r| state_of(r) == RowState::Passed).count();
    let release = page
        .release
        .as_ref()
        .map_or_else(|| "no release yet".to_owned(), |r| format!("release {}", r.name()));
    let under = view! {
        <p class="muted" data-live="matrix-state">
            <span class="num">{format!("{passed} of {} rows passed", page.rows.len())}</span>
            ", "
            <span class="mono small">{release}</span>
        </p>
    };
    let body = if page.rows.is_empty() {
        empty(
            "The runbook has no verification matrix",
            view! {
                <p class="small">
                    "Add a table with the columns Category, Command, Owner and Acceptance."
                </p>
            },
        )
    } else {
        page.rows.iter().map(|r| row(here, r)).collect_view().into_any()
    };
    view! {
        <Title text=Page::Matrix.title() />
        {page_head(
            "Verification matrix",
            under,
            view! { <span data-live="matrix-run">{run_all}</span> },
        )}
        {body}
    }
    .into_any()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RowState {
    Passed,
    Failed,
    Open,
    NoCheck,
}

/// The state of a row: passed when all of its checks passed. A row without checks never passes.
fn state_of(row: &MatrixRowView) -> RowState {
    if row.checks.is_empty() {
        RowState::NoCheck
    } else if row.checks.iter().any(|c| c.state.standing == Standing::Fail) {
        RowState::Failed
    } else if row.checks.iter().all(|c| c.state.standing == Standing::Pass) {
        RowState::Passed
    } else {
        RowState::Open
    }
}

fn row(here: &Here, view: &MatrixRowView) -> AnyView {
    let row = &view.row;
    let (class, state) = match state_of(view) {
        RowState::Passed => ("card card--green", badge("pass", Icon::Check, "Passed")),
        RowState::Failed => ("card card--red", badge("fail", Icon::Cross, "Failed")),
        RowState::Open => ("card", badge("open", Icon::Circle, "Open")),
        RowState::NoCheck => ("card", badge("neutral", Icon::Person, "No check")),
    };
    let checks = if view.checks.is_empty() {
        view! {
            <p class="small muted">
                "No check is assigned to this row. Assign one in " <code>"stagegate.toml"</code>
                " with " <code>{format!("matrix = \"{}\"", row.id)}</code>
                "."
            </p>
        }
        .into_any()
    } else {
        view.checks.iter().map(|c| check_card(here, c, None)).collect_view().into_any()
    };
    view! {
        <section class=class id=row.id.clone() data-live=format!("row-{}", row.id)>
            <div class="card__head">
                <h2>
                    <span class="mono small muted">{row.id.clone()}</span>
                    " "
                    {code_text(&row.category)}
                </h2>
                {state}
            </div>
            <div class="card__body">
                <dl class="kv">
                    <dt>"Method"</dt>
                    <dd>{code_text(&row.method)}</dd>
                    <dt>"Owner"</dt>
                    <dd>{chips(&row.owners)}</dd>
                    <dt>"Acceptance"</dt>
                    <dd>{code_text(&row.acceptance)}</dd>
                </dl>
                {checks}
            </div>
        </section>
    }
    .into_any()
}
