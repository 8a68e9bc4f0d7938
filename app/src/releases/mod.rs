//! Releases: the history, deploys and rollback targets.

mod acts;
mod drill;
mod history;
mod release;
mod restart;
#[cfg(test)]
mod tests;

pub(crate) use acts::{CleanRestart, Deploy, Drill, OpenRelease, RollBack};
pub use release::{ReleasePage, release_view};

use domain::action::Action;
use domain::pages::Page;
use engine::view::ReleasesPage as ReleasesPageView;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use self::history::history;
use crate::incidents::incident_list;
use crate::ssr::page;
use crate::ui::{
    Here, card, cursor, deploy_confirm, empty, page_head, post_button, rollback_confirm, run_line,
    run_progress,
};

/// The page of all releases; `?before=` and `?after=` select a page of the history.
#[component]
pub fn ReleasesPage() -> impl IntoView {
    let cursor = cursor();
    page(move |context| async move {
        let releases = context.engine.releases_at(context.actor()?, cursor).await?;
        Ok(releases_view(&Here::from(&context), &releases))
    })
}

/// The layout of the releases.
pub fn releases_view(here: &Here, page: &ReleasesPageView) -> AnyView {
    let running = page.running.as_ref().map(|r| {
        let line = run_line(r, page.now);
        card("rel-running", "In progress", line, run_progress(r, page.now))
    });
    let failed = page.failed_deploy.as_ref().map(|r| {
        view! {
            <div class="notice notice--error" role="alert" data-live="rel-failed">
                <p class="notice__title">{r.title.clone()} " did not succeed"</p>
                <p class="wrap">
                    {r.summary.clone()} ". "
                    <a href=format!("/runs/{}", r.id)>"Show the log"</a>
                </p>
            </div>
        }
    });
    let targets = if page.rollbacks.is_empty() {
        empty(
            "No rollback target yet",
            "A release that was deployed and became healthy on this host can be a rollback target.",
        )
    } else {
        let first_class = if page.failed_deploy.is_some() { "btn--danger" } else { "" };
        page.rollbacks
            .iter()
            .enumerate()
            .map(|(i, offer)| rollback_confirm(here, offer, if i == 0 { first_class } else { "" }))
            .collect_view()
            .into_any()
    };
    let head = &page.head;
    let subject = head.subject.clone();
    let changed = head.changed.then(|| {
        view! {
            <p class="small muted">
                "Tracked files differ from this commit. The name of the release shows this with a *."
            </p>
        }
    });
    let directory = view! {
        <p class="wrap">
            <code class="strong">{head.commit.clone()}</code> " " {subject}
        </p>
        {changed}
        <div class="row row--top">
            {deploy_confirm(here, &page.observed, &page.shown, &page.deploy, page.backup, "btn--primary")}
            {post_button(here, Action::OpenRelease.name(), OpenRelease::url(), &[("commit", &page.shown.commit), ("shown", &page.shown.digest)], "Open a release from HEAD", "", &page.open)}
        </div>
    };
    let directory = card("rel-directory", "Checkout", (), directory);
    let back = card("rel-back", "Rollback targets", (), view! { <div class="stack">{targets}</div> });
    // After a failed deploy, offer the rollback before another deploy.
    let both = if page.failed_deploy.is_some() { [back, directory] } else { [directory, back] };
    view! {
        <Title text=Page::Releases.title() />
        {page_head("Releases", (), ())}
        {failed}
        {running}
        {both.into_iter().collect_view()}
        {drill::drill(here, page)}
        {restart::restart(here, &page.restart)}
        {incidents(page)}
        {history(page)}
    }
    .into_any()
}

fn incidents(page: &ReleasesPageView) -> Option<AnyView> {
    let newest = &page.incidents;
    let all = view! { <a class="small" href="/incidents">"All incidents"</a> };
    (!newest.is_empty()).then(|| card("rel-incidents", "Incidents", all, incident_list(newest)))
}
