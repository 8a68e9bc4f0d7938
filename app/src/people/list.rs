//! Role assignments; for admins also invitations, roles, password resets and disabling accounts.

use domain::action::Action;
use domain::facts::Actor;
use domain::pages::Page;
use domain::policy::may;
use domain::role::Role;
use engine::Access;
use engine::view::{Invitation, InvitationState};
use engine::view::{InvitationsPage, Permission, PersonView};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use super::acts::{DisablePerson, Invite, ResetPerson, SetRoles, WithdrawInvitation};
use super::login_field;
use crate::ssr::page;
use crate::ui::{
    Here, Icon, badge, card, confirm_form, cursor, envelope, form_name, hidden, page_head, pager,
    password_field, post_button, roles, table, text_field, time,
};

const INVITE: &str = Action::Invite.name();

/// The page; `?before=` and `?after=` select the page of the invitations.
#[component]
pub fn PeoplePage() -> impl IntoView {
    let cursor = cursor();
    page(move |context| async move {
        let me = context.actor()?.clone();
        let people = context.engine.people(&me).await?;
        let invitations = context.engine.invitations(&me, cursor).await?;
        Ok(people_view(&Here::from(&context), &me, &people, &invitations))
    })
}

/// Renders the people for the signed-in person `me`.
pub fn people_view(here: &Here, me: &Actor, people: &[PersonView], invitations: &InvitationsPage) -> AnyView {
    let is_admin = may(Action::SetRoles, &me.roles);
    let invite = is_admin.then(|| invite_card(here));
    let invited = is_admin.then(|| invitations_card(here, invitations));
    let link = here.flash.as_ref().filter(|f| f.ok).and_then(|f| one_time_link(&f.text)).map(link_card);
    let read_only = (!is_admin).then(|| {
        view! { <p class="lede">"Admins invite people and assign roles. This page shows who has which role."</p> }
    });
    let rows = people.iter().map(|p| row(here, me, p, is_admin)).collect_view();
    let headings: &[_] =
        if is_admin { &["Name", "Login", "Roles", "Added", "Actions"] } else { &["Name", "Roles"] };
    view! {
        <Title text=Page::People.title() />
        {page_head("People", read_only, ())}
        {link}
        {holders(people)}
        {card(
            "people",
            "All people",
            view! { <span class="small muted num">{people.len().to_string()}</span> },
            table(headings, rows),
        )}
        {invited}
        {invite}
    }
    .into_any()
}

/// The people who have each role. A role that no one has can block a release.
fn holders(people: &[PersonView]) -> AnyView {
    let rows = Role::ALL
        .into_iter()
        .map(|role| {
            let names: Vec<&str> = people
                .iter()
                .filter(|p| !p.disabled && p.actor.roles.contains(&role))
                .map(|p| p.actor.name.as_str())
                .collect();
            let who = if names.is_empty() {
                view! { <span class="warn">"not assigned"</span> }.into_any()
            } else {
                names.join(", ").into_any()
            };
            view! { <dt>{role.label()}</dt><dd>{who}</dd> }
        })
        .collect_view();
    card("roles", "Role assignments", (), view! { <dl class="kv">{rows}</dl> })
}

fn row(here: &Here, me: &Actor, person: &PersonView, is_admin: bool) -> AnyView {
    let state = if person.disabled {
        Some(badge("cancelled", Icon::Stop, "Disabled"))
    } else if !person.ready {
        Some(badge("open", Icon::Circle, "No password yet"))
    } else if person.actor.id == me.id {
        Some(badge("neutral", Icon::Person, "You"))
    } else {
        None
    };
    let login = is_admin.then(|| {
        let login = person.login.clone();
        view! { <td data-label="Login" class="mono small wrap">{login}</td> }
    });
    let since = is_admin.then(|| view! { <td data-label="Added">{time(person.created_at)}</td> });
    let acts = is_admin.then(|| view! { <td data-label="Actions">{change(here, me, person)}</td> });
    view! {
        <tr id=format!("person-{}", person.actor.id)>
            <td data-label="Name">
                <span class="strong wrap">{person.actor.name.clone()}</span> " " {state}
            </td>
            {login}
            <td data-label="Roles">{roles(&person.actor.roles)}</td>
            {since}
            {acts}
        </tr>
    }
    .into_any()
}

