//! Server functions only: the engine opens, deploys and rolls back.

#![allow(clippy::too_many_arguments, reason = "a form has as many fields as it needs")]

use engine::view::Shown;
use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Opens a release from the checkout without deploying it.
#[server(prefix = "/api", endpoint = "open_release")]
pub(crate) async fn open_release(
    #[server(default)] commit: String,
    #[server(default)] shown: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let shown = Shown { commit, digest: shown };
    act(
        Envelope { key, back, form },
        &[],
        |engine, ctx| async move { engine.open_release(&ctx, &shown).await },
    )
    .await
}

/// Deploys the checkout, if the commit is still `commit` and nothing else has changed since it was `shown`;
/// `without_backup` skips the backup before the deploy.
#[server(prefix = "/api", endpoint = "deploy")]
pub(crate) async fn deploy(
    #[server(default)] without_backup: bool,
    #[server(default)] commit: String,
    #[server(default)] shown: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let wish = engine::Deployment { shown: Shown { commit, digest: shown }, without_backup };
    let ticked = if without_backup { "true" } else { "" };
    act(Envelope { key, back, form }, &[("without_backup", ticked)], |engine, ctx| async move {
        engine.deploy(&ctx, &wish).await
    })
    .await
}

/// Runs a rollback drill: rolls back and returns.
#[server(prefix = "/api", endpoint = "drill")]
pub(crate) async fn drill(
    #[server(default)] shown: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move { engine.drill(&ctx, &shown).await })
        .await
}

/// Recreates all containers with the release that was `shown`; `volumes` is `keep` or `remove`. To remove them, the
/// stack's name must be `typed`.
#[server(prefix = "/api", endpoint = "clean_restart")]
pub(crate) async fn clean_restart(
    #[server(default)] volumes: String,
    #[server(default)] typed: String,
    #[server(default)] shown: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let wish = engine::Restart { volumes, typed, shown };
    let typed_in = wish.clone();
    let fields = [("volumes", typed_in.volumes.as_str()), ("typed", typed_in.typed.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        engine.clean_restart(&ctx, &wish).await
    })
    .await
}

/// Rolls back to a release; `database` is `keep`, `rollback` or `fresh`. For `fresh`, the stack's name must be
/// `typed`. `env` is `keep` or `back`.
#[server(prefix = "/api", endpoint = "roll_back")]
pub(crate) async fn roll_back(
    release: i64,
    #[server(default)] database: String,
    #[server(default)] env: String,
    #[server(default)] typed: String,
    #[server(default)] shown: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let wish = engine::Return { release, database, env, typed, shown: Some(shown) };
    let typed_in = wish.clone();
    let fields = [
        ("database", typed_in.database.as_str()),
        ("env", typed_in.env.as_str()),
        ("typed", typed_in.typed.as_str()),
    ];
    act(
        Envelope { key, back, form },
        &fields,
        |engine, ctx| async move { engine.roll_back(&ctx, &wish).await },
    )
    .await
}
