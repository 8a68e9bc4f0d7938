//! The routes of the pages, from the table in `domain::pages`, and the one place that names the view of each page.

use std::sync::Arc;

use domain::pages::Page;
use leptos::prelude::*;
use leptos::tachys::view::iterators::StaticVec;
use leptos_router::any_nested_route::{AnyNestedRoute, IntoAnyNestedRoute};
use leptos_router::{NestedRoute, ParamSegment, PossibleRouteMatch, SsrMode, StaticSegment};

use crate::activity::ActivityPage;
use crate::board::BoardPage;
use crate::gates::GatePage;
use crate::incidents::{IncidentPage, IncidentsPage};
use crate::matrix::MatrixPage;
use crate::ownership::{FieldHistoryPage, OwnershipPage};
use crate::people::{AccountPage, LinkPage, PeoplePage, SignInPage};
use crate::releases::{ReleasePage, ReleasesPage};
use crate::runbook::RunbookPage;
use crate::runs::{RunPage, RunsPage};
use crate::signoffs::SignOffsPage;

/// The view of a page.
fn view_of(page: Page) -> AnyView {
    match page {
        Page::Board => BoardPage().into_any(),
        Page::Gate => GatePage().into_any(),
        Page::Matrix => MatrixPage().into_any(),
        Page::SignOffs => SignOffsPage().into_any(),
        Page::Releases => ReleasesPage().into_any(),
        Page::Release => ReleasePage().into_any(),
        Page::Runs => RunsPage().into_any(),
        Page::Run => RunPage().into_any(),
        Page::Incidents => IncidentsPage().into_any(),
        Page::Incident => IncidentPage().into_any(),
        Page::Runbook => RunbookPage().into_any(),
        Page::Ownership => OwnershipPage().into_any(),
        Page::FieldHistory => FieldHistoryPage().into_any(),
        Page::Activity => ActivityPage().into_any(),
        Page::People => PeoplePage().into_any(),
        Page::Account => AccountPage().into_any(),
        Page::SignIn => SignInPage().into_any(),
        Page::Link => LinkPage().into_any(),
    }
}

/// The routes of all pages. They are rendered completely before they are sent.
#[component(transparent)]
pub(crate) fn PageRoutes() -> StaticVec<AnyNestedRoute> {
    let route =
        |page: Page| NestedRoute::new(segments(page.path()), move || view_of(page)).ssr_mode(SsrMode::Async);
    let routes = Page::ALL.iter().map(|page| route(*page).into_any_nested_route());
    StaticVec::from(routes.collect::<Vec<_>>())
}

type Segments = Arc<dyn PossibleRouteMatch + Send + Sync>;

/// The router's form of a path pattern.
fn segments(path: &'static str) -> Segments {
    let none: Segments = Arc::new(());
    path.split('/').filter(|segment| !segment.is_empty()).fold(none, |before, segment| {
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => Arc::new((before, ParamSegment(name))),
            None => Arc::new((before, StaticSegment(segment))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The server registers what the router generates, so a pattern must not change on the way.
    #[test]
    fn every_page_of_the_table_has_its_route() {
        let routes: Vec<String> =
            leptos_axum::generate_route_list(crate::App).iter().map(|r| r.path().to_owned()).collect();
        let pages: Vec<&str> = Page::ALL.iter().map(|page| page.path()).collect();
        assert_eq!(routes, pages);
    }

    #[test]
    fn a_pattern_matches_its_addresses_and_gives_the_parameter() {
        let matched = |pattern, path| {
            let segments = segments(pattern);
            let found = segments.test(path)?;
            found.remaining().is_empty().then(|| found.params().to_vec())
        };
        let value = |name: &'static str, value: &str| Some(vec![(name.into(), value.to_owned())]);
        assert_eq!(matched("/gates/{id}", "/gates/A"), value("id", "A"));
        assert_eq!(matched("/link/{token}", "/link/x-y"), value("token", "x-y"));
        assert_eq!(matched("/matrix", "/matrix"), Some(vec![]));
        for (pattern, path) in
            [("/gates/{id}", "/gates"), ("/gates/{id}", "/runs/A"), ("/matrix", "/matrix/1")]
        {
            assert_eq!(matched(pattern, path), None, "{pattern} {path}");
        }
    }
}
