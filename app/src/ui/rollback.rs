//! The deploy and rollback buttons. Their confirmations name all effects before anything is done.

use domain::action::Action;
use domain::choice::{DatabaseChoice, EnvChoice};
use domain::observed::Observed;
use domain::release::short_commit;
use engine::view::{EnvSince, Permission, RollbackOffer, Shown};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::{
    Here, Icon, chips, choices, confirm_form, envelope, form_name, hidden, icon, lines, offer_button,
    text_field, time,
};
use crate::releases::{Deploy, RollBack};

/// `412 MB`, `1.2 GB`. Layers shared by several images are counted for each image.
pub fn size(bytes: u64) -> String {
    match bytes.div_ceil(1_000_000) {
        mb @ 0..1_000 => format!("{mb} MB"),
        mb => format!("{}.{} GB", mb / 1_000, mb % 1_000 / 100),
    }
}

/// The description of the rollback target beside the button: since when it is one, and the migrations between.
pub fn rollback_words(offer: &RollbackOffer) -> AnyView {
    let migrations = match &offer.migrations {
        None => "migrations not recorded".to_owned(),
        Some(names) if names.is_empty() => "no migrations between".to_owned(),
        Some(names) if names.len() == 1 => "1 migration between".to_owned(),
        Some(names) => format!("{} migrations between", names.len()),
    };
    let retained = (offer.bytes > 0).then(|| format!(", {} retained", size(offer.bytes)));
    view! { <span class="small">"Rollback target since " {time(offer.good_since)} ", " {migrations} {retained}</span> }
        .into_any()
}

/// The rollback button with its confirmation: target, services that change, migrations between, and the effect on the
/// database.
pub fn rollback_confirm(here: &Here, offer: &RollbackOffer, class: &str) -> AnyView {
    let commit = offer.target.short_commit();
    let label = format!("Roll back to {commit}");
    let target = offer.target.id.to_string();
    let form = form_name(Action::RollBack, &target);
    let panel = || {
        let services = if offer.services.is_empty() {
            view! { <p class="small">"The images of all services stay the same."</p> }.into_any()
        } else {
            view! { <p class="row small">"Services that change:" {chips(&offer.services)}</p> }.into_any()
        };
        view! {
            <form class="form" method="post" action=RollBack::url()>
                {envelope(here, &form)} {hidden(&[("release", &target), ("shown", &offer.digest)])}
                <p class="strong">{format!("Roll back to release {}?", offer.target.name())}</p>
                <p class="small wrap">{offer.target.subject.clone()}</p>
                <p>{rollback_words(offer)}</p>
                {services}
                {database(here, &form, offer)}
                {env_file(here, &form, offer)}
                {offer_button(format!("Yes, roll back to {commit}"), "btn--danger", &offer.offer)}
            </form>
        }
        .into_any()
    };
    let missing = (!offer.missing_images.is_empty()).then(|| {
        view! { <p class="small no">"Missing images:"</p> {lines(&offer.missing_images)} }
    });
    view! {
        <div class="stack stack--tight">
            {confirm_form(here, &form, view! { {icon(Icon::Back)} {label} }, class, &offer.offer, panel)}
            {missing}
        </div>
    }
    .into_any()
}

