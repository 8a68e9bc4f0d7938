//! People: signing in, one-time links, the own account, and who holds which role.

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
pub use link::{LinkPage, link_view};
pub use list::{PeoplePage, people_view};
pub use sign_in::{SignInPage, sign_in_view};

use crate::ui::Here;

/// What a password field is for; browsers and password managers go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    /// The password that is in force.
    Present,
    /// One that is being chosen.
    New,
}

/// A labelled password field. What was typed in it never comes back.
fn secret_field(form: &str, name: &'static str, label: &'static str, secret: Secret) -> AnyView {
    let id = format!("{form}:{name}");
    let (autocomplete, shortest, hint) = match secret {
        Secret::Present => ("current-password", None, None),
        Secret::New => {
            let shortest = engine::SHORTEST_PASSWORD;
            let hint = (name == "password")
                .then(|| format!("At least {shortest} characters; a few words are best."));
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
        {secret_field(form, "again", "The same again", Secret::New)}
    }
    .into_any()
}

/// The line for the login name, filled with what was typed before it was refused.
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
