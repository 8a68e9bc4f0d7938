//! The clean restart: everything down, then up again with images that are known to be good.

use engine::view::RestartOffer;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::CleanRestart;
use crate::ui::{Here, Icon, card, choices, confirm_form, envelope, hidden, icon, offer_button, text_field};

/// The card with the button.
pub(super) fn restart(here: &Here, restart: &RestartOffer) -> AnyView {
    const FORM: &str = "clean_restart";
    let RestartOffer { target, offer, digest, .. } = restart;
    let name = target.as_ref().map(|target| target.name()).unwrap_or_default();
    let panel = || {
        view! {
            <form class="form" method="post" action=CleanRestart::url()>
                {envelope(here, FORM)} {hidden(&[("shown", digest)])}
                <p class="strong">{format!("Take the stack down and start release {name} anew?")}</p>
                <p class="small">
                    "All containers and networks of the project are removed and made again from the images of that release. Nothing answers meanwhile."
                </p>
                {volumes(here, FORM, restart)}
                {offer_button("Yes, down and up again", "btn--danger", offer)}
            </form>
        }
        .into_any()
    };
    let button = confirm_form(here, FORM, view! { {icon(Icon::Back)} "Clean restart" }, "", offer, panel);
    let words = view! {
        <p class="small muted">"For when a rollback is not enough: a network gone wrong, a container that will not go."</p>
    };
    card("rel-restart", "Clean restart", (), view! { <div class="stack">{words} {button}</div> })
}

/// What becomes of the volumes. They are asked for twice: by the choice and by the name.
fn volumes(here: &Here, form: &str, restart: &RestartOffer) -> AnyView {
    let remove = match (restart.backup, restart.fill) {
        (true, true) => {
            "Remove them: the database is backed up, then made anew with its seed. Everything else that is stored is lost"
        }
        (true, false) => {
            "Remove them: the database is backed up; everything else that is stored is lost. Schema and seed are for you to make"
        }
        (false, true) => {
            "Remove them: all that is stored is lost, without a backup. The database is made anew with its seed"
        }
        (false, false) => {
            "Remove them: all that is stored is lost, without a backup. Schema and seed are for you to make"
        }
    };
    let hint = format!("Only to remove the volumes: type {} to confirm.", restart.stack);
    view! {
        <fieldset class="fieldset">
            <legend>"The volumes, and so the database"</legend>
            {choices(here, form, "volumes", &[("keep", "Leave them as they are"), ("remove", remove)])}
            <div class="asked">{text_field(here, form, "typed", "The stack's name", &hint, false)}</div>
        </fieldset>
    }
    .into_any()
}
