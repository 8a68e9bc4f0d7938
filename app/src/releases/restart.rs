//! The clean restart: recreates all containers from the images of a release that was healthy.

use domain::action::Action;
use domain::choice::VolumesChoice;
use engine::view::RestartOffer;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::CleanRestart;
use crate::ui::{Here, Icon, card, choices, confirm_form, envelope, hidden, icon, offer_button, text_field};

/// The card with the button.
pub(super) fn restart(here: &Here, restart: &RestartOffer) -> AnyView {
    const FORM: &str = Action::CleanRestart.name();
    let RestartOffer { target, offer, digest, .. } = restart;
    let name = target.as_ref().map(|target| target.name()).unwrap_or_default();
    let panel = || {
        view! {
            <form class="form" method="post" action=CleanRestart::url()>
                {envelope(here, FORM)} {hidden(&[("shown", digest)])}
                <p class="strong">{format!("Recreate all containers with release {name}?")}</p>
                <p class="small">
                    "All containers and networks of the project are removed and created again from the images of that release. The stack is unavailable until this is done."
                </p>
                {volumes(here, FORM, restart)}
                {offer_button("Recreate all containers", "btn--danger", offer)}
            </form>
        }
        .into_any()
    };
    let button = confirm_form(here, FORM, view! { {icon(Icon::Back)} "Clean restart" }, "", offer, panel);
    let help = view! {
        <p class="small muted">"When a rollback is not enough: a broken network or a stuck container."</p>
    };
    card("rel-restart", "Clean restart", (), view! { <div class="stack">{help} {button}</div> })
}

/// Whether the volumes are kept. To remove them, the user must choose it and type the stack's name.
fn volumes(here: &Here, form: &str, restart: &RestartOffer) -> AnyView {
    let remove = match (restart.backup, restart.fill) {
        (true, true) => {
            "Remove them: the database is backed up, then recreated with its seed data. All other stored data is lost"
        }
        (true, false) => {
            "Remove them: the database is backed up; all other stored data is lost. You must recreate the schema and seed data yourself"
        }
        (false, true) => {
            "Remove them: all stored data is lost, without a backup. The database is recreated with its seed data"
        }
        (false, false) => {
            "Remove them: all stored data is lost, without a backup. You must recreate the schema and seed data yourself"
        }
    };
    let hint = format!("Only to remove the volumes: type {} to confirm.", restart.stack);
    let both = [(VolumesChoice::Keep.value(), "Keep them"), (VolumesChoice::Remove.value(), remove)];
    view! {
        <fieldset class="fieldset">
            <legend>"Volumes, including the database"</legend>
            {choices(here, form, "volumes", &both)}
            <div class="asked">{text_field(here, form, "typed", "The stack's name", &hint, false)}</div>
        </fieldset>
    }
    .into_any()
}
