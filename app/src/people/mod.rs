//! People: sign-in, one-time links, the account page, and role assignments.

mod account;
mod acts;
mod link;
mod list;
mod sign_in;

#[cfg(test)]
mod tests;

use leptos::prelude::*;

pub use account::{AccountPage, account_view};
pub(crate) use acts::SignOut;
pub use acts::session::person as person_of_session;
pub use link::{LinkPage, link_view};
pub use list::{PeoplePage, people_view};
pub use sign_in::{SignInPage, sign_in_view};

use crate::ui::{Here, field};

/// The purpose of a password field; browsers and password managers use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    /// The current password.
    Present,
    /// A new password.
    New,
}

/// A labelled password field. It is never filled in again.
fn secret_field(here: &Here, form: &str, name: &'static str, label: &str, secret: Secret) -> AnyView {
    let (autocomplete, shortest, hint) = match secret {
        Secret::Present => ("current-password", None, String::new()),
        Secret::New => {
            let shortest = engine::SHORTEST_PASSWORD;
            let hint = match name {
                "password" => {
                    format!("At least {shortest} characters. A phrase of several words works best.")
                }
                _ => String::new(),
            };
            ("new-password", Some(shortest.to_string()), hint)
        }
    };
    field(here, form, name, label, &hint, |attributes| {
        view! {
            <input
                type="password"
                id=attributes.id
                name=name
                required=true
                minlength=shortest
                autocomplete=autocomplete
                aria-describedby=attributes.described_by
                aria-invalid=attributes.invalid
            />
        }
        .into_any()
    })
}

/// A new password, twice.
fn new_password(here: &Here, form: &str) -> AnyView {
    view! {
        {secret_field(here, form, "password", "New password", Secret::New)}
        {secret_field(here, form, "again", "Repeat new password", Secret::New)}
    }
    .into_any()
}

/// The field for the login name, filled with the value of a refused form.
fn login_field(here: &Here, form: &str, hint: &str) -> AnyView {
    field(here, form, "login", "Login", hint, |attributes| {
        view! {
            <input
                type="text"
                id=attributes.id
                name="login"
                value=here.draft(form, "login")
                required=true
                autocomplete="username"
                autocapitalize="none"
                spellcheck="false"
                aria-describedby=attributes.described_by
                aria-invalid=attributes.invalid
            />
        }
        .into_any()
    })
}
