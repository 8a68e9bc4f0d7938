//! The clean restart: everything down, then up again with images that are known to be good.

use engine::view::ReleasesPage;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::CleanRestart;
use crate::ui::{Here, Icon, card, confirm, envelope, hidden, icon, offer_button};

/// The card with the button.
pub(super) fn restart(here: &Here, page: &ReleasesPage) -> AnyView {
    let (target, offer) = &page.restart;
    let name = target.as_ref().map(|target| target.name()).unwrap_or_default();
    let number = target.as_ref().map(|target| target.id.to_string()).unwrap_or_default();
    let panel = || {
        view! {
            <form class="form" method="post" action=CleanRestart::url()>
                {envelope(here, "clean_restart")} {hidden(&[("release", &number)])}
                <p class="strong">{format!("Take the stack down and start release {name} anew?")}</p>
                <p class="small">
                    "All containers and networks of the project are removed and made again from the images of that release. Nothing answers meanwhile. Volumes, and so the database, stay as they are."
                </p>
                {offer_button("Yes, down and up again", "btn--danger", offer)}
            </form>
        }
        .into_any()
    };
    let button = confirm(view! { {icon(Icon::Back)} "Clean restart" }, "", offer, panel);
    let words = view! {
        <p class="small muted">"For when a rollback is not enough: a network gone wrong, a container that will not go."</p>
    };
    card("rel-restart", "Clean restart", (), view! { <div class="stack">{words} {button}</div> })
}
