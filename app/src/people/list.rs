//! Who holds which role; for admins, also inviting, roles, resets and ending access.

use domain::facts::Actor;
use domain::policy::may;
use domain::role::Role;
use engine::view::{Offer, PersonView};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use super::acts::{DisablePerson, Invite, ResetPerson, SetRoles};
use super::login_field;
use crate::ssr::page;
use crate::ui::{Here, Icon, badge, card, confirm, envelope, hidden, page_head, roles, text_field, time};

const INVITE: &str = "invite";

/// The page.
#[component]
pub fn PeoplePage() -> impl IntoView {
    page(move |visit| async move {
        let me = visit.actor()?.clone();
        let people = visit.engine.people(&me).await?;
        Ok(people_view(&Here::from(&visit), &me, &people))
    })
}

/// The people as they are laid out for `me`.
pub fn people_view(here: &Here, me: &Actor, people: &[PersonView]) -> AnyView {
    let is_admin = may("set_roles", &me.roles);
    let invite = is_admin.then(|| invite_card(here));
    let link = here.flash.as_ref().filter(|f| f.ok).and_then(|f| one_time_link(&f.text)).map(link_card);
    let read_only = (!is_admin).then(|| {
        view! { <p class="lede">"Admins invite people and hand out roles; you can see who holds which."</p> }
    });
    let rows = people.iter().map(|p| row(here, me, p, is_admin)).collect_view();
    let login = is_admin.then(|| view! { <th scope="col">"Login"</th> });
    let since = is_admin.then(|| view! { <th scope="col">"Added"</th> });
    let acts = is_admin.then(|| view! { <th scope="col">"Change"</th> });
    view! {
        <Title text="People" />
        {page_head("People", read_only, ())}
        {link}
        {holders(people)}
        {card(
            "people",
            "Everybody",
            view! { <span class="small muted num">{people.len().to_string()}</span> },
            view! {
                <div class="table-wrap">
                    <table class="table table--cards">
                        <thead>
                            <tr>
                                <th scope="col">"Name"</th>
                                {login}
                                <th scope="col">"Roles"</th>
                                {since}
                                {acts}
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            },
        )}
        {invite}
    }
    .into_any()
}

/// Who holds each role, and the roles that nobody holds: those stop a release.
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
                view! { <span class="warn">"nobody"</span> }.into_any()
            } else {
                names.join(", ").into_any()
            };
            view! { <dt>{role.label()}</dt><dd>{who}</dd> }
        })
        .collect_view();
    card("roles", "Who holds which role", (), view! { <dl class="kv">{rows}</dl> })
}

fn row(here: &Here, me: &Actor, person: &PersonView, is_admin: bool) -> AnyView {
    let state = if person.disabled {
        Some(badge("cancelled", Icon::Stop, "No access"))
    } else if !person.ready {
        Some(badge("open", Icon::Circle, "Has not joined yet"))
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
    let acts = is_admin.then(|| view! { <td data-label="Change">{change(here, me, person)}</td> });
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
    let set = || {
        view! {
            <form class="form" method="post" action=SetRoles::url()>
                {envelope(here, &format!("set_roles:{id}"))} {hidden(&[("person", &id)])}
                {role_boxes(&name, |role| person.actor.roles.contains(&role))}
                <button type="submit" class="btn btn--primary">"Save the roles"</button>
            </form>
        }
        .into_any()
    };
    let reset = || {
        view! {
            <form class="form" method="post" action=ResetPerson::url()>
                {envelope(here, &format!("reset_person:{id}"))} {hidden(&[("person", &id)])}
                <p class="small">
                    "It makes a one-time link to choose a new password, and ends every session of theirs."
                </p>
                <button type="submit" class="btn btn--primary">{format!("Make a link for {name}")}</button>
            </form>
        }
        .into_any()
    };
    let disable = || {
        let (words, button) = if person.disabled {
            ("They can sign in again with the password they had.", format!("Give {name} access again"))
        } else {
            (
                "Their sessions end now and their links stop working. What they did stays.",
                format!("End the access of {name}"),
            )
        };
        view! {
            <form class="form" method="post" action=DisablePerson::url()>
                {envelope(here, &format!("disable_person:{id}"))} {hidden(&[("person", &id)])}
                <p class="small">{words}</p>
                <button type="submit" class="btn btn--danger">{button}</button>
            </form>
        }
        .into_any()
    };
    let myself = person.actor.id == me.id;
    let may_disable = if myself { Offer::No("nobody locks themselves out".to_owned()) } else { Offer::Yes };
    let end = if person.disabled { "Give access" } else { "End access" };
    view! {
        <div class="row">
            {confirm("Roles", "btn--small", &Offer::Yes, set)}
            {confirm("New password link", "btn--small", &Offer::Yes, reset)}
            {confirm(end, "btn--small", &may_disable, disable)}
        </div>
    }
    .into_any()
}

/// The roles as boxes to tick.
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
                <h2>"Invite somebody"</h2>
                <span class="small muted">"The next page shows a one-time link to pass on."</span>
            </div>
            <form class="form card__body" method="post" action=Invite::url()>
                {envelope(here, INVITE)} {text_field(here, INVITE, "name", "Name", "", true)}
                {login_field(here, INVITE, Some("What they type to sign in."))}
                {role_boxes("the new person", was_ticked)}
                <p class="row">
                    <button type="submit" class="btn btn--primary">"Invite"</button>
                </p>
            </form>
        </section>
    }
    .into_any()
}

/// The path of the link in what the act said.
fn one_time_link(said: &str) -> Option<String> {
    let path = said.split_whitespace().find(|word| word.starts_with("/link/"))?;
    Some(path.to_owned())
}

fn link_card(path: String) -> AnyView {
    view! {
        <section class="card card--amber">
            <div class="card__body">
                <p class="strong">"Pass this link on now; it cannot be shown again"</p>
                <p>
                    <a class="mono wrap" href=path.clone()>{path.clone()}</a>
                </p>
                <p class="small muted">
                    "Copy its address with the right mouse button or a long press. It works once, within seven days; opening it does not use it up."
                </p>
            </div>
        </section>
    }
    .into_any()
}
