//! Deploy and rollback as buttons that name, before anything happens, what will happen.

use domain::observed::Observed;
use domain::release::short_commit;
use engine::view::{EnvSince, Permission, RollbackOffer, Shown};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::{
    Here, Icon, chips, choices, confirm_form, envelope, hidden, icon, lines, offer_button, text_field, time,
};
use crate::releases::{Deploy, RollBack};

/// `412 MB`, `1.2 GB`; layers that images share are counted with each.
pub fn size(bytes: u64) -> String {
    match bytes.div_ceil(1_000_000) {
        mb @ 0..1_000 => format!("{mb} MB"),
        mb => format!("{}.{} GB", mb / 1_000, mb % 1_000 / 100),
    }
}

/// The target in words, to stand beside the button: since when it is good, which migrations lie between.
pub fn rollback_words(offer: &RollbackOffer) -> AnyView {
    let migrations = match &offer.migrations {
        None => "migrations not recorded".to_owned(),
        Some(names) if names.is_empty() => "no migrations between".to_owned(),
        Some(names) if names.len() == 1 => "1 migration between".to_owned(),
        Some(names) => format!("{} migrations between", names.len()),
    };
    let kept = (offer.bytes > 0).then(|| format!(", {} kept", size(offer.bytes)));
    view! { <span class="small">"good since " {time(offer.good_since)} ", " {migrations} {kept}</span> }
        .into_any()
}

/// The one-click rollback with its one confirmation: target, services that change, migrations
/// between and what becomes of the database.
pub fn rollback_confirm(here: &Here, offer: &RollbackOffer, class: &str) -> AnyView {
    let commit = offer.target.short_commit();
    let label = format!("Back to {commit}");
    let target = offer.target.id.to_string();
    let form = format!("roll_back:{target}");
    let panel = || {
        let services = if offer.services.is_empty() {
            view! { <p class="small">"No service changes its image."</p> }.into_any()
        } else {
            view! { <p class="row small">"Services that change:" {chips(&offer.services)}</p> }.into_any()
        };
        view! {
            <form class="form" method="post" action=RollBack::url()>
                {envelope(here, &form)} {hidden(&[("release", &target), ("shown", &offer.digest)])}
                <p class="strong">{format!("Go back to release {}?", offer.target.name())}</p>
                <p class="small wrap">{offer.target.subject.clone()}</p>
                <p>{rollback_words(offer)}</p>
                {services}
                {database(here, &form, offer)}
                {env_file(here, &form, offer)}
                {offer_button(format!("Yes, back to {commit}"), "btn--danger", &offer.offer)}
            </form>
        }
        .into_any()
    };
    let missing = (!offer.missing_images.is_empty()).then(|| {
        view! { <p class="small no">"Images that are gone:"</p> {lines(&offer.missing_images)} }
    });
    view! {
        <div class="stack stack--tight">
            {confirm_form(here, &form, view! { {icon(Icon::Back)} {label} }, class, &offer.offer, panel)}
            {missing}
        </div>
    }
    .into_any()
}

/// What becomes of the database; asked only when there is something to decide.
fn database(here: &Here, form: &str, offer: &RollbackOffer) -> AnyView {
    let keep = || hidden(&[("database", "keep")]);
    let names = match &offer.migrations {
        Some(names) if names.is_empty() => return keep(),
        Some(names) => view! {
            <p class="small">"Migrations that the target does not know:"</p>
            {lines(names)}
        }
        .into_any(),
        None => view! {
            <p class="small warn">
                "The migrations of one of the two releases were not recorded. Look before you choose."
            </p>
        }
        .into_any(),
    };
    if !offer.can_roll_back_database && !offer.can_make_database_anew {
        return view! {
            {names}
            {keep()}
            <p class="small">"The schema stays as it is; the stack declares no command to roll it back."</p>
        }
        .into_any();
    }
    const FRESH: &str =
        "Back it up, then make a new one with its seed: what is in it now is in the backup only";
    let all = [
        (true, "keep", "Keep the schema as it is"),
        (offer.can_roll_back_database, "rollback", "Roll the migrations back with the stack's own command"),
        (offer.can_make_database_anew, "fresh", FRESH),
    ];
    let offered: Vec<_> = all.iter().filter(|(on, ..)| *on).map(|(_, value, says)| (*value, *says)).collect();
    let typed = offer.can_make_database_anew.then(|| {
        let hint = format!("Only for a new database: type {} to confirm.", offer.stack);
        view! { <div class="asked">{text_field(here, form, "typed", "The stack's name", &hint, false)}</div> }
    });
    view! {
        {names}
        <fieldset class="fieldset">
            <legend>"The database"</legend>
            {choices(here, form, "database", &offered)}
            {typed}
        </fieldset>
    }
    .into_any()
}

/// What becomes of the env file; asked only when it has changed and a copy is there.
fn env_file(here: &Here, form: &str, offer: &RollbackOffer) -> AnyView {
    match offer.env {
        EnvSince::Same => ().into_any(),
        EnvSince::Changed => view! {
            <p class="small warn">
                "The env file has changed since that release ran. It stays as it is now: no copy of the old one was kept."
            </p>
        }
        .into_any(),
        EnvSince::Kept => {
            const BACK: &str =
                "Put back the one that the release ran with; the present one is kept encrypted beside it";
            let both = [("keep", "Leave it as it is now"), ("back", BACK)];
            view! {
                <fieldset class="fieldset">
                    <legend>"The env file, which has changed since"</legend>
                    {choices(here, form, "env", &both)}
                </fieldset>
            }
            .into_any()
        }
    }
}

/// The deploy button with its confirmation: what lies in the directory, and the services concerned. `backup`: the
/// database is backed up first, unless somebody says otherwise. The form sends back what was `shown`.
pub fn deploy_confirm(
    here: &Here,
    observed: &Observed,
    shown: &Shown,
    offer: &Permission,
    backup: bool,
    class: &str,
) -> AnyView {
    const FORM: &str = "deploy";
    let commit = short_commit((!shown.commit.is_empty()).then_some(shown.commit.as_str()));
    let services: Vec<String> = observed.services.iter().map(|s| s.name.clone()).collect();
    let label = format!("Deploy {commit}");
    let panel = || {
        let ticked = here.draft(FORM, "without_backup") == "true";
        let without = backup.then(|| {
            view! {
                <p class="small">"The database is backed up first; if that fails, nothing is deployed."</p>
                <label class="check small">
                    <input type="checkbox" name="without_backup" value="true" checked=ticked />
                    <span>"Deploy without that backup"</span>
                </label>
            }
        });
        view! {
            <form class="form" method="post" action=Deploy::url()>
                {envelope(here, FORM)}
                {hidden(&[("commit", &shown.commit), ("shown", &shown.digest)])}
                <p class="strong">{format!("Deploy {commit} to this stack?")}</p>
                <p class="small">
                    "It builds the images, keeps them for a rollback, starts the services and waits until each is healthy. A service that does not become healthy is down until the next deploy or rollback."
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
