//! Inviting people, and withdrawing invitations.

use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Invites a person; the next page shows the one-time link, once.
#[server(prefix = "/api", endpoint = "invite")]
pub(crate) async fn invite(
    #[server(default)] name: String,
    #[server(default)] login: String,
    #[server(default)] roles: Vec<String>,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = (name.clone(), login.clone(), roles.join(","));
    let fields = [("name", typed.0.as_str()), ("login", typed.1.as_str()), ("roles", typed.2.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        engine.invite(&ctx, &name, &login, &roles, &password).await
    })
    .await
}

/// Withdraws an invitation.
#[server(prefix = "/api", endpoint = "withdraw_invitation")]
pub(crate) async fn withdraw_invitation(
    #[server(default)] invitation: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        engine.withdraw_invitation(&ctx, &invitation).await
    })
    .await
}