fn change(here: &Here, me: &Actor, person: &PersonView) -> AnyView {
    let id = person.actor.id.to_string();
    let name = person.actor.name.clone();
    let set_form = form_name(Action::SetRoles, &id);
    let set = || {
        let held: Vec<&str> = person.actor.roles.iter().map(|r| r.slug()).collect();
        // The selection of the refused form, otherwise the current roles.
        let chosen = here.draft(&set_form, "roles");
        let ticked: Vec<&str> =
            if here.refused(&set_form) { chosen.split(',').collect() } else { held.clone() };
        view! {
            <form class="form" method="post" action=SetRoles::url()>
                {envelope(here, &set_form)} {hidden(&[("person", &id), ("shown", &held.join(","))])}
                {role_boxes(&name, |role| ticked.contains(&role.slug()))} {password_field(here, &set_form)}
                <button type="submit" class="btn btn--primary">"Save roles"</button>
            </form>
        }
        .into_any()
    };
    let reset_form = form_name(Action::ResetPerson, &id);
    let reset = || {
        view! {
            <form class="form" method="post" action=ResetPerson::url()>
                {envelope(here, &reset_form)} {hidden(&[("person", &id)])}
                <p class="small">
                    {format!(
                        "The password of {name} stops working immediately, and all of their sessions end. The next page shows a one-time link for choosing a new password.",
                    )}
                </p>
                {password_field(here, &reset_form)}
                <button type="submit" class="btn btn--danger">{format!("Reset password of {name}")}</button>
            </form>
        }
        .into_any()
    };
    let access_form = form_name(Action::DisablePerson, &id);
    let access = || {
        let (text, new_access, class, button) = if person.disabled {
            (
                "The person can sign in again with their previous password.",
                Access::Given,
                "btn btn--primary",
                format!("Enable account of {name}"),
            )
        } else {
            (
                "Their sessions end immediately. Their one-time links and their open invitations stop working. Their sign-offs and all other records remain.",
                Access::Ended,
                "btn btn--danger",
                format!("Disable account of {name}"),
            )
        };
        view! {
            <form class="form" method="post" action=DisablePerson::url()>
                {envelope(here, &access_form)}
                {hidden(&[("person", &id), ("access", new_access.slug())])}
                <p class="small">{text}</p>
                {password_field(here, &access_form)}
                <button type="submit" class=class>{button}</button>
            </form>
        }
        .into_any()
    };
    let myself = person.actor.id == me.id;
    let may_disable = if myself {
        Permission::Denied("You cannot disable your own account.".to_owned())
    } else {
        Permission::Allowed
    };
    let may_reset = if myself {
        Permission::Denied("Change your own password on the Account page.".to_owned())
    } else if person.disabled {
        Permission::Denied("Enable the account first.".to_owned())
    } else {
        Permission::Allowed
    };
    let access_label = if person.disabled { "Enable account" } else { "Disable account" };
    view! {
        <div class="row">
            {confirm_form(here, &set_form, "Roles", "btn--small", &Permission::Allowed, set)}
            {confirm_form(here, &reset_form, "Reset password", "btn--small", &may_reset, reset)}
            {confirm_form(here, &access_form, access_label, "btn--small", &may_disable, access)}
        </div>
    }
    .into_any()
}

/// All invitations: person, author and state.
fn invitations_card(here: &Here, page: &InvitationsPage) -> AnyView {
    let open = page.open;
    let rows = page.rows.iter().map(|i| invitation(here, i)).collect_view();
    let body = if page.rows.is_empty() {
        view! { <p class="muted">"No invitations yet."</p> }.into_any()
    } else {
        table(&["Name", "Login", "Roles", "Invited by", "Expires", "State"], rows)
    };
    card(
        "invitations",
        "Invitations",
        view! { <span class="small muted num">{format!("{open} open")}</span> },
        view! {
            {body}
            {pager("/people", "Pages of the invitations", page.pages)}
        },
    )
}

