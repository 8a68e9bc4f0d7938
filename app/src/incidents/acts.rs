//! The server functions of incidents. The engine checks and records.

use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Records the cause of an incident; `shown` is the number of the cause that the page showed.
#[server(prefix = "/api", endpoint = "name_cause")]
pub(crate) async fn name_cause(
    incident: i64,
    #[server(default)] text: String,
    #[server(default)] shown: i64,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = text.clone();
    act(Envelope { key, back, form }, &[("text", &typed)], |engine, ctx| async move {
        engine.name_cause(&ctx, incident, &text, shown).await
    })
    .await
}

/// Adds a follow-up to an incident.
#[server(prefix = "/api", endpoint = "add_follow_up")]
pub(crate) async fn add_follow_up(
    incident: i64,
    #[server(default)] text: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = text.clone();
    act(Envelope { key, back, form }, &[("text", &typed)], |engine, ctx| async move {
        engine.add_follow_up(&ctx, incident, &text).await
    })
    .await
}

/// Marks a follow-up as done.
#[server(prefix = "/api", endpoint = "finish_follow_up")]
pub(crate) async fn finish_follow_up(
    incident: i64,
    follow_up: i64,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        engine.finish_follow_up(&ctx, incident, follow_up).await
    })
    .await
}
