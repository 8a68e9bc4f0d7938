//! The server function of the Activity page: the engine checks and decides.

use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Starts the verification of all events and records in the background.
#[server(prefix = "/api", endpoint = "verify_everything")]
pub(crate) async fn verify_everything(key: String, back: String, form: String) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move { engine.verify_now(&ctx).await }).await
}
