//! The list of runs.

use domain::pages::Page;
use engine::view::{RunKind, RunsPage as RunsPageView};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::ssr::page;
use crate::ui::{cursor, empty, page_head, pager, run_table};

/// The kinds of the filter; `None` shows all.
const KINDS: [(Option<RunKind>, &str); 5] = [
    (None, "All"),
    (Some(RunKind::Step), "Steps"),
    (Some(RunKind::Check), "Checks"),
    (Some(RunKind::Deploy), "Deploys"),
    (Some(RunKind::Rollback), "Rollbacks"),
];

/// The page of all runs; `?kind=` shows one kind, `?before=` and `?after=` select a page.
#[component]
pub fn RunsPage() -> impl IntoView {
    let query = use_query_map().with_untracked(|q| q.get("kind")).unwrap_or_default();
    let asked = RunKind::from_slug(&query);
    let kind = KINDS.iter().find_map(|(kind, _)| kind.filter(|kind| Some(*kind) == asked));
    let cursor = cursor();
    page(move |context| async move {
        let runs = context.engine.runs(context.actor()?, kind, cursor).await?;
        Ok(runs_view(kind, &runs))
    })
}

/// The layout of the list.
pub fn runs_view(kind: Option<RunKind>, page: &RunsPageView) -> AnyView {
    let tabs = KINDS
        .iter()
        .map(|(each, label)| {
            let href = address(*each);
            let current = (*each == kind).then_some("page");
            view! { <a href=href aria-current=current>{*label}</a> }
        })
        .collect_view();
    let body = if page.rows.is_empty() {
        empty(
            "No runs to show",
            view! {
                <p class="small">
                    "Run a step or a check on a gate of the " <a href="/">"board"</a> ", or deploy on the "
                    <a href="/releases">"releases"</a> " page."
                </p>
            },
        )
    } else {
        view! { <section class="card">{run_table(&page.rows, None)}</section> }.into_any()
    };
    view! {
        <Title text=Page::Runs.title() />
        {page_head(
            "Runs",
            view! { <p class="lede">"Every command, check, deploy and rollback, newest first."</p> },
            (),
        )}
        <nav class="tabs" aria-label="Kinds of runs">{tabs}</nav>
        <div data-live="runs">{body}</div>
        {pager(&address(kind), "Pages of the list", page.pages)}
    }
    .into_any()
}

/// The address of the list of one kind, or of all.
fn address(kind: Option<RunKind>) -> String {
    kind.map_or_else(|| "/runs".to_owned(), |kind| format!("/runs?kind={}", kind.slug()))
}

/// `1 check`, `3 checks`.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
