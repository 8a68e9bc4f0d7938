//! What admins change on accounts: roles, passwords, access.

use engine::{Access, Error};
use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Sets the roles of a person; `shown` are those that the page showed, separated by commas.
#[server(prefix = "/api", endpoint = "set_roles")]
pub(crate) async fn set_roles(
    person: i64,
    #[server(default)] roles: Vec<String>,
    #[server(default)] shown: String,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = roles.join(",");
    act(Envelope { key, back, form }, &[("roles", &typed)], |engine, ctx| async move {
        let shown: Vec<String> = shown.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        engine.set_roles(&ctx, person, &roles, &shown, &password).await
    })
    .await
}

/// Creates a link for choosing a new password; the old password stops working immediately.
#[server(prefix = "/api", endpoint = "reset_person")]
pub(crate) async fn reset_person(
    person: i64,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        engine.reset_person(&ctx, person, &password).await
    })
    .await
}

/// Disables (`access` is `ended`) or enables (`given`) a person's account.
#[server(prefix = "/api", endpoint = "disable_person")]
pub(crate) async fn disable_person(
    person: i64,
    #[server(default)] access: String,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        let access = Access::from_slug(&access)
            .ok_or_else(|| Error::invalid("The form was incomplete. Reload the page and try again."))?;
        engine.set_access(&ctx, person, access, &password).await
    })
    .await
}
