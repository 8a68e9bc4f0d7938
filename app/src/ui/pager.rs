//! The links between the pages of a list.

use domain::paging::{Cursor, Pages};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The page of the list that the URL requests: `?before=` or `?after=` with a number.
pub fn cursor() -> Cursor {
    use_query_map().with_untracked(|q| Cursor::of(q.get("before").as_deref(), q.get("after").as_deref()))
}

/// Links to newer and older rows. Filters in `path` are kept: `/runs?kind=check`.
pub fn pager(path: &str, label: &'static str, pages: Pages) -> Option<AnyView> {
    let (path, filters) = path.split_once('?').unwrap_or((path, ""));
    let to = |cursor: String| {
        let joined: Vec<&str> = [filters, cursor.as_str()].into_iter().filter(|p| !p.is_empty()).collect();
        if joined.is_empty() { path.to_owned() } else { format!("{path}?{}", joined.join("&")) }
    };
    let link = |rel: &'static str, href: String, text: &'static str| {
        view! { <a class="btn" rel=rel href=href>{text}</a> }
    };
    let newest = pages.newer.map(|_| link("first", to(String::new()), "Newest"));
    let newer = pages.newer.map(|id| link("prev", to(format!("after={id}")), "Newer"));
    let older = pages.older.map(|id| link("next", to(format!("before={id}")), "Older"));
    (pages.newer.is_some() || pages.older.is_some()).then(|| {
        view! {
            <nav class="row no-print" aria-label=label data-live="pager">
                {newest}
                {newer}
                {older}
            </nav>
        }
        .into_any()
    })
}
