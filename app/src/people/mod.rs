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

use crate::ui::Here;

/// The purpose of a password field; browsers and password managers use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    /// The current password.
    Present,
    /// A new password.
    New,
}

/// A labelled password field. It is never filled in again.
fn secret_field(form: &str, name: &'static str, label: &'static str, secret: Secret) -> AnyView {
    let id = format!("{form}:{name}");
    let (autocomplete, shortest, hint) = match secret {
        Secret::Present => ("current-password", None, None),
        Secret::New => {
            let shortest = engine::SHORTEST_PASSWORD;
            let hint = (name == "password")
                .then(|| format!("At least {shortest} characters. A phrase of several words works best."));
            ("new-password", Some(shortest.to_string()), hint)
        }
    };
    let hint = hint.map(|hint| view! { <span class="field__hint">{hint}</span> });
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <input
                type="password"
                id=id.clone()
                name=name
                required=true
                minlength=shortest
                autocomplete=autocomplete
            />
            {hint}
        </div>
    }
    .into_any()
}

/// A new password, twice.
fn new_password(form: &str) -> AnyView {
    view! {
        {secret_field(form, "password", "New password", Secret::New)}
        {secret_field(form, "again", "Repeat new password", Secret::New)}
    }
    .into_any()
}

/// The field for the login name, filled with the value of a refused form.
fn login_field(here: &Here, form: &str, hint: Option<&'static str>) -> AnyView {
    let id = format!("{form}:login");
    let hint = hint.map(|hint| view! { <span class="field__hint">{hint}</span> });
    view! {
        <div class="field">
            <label for=id.clone()>"Login"</label>
            <input
                type="text"
                id=id.clone()
                name="login"
                value=here.draft(form, "login")
                required=true
                autocomplete="username"
                autocapitalize="none"
                spellcheck="false"
            />
            {hint}
        </div>
    }
    .into_any()
}
