//! A blocker in one line: what it is, since when, its owners, and the action that the signed-in person can take.

use domain::time::Millis;
use engine::view::BlockerView;
use leptos::prelude::*;

use super::{Icon, icon, since};

/// Renders one blocker.
pub fn blocker_line(view: &BlockerView, now: Millis) -> AnyView {
    let what = view.blocker.what.clone();
    let waited = view.blocker.since.map(|at| {
        view! { <span class="blocker__since">"for " {since(at, now)}</span> }
    });
    let act = view.act.clone().map(|(label, href)| {
        view! { <a class="btn btn--small no-print" href=href>{label}</a> }
    });
    view! {
        <div class="blocker__line">
            <a class="blocker__what wrap" href=view.href.clone()>{what}</a>
            {waited}
            {act}
        </div>
        <p class="blocker__owners">{icon(Icon::Person)} " " {owners_text(&view.owners)}</p>
    }
    .into_any()
}

/// The owners as text: `Backend (Bela), QA (not assigned)`.
fn owners_text(owners: &[(String, Vec<String>)]) -> String {
    if owners.is_empty() {
        return "no owner".to_owned();
    }
    let one = |(role, people): &(String, Vec<String>)| match people.as_slice() {
        [] => format!("{role} (not assigned)"),
        people => format!("{role} ({})", people.join(", ")),
    };
    owners.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::owners_text;

    #[test]
    fn owners_are_shown_with_the_people() {
        let owners =
            [("Backend".to_owned(), vec!["Bela".to_owned(), "Ben".to_owned()]), ("QA".to_owned(), vec![])];
        assert_eq!(owners_text(&owners), "Backend (Bela, Ben), QA (not assigned)");
        assert_eq!(owners_text(&[]), "no owner");
    }
}