/// The choices for the database; shown only when there is something to decide.
fn database(here: &Here, form: &str, offer: &RollbackOffer) -> AnyView {
    let keep = || hidden(&[("database", DatabaseChoice::Keep.value())]);
    let names = match &offer.migrations {
        Some(names) if names.is_empty() => return keep(),
        Some(names) => view! {
            <p class="small">"Migrations that the target does not include:"</p>
            {lines(names)}
        }
        .into_any(),
        None => view! {
            <p class="small warn">
                "The migrations of one of the two releases were not recorded. Check the database before you choose."
            </p>
        }
        .into_any(),
    };
    if !offer.can_roll_back_database && !offer.can_make_database_anew {
        return view! {
            {names}
            {keep()}
            <p class="small">"The schema is not changed: stagegate.toml declares no command to roll it back."</p>
        }
        .into_any();
    }
    const FRESH: &str =
        "Back up, then recreate the database with seed data (current data remains only in the backup)";
    let all = [
        (true, DatabaseChoice::Keep, "Keep the current schema"),
        (
            offer.can_roll_back_database,
            DatabaseChoice::Rollback,
            "Roll back the migrations with the command from stagegate.toml",
        ),
        (offer.can_make_database_anew, DatabaseChoice::Fresh, FRESH),
    ];
    let offered: Vec<_> =
        all.iter().filter(|(on, ..)| *on).map(|(_, choice, label)| (choice.value(), *label)).collect();
    let typed = offer.can_make_database_anew.then(|| {
        let hint = format!("Only to recreate the database: type {} to confirm.", offer.stack);
        view! { <div class="asked">{text_field(here, form, "typed", "The stack's name", &hint, false)}</div> }
    });
    view! {
        {names}
        <fieldset class="fieldset">
            <legend>"Database"</legend>
            {choices(here, form, "database", &offered)}
            {typed}
        </fieldset>
    }
    .into_any()
}

/// The choices for the env file; shown only when it has changed and a copy exists.
fn env_file(here: &Here, form: &str, offer: &RollbackOffer) -> AnyView {
    match offer.env {
        EnvSince::Same => ().into_any(),
        EnvSince::Changed => view! {
            <p class="small warn">
                "The env file has changed since that release ran. The current file stays in use: there is no copy of the earlier one."
            </p>
        }
        .into_any(),
        EnvSince::Kept => {
            const BACK: &str =
                "Restore the env file of that release. An encrypted copy of the current file is kept";
            let both = [
                (EnvChoice::Keep.value(), "Keep the current env file"),
                (EnvChoice::Restore.value(), BACK),
            ];
            view! {
                <fieldset class="fieldset">
                    <legend>"Env file (changed since that release)"</legend>
                    {choices(here, form, "env", &both)}
                </fieldset>
            }
            .into_any()
        }
    }
}

/// The deploy button with its confirmation: the commit in the checkout and the services. `backup`: the database is
/// backed up first, unless the person deselects it. The form sends back what was `shown`.
pub fn deploy_confirm(
    here: &Here,
    observed: &Observed,
    shown: &Shown,
    offer: &Permission,
    backup: bool,
    class: &str,
) -> AnyView {
    const FORM: &str = Action::Deploy.name();
    let commit = short_commit((!shown.commit.is_empty()).then_some(shown.commit.as_str()));
    let services: Vec<String> = observed.services.iter().map(|s| s.name.clone()).collect();
    let label = format!("Deploy {commit}");
    let panel = || {
        let ticked = here.draft(FORM, "without_backup") == "true";
        let without = backup.then(|| {
            view! {
                <p class="small">"The database is backed up first. If the backup fails, nothing is deployed."</p>
                <label class="check small">
                    <input type="checkbox" name="without_backup" value="true" checked=ticked />
                    <span>"Deploy without a backup"</span>
                </label>
            }
        });
        view! {
            <form class="form" method="post" action=Deploy::url()>
                {envelope(here, FORM)}
                {hidden(&[("commit", &shown.commit), ("shown", &shown.digest)])}
                <p class="strong">{format!("Deploy {commit} to this stack?")}</p>
                <p class="small">
                    "The deploy builds the images, retains them for a rollback, starts the services and waits until each service is healthy. A service that does not become healthy stays unavailable until the next deploy or rollback."
                </p>
                <p class="row small">"Services:" {chips(&services)}</p>
                {without}
                {offer_button(format!("Yes, deploy {commit}"), "btn--primary", offer)}
            </form>
        }
        .into_any()
    };
    confirm_form(here, FORM, view! { {icon(Icon::Rocket)} {label.clone()} }, class, offer, panel)
}