fn invitation(here: &Here, invitation: &Invitation) -> AnyView {
    let state = match &invitation.state {
        InvitationState::Open => {
            let button = post_button(
                here,
                &form_name(Action::WithdrawInvitation, &invitation.id),
                WithdrawInvitation::url(),
                &[("invitation", &invitation.id)],
                "Withdraw",
                "btn--small",
                &Permission::Allowed,
            );
            view! { <div class="row">{badge("open", Icon::Circle, "Open")} {button}</div> }.into_any()
        }
        InvitationState::Joined => badge("pass", Icon::Check, "Joined"),
        InvitationState::Expired => badge("neutral", Icon::Clock, "Expired"),
        InvitationState::Withdrawn(because) => {
            let because = because.clone();
            view! {
                {badge("cancelled", Icon::Stop, "Withdrawn")}
                " "
                <span class="small muted wrap">{because}</span>
            }
            .into_any()
        }
    };
    view! {
        <tr>
            <td data-label="Name" class="wrap">{invitation.name.clone()}</td>
            <td data-label="Login" class="mono small wrap">{invitation.login.clone()}</td>
            <td data-label="Roles">{roles(&invitation.roles)}</td>
            <td data-label="Invited by" class="wrap">
                {invitation.made_by.clone()} ", " {time(invitation.created_at)}
            </td>
            <td data-label="Expires">{time(invitation.expires_at)}</td>
            <td data-label="State">{state}</td>
        </tr>
    }
    .into_any()
}

/// The roles as checkboxes.
fn role_boxes(whose: &str, is_held: impl Fn(Role) -> bool) -> AnyView {
    let boxes = Role::ALL
        .into_iter()
        .map(|role| {
            view! {
                <label class="choice">
                    <input type="checkbox" name="roles[]" value=role.slug() checked=is_held(role) />
                    <span>{role.label()}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <fieldset class="fieldset">
            <legend>{format!("Roles of {whose}")}</legend>
            <div class="choices">{boxes}</div>
        </fieldset>
    }
    .into_any()
}

fn invite_card(here: &Here) -> AnyView {
    let ticked = here.draft(INVITE, "roles");
    let was_ticked = |role: Role| ticked.split(',').any(|slug| slug == role.slug());
    view! {
        <section class="card" id="invite">
            <div class="card__head">
                <h2>"Invite a person"</h2>
                <span class="small muted">"The next page shows a one-time link. Send it to the person."</span>
            </div>
            <form class="form card__body" method="post" action=Invite::url()>
                {envelope(here, INVITE)} {text_field(here, INVITE, "name", "Name", "", true)}
                {login_field(here, INVITE, "The person signs in with it.")}
                {role_boxes("the new person", was_ticked)} {password_field(here, INVITE)}
                <p class="row">
                    <button type="submit" class="btn btn--primary">"Invite"</button>
                </p>
            </form>
        </section>
    }
    .into_any()
}

/// The path of the link in the message of the action.
fn one_time_link(message: &str) -> Option<String> {
    let path = message.split_whitespace().find(|word| word.starts_with("/link/"))?;
    Some(path.to_owned())
}

fn link_card(path: String) -> AnyView {
    view! {
        <section class="card card--amber">
            <div class="card__body">
                <p class="strong">"Copy this link now. It is shown only once."</p>
                <p>
                    <a class="mono wrap" href=path.clone()>{path.clone()}</a>
                </p>
                <p class="small muted">
                    "Copy the address with a right-click or a long press and send it to the person. The link works once and expires after seven days. Opening it does not use it up."
                </p>
            </div>
        </section>
    }
    .into_any()
}
