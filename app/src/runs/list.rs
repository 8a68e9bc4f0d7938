//! The list of runs.

use engine::view::RunsPage as RunsPageView;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::ssr::page;
use crate::ui::{cursor, empty, page_head, pager, run_table};

/// The kinds that can be looked at alone.
const KINDS: [(&str, &str); 5] =
    [("", "All"), ("step", "Steps"), ("check", "Checks"), ("deploy", "Deploys"), ("rollback", "Rollbacks")];

/// The page of all runs; `?kind=` shows one kind, `?before=` and `?after=` go on from a run.
#[component]
pub fn RunsPage() -> impl IntoView {
    let asked = use_query_map().with_untracked(|q| q.get("kind")).unwrap_or_default();
    let kind = KINDS.iter().map(|(slug, _)| *slug).find(|slug| *slug == asked).unwrap_or_default();
    let cursor = cursor();
    page(move |context| async move {
        let wanted = (!kind.is_empty()).then_some(kind);
        let runs = context.engine.runs(context.actor()?, wanted, cursor).await?;
        Ok(runs_view(kind, &runs))
    })
}

/// The list as it is laid out.
pub fn runs_view(kind: &str, page: &RunsPageView) -> AnyView {
    let tabs = KINDS
        .iter()
        .map(|(slug, word)| {
            let href = place(slug);
            let current = (*slug == kind).then_some("page");
            view! { <a href=href aria-current=current>{*word}</a> }
        })
        .collect_view();
    let body = if page.rows.is_empty() {
        empty(
            "Nothing of this kind has run yet",
            view! {
                <p class="small">
                    "Run a step or a check from a " <a href="/">"gate"</a> ", or deploy from the "
                    <a href="/releases">"releases"</a> "."
                </p>
            },
        )
    } else {
        view! { <section class="card">{run_table(&page.rows, None)}</section> }.into_any()
    };
    view! {
        <Title text="Runs" />
        {page_head(
            "Runs",
            view! { <p class="lede">"Every command, check, deploy and rollback, newest first."</p> },
            (),
        )}
        <nav class="tabs" aria-label="Kinds of runs">{tabs}</nav>
        <div data-live="runs">{body}</div>
        {pager(&place(kind), "Pages of the list", page.pages)}
    }
    .into_any()
}

/// The list of one kind, or of all.
fn place(kind: &str) -> String {
    if kind.is_empty() { "/runs".to_owned() } else { format!("/runs?kind={kind}") }
}

/// `1 check`, `3 checks`.
pub(super) fn count(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}
