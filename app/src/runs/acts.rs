//! Starting and cancelling runs. Server functions only: the engine checks and decides.

use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Runs a step if it is still as it was shown (`digest`).
#[server(prefix = "/api", endpoint = "run_step")]
pub(crate) async fn run_step(
    step: String,
    digest: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        engine.run_step(&ctx, &step, &digest).await
    })
    .await
}

/// Runs one check if it is still as it was shown.
#[server(prefix = "/api", endpoint = "run_check")]
pub(crate) async fn run_check(
    check: String,
    #[server(default)] shown: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        engine.run_check(&ctx, &check, &shown).await
    })
    .await
}

/// Runs all checks of a gate, or of the `matrix`, if they are still as they were shown.
#[server(prefix = "/api", endpoint = "run_gate")]
pub(crate) async fn run_gate(
    gate: String,
    #[server(default)] shown: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(
        Envelope { key, back, form },
        &[],
        |engine, ctx| async move { engine.run_gate(&ctx, &gate, &shown).await },
    )
    .await
}

/// Cancels a run.
#[server(prefix = "/api", endpoint = "cancel_run")]
pub(crate) async fn cancel_run(run: i64, key: String, back: String, form: String) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move { engine.cancel_run(&ctx, run).await })
        .await
}
