//! The list of runs.

use domain::pages::Page;
use engine::view::RunsPage as RunsPageView;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::ssr::page;
use crate::ui::{cursor, empty, page_head, pager, run_table};

/// The kinds of the filter.
const KINDS: [(&str, &str); 5] =
    [("", "All"), ("step", "Steps"), ("check", "Checks"), ("deploy", "Deploys"), ("rollback", "Rollbacks")];

/// The page of all runs; `?kind=` shows one kind, `?before=` and `?after=` select a page.
#[component]
pub fn RunsPage() -> impl IntoView {
    let query = use_query_map().with_untracked(|q| q.get("kind")).unwrap_or_default();
    let kind = KINDS.iter().map(|(slug, _)| *slug).find(|slug| *slug == query).unwrap_or_default();
    let cursor = cursor();
    page(move |context| async move {
        let wanted = (!kind.is_empty()).then_some(kind);
        let runs = context.engine.runs(context.actor()?, wanted, cursor).await?;
        Ok(runs_view(kind, &runs))
    })
}

/// The layout of the list.
pub fn runs_view(kind: &str, page: &RunsPageView) -> AnyView {
    let tabs = KINDS
        .iter()
        .map(|(slug, label)| {
            let href = address(slug);
            let current = (*slug == kind).then_some("page");
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
fn address(kind: &str) -> String {
    if kind.is_empty() { "/runs".to_owned() } else { format!("/runs?kind={kind}") }
}

/// `1 check`, `3 checks`.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
