//! The navigation: the groups of `domain::pages`. On a wide screen they are always visible; on a narrow one a menu
//! button opens them. The menu is a popover, so it needs no script, and Escape or a click outside closes it.

use domain::pages::{Group, Page};
use leptos::prelude::*;

use crate::ssr::RequestContext;
use crate::ui::{Icon, icon};

/// The id of the list that the menu button opens.
const LIST: &str = "pages";

/// The navigation, with the entry of the requested page marked.
pub(crate) fn navigation(context: &RequestContext) -> AnyView {
    bar(Page::at(&context.path), |region| todo_count(context.clone(), region))
}

/// `count` shows the number of to-dos in a region that is updated under the given name.
fn bar(here: Option<Page>, count: impl Fn(&'static str) -> AnyView) -> AnyView {
    let current = here.and_then(Page::entry);
    let link = |page: Page| {
        let marked = (current == Some(page)).then_some("page");
        let count = (page == Page::Board).then(|| count("todo-count"));
        view! {
            <li>
                <a href=page.href() aria-current=marked>
                    {page.title()} {count}
                </a>
            </li>
        }
    };
    let group = |group: Group| {
        let heading = format!("{LIST}-{}", group.label().to_lowercase());
        view! {
            <div class="nav__group">
                <p class="nav__label" id=heading.clone()>{group.label()}</p>
                <ul aria-labelledby=heading>{group.pages().map(link).collect_view()}</ul>
            </div>
        }
    };
    view! {
        <nav class="nav" aria-label="Pages">
            <button type="button" class="nav__open" popovertarget=LIST>
                {icon(Icon::Menu)} "Menu" {count("menu-count")}
            </button>
            <div class="nav__list" id=LIST popover="">
                {Group::ALL.map(group).collect_view()}
                <button type="button" class="nav__close btn" popovertarget=LIST popovertargetaction="hide">
                    "Close"
                </button>
            </div>
        </nav>
    }
    .into_any()
}

/// The number of to-dos of the signed-in person.
fn todo_count(context: RequestContext, region: &'static str) -> AnyView {
    let waiting = async move {
        let top = context.engine.top(context.actor()?).await?;
        Ok::<_, engine::Error>(top.waiting)
    };
    view! {
        <Suspense>
            {Suspend::new(async move { waiting.await.ok().map(|n| count_badge(region, n)) })}
        </Suspense>
    }
    .into_any()
}

/// The element is always present, so that it can be updated while the page is open.
fn count_badge(region: &'static str, waiting: usize) -> AnyView {
    let spoken = match waiting {
        1 => "1 to-do waiting for you".to_owned(),
        n => format!("{n} to-dos waiting for you"),
    };
    let shown = (waiting > 0).then(|| {
        view! {
            <span class="count num" title=spoken.clone()>
                <span aria-hidden="true">{waiting}</span>
                <span class="visually-hidden">{spoken.clone()}</span>
            </span>
        }
    });
    view! { <span data-live=region>{shown}</span> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::samples::html;

    fn rendered(address: &str) -> String {
        html(|| bar(Page::at(address), |region| count_badge(region, 2)))
    }

    #[test]
    fn exactly_one_entry_is_marked_for_every_address() {
        for (address, entry) in [
            ("/", "/"),
            ("/gates/A", "/"),
            ("/runs/7?x=1", "/runs"),
            ("/runs", "/runs"),
            ("/runbook", "/runbook"),
            ("/sign-offs#QA", "/sign-offs"),
            ("/ownership/owner", "/ownership"),
        ] {
            let html = rendered(address);
            assert_eq!(html.matches("aria-current").count(), 1, "{address}");
            assert!(
                html.contains(&format!("<a href=\"{entry}\" aria-current=\"page\"")),
                "{address}: {html}"
            );
        }
        for apart in ["/account", "/runsx", "/nowhere"] {
            assert!(!rendered(apart).contains("aria-current"), "{apart}");
        }
    }

    #[test]
    fn all_entries_are_links_below_the_heading_of_their_group() {
        let html = rendered("/");
        assert_eq!(html.matches("<a ").count(), Group::ALL.into_iter().flat_map(Group::pages).count());
        for group in Group::ALL {
            let name = group.label().to_lowercase();
            let (_, after) = html.split_once(&format!("<ul aria-labelledby=\"pages-{name}\"")).unwrap();
            let (list, _) = after.split_once("</ul>").unwrap();
            for page in group.pages() {
                assert!(list.contains(&format!("href=\"{}\"", page.href())), "{page:?}");
            }
            assert!(html.contains(&format!("id=\"pages-{name}\"")));
        }
    }

    #[test]
    fn the_menu_button_opens_and_closes_the_list_without_scripts() {
        let html = rendered("/");
        assert_eq!(html.matches("popovertarget=\"pages\"").count(), 2, "{html}");
        assert_eq!(html.matches("id=\"pages\"").count(), 1);
        assert!(html.contains("popover=\"\"") || html.contains(" popover "), "{html}");
    }

    #[test]
    fn the_number_of_to_dos_is_readable_and_absent_when_there_are_none() {
        let html = |n| html(move || count_badge("todo-count", n));
        assert!(html(1).contains("1 to-do waiting for you"));
        assert!(html(3).contains("3 to-dos waiting for you"));
        assert!(html(0).contains("data-live=\"todo-count\"") && !html(0).contains("count num"));
        // Each region is updated by its name.
        for region in ["todo-count", "menu-count"] {
            assert_eq!(rendered("/").matches(&format!("data-live=\"{region}\"")).count(), 1);
        }
    }
}
