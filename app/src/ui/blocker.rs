//! A blocker in a line: what, since when, whose, and what the person looking may do about it.

use domain::time::Millis;
use engine::view::BlockerView;
use leptos::prelude::*;

use super::{Icon, icon, since};

/// The line of one blocker.
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
        <p class="blocker__owners">{icon(Icon::Person)} " " {whose(&view.owners)}</p>
    }
    .into_any()
}

/// `Backend (Bela), QA (nobody holds it)`.
fn whose(owners: &[(String, Vec<String>)]) -> String {
    if owners.is_empty() {
        return "nobody's yet".to_owned();
    }
    let one = |(role, people): &(String, Vec<String>)| match people.as_slice() {
        [] => format!("{role} (nobody holds it)"),
        people => format!("{role} ({})", people.join(", ")),
    };
    owners.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::whose;

    #[test]
    fn owners_are_told_with_the_people() {
        let owners =
            [("Backend".to_owned(), vec!["Bela".to_owned(), "Ben".to_owned()]), ("QA".to_owned(), vec![])];
        assert_eq!(whose(&owners), "Backend (Bela, Ben), QA (nobody holds it)");
        assert_eq!(whose(&[]), "nobody's yet");
    }
}
