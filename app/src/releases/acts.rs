//! Doorways only: the engine opens, deploys and rolls back.

use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Opens a release from the directory without deploying it.
#[server(prefix = "/api", endpoint = "open_release")]
pub(crate) async fn open_release(key: String, back: String, form: String) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move { engine.open_release(&ctx).await }).await
}

/// Deploys what lies in the directory; `without_backup` leaves out the backup that comes first.
#[server(prefix = "/api", endpoint = "deploy")]
pub(crate) async fn deploy(
    #[server(default)] without_backup: bool,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        if without_backup { engine.deploy_without_backup(&ctx).await } else { engine.deploy(&ctx).await }
    })
    .await
}

/// Rolls back and returns on purpose.
#[server(prefix = "/api", endpoint = "drill")]
pub(crate) async fn drill(key: String, back: String, form: String) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move { engine.drill(&ctx).await }).await
}

/// Takes everything down and brings `release`, which is known to be good, up again; `volumes` is `keep` or `remove`,
/// the latter with the stack's name `typed`.
#[server(prefix = "/api", endpoint = "clean_restart")]
pub(crate) async fn clean_restart(
    #[server(default)] release: i64,
    #[server(default)] volumes: String,
    #[server(default)] typed: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let wish = engine::Restart { release, volumes, typed };
    let said = wish.clone();
    let fields = [("volumes", said.volumes.as_str()), ("typed", said.typed.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        engine.clean_restart(&ctx, &wish).await
    })
    .await
}

/// Goes back to a release; `database` is `keep`, `rollback` or `fresh`, the last with the stack's name `typed`; `env`
/// is `keep` or `back`.
#[server(prefix = "/api", endpoint = "roll_back")]
pub(crate) async fn roll_back(
    release: i64,
    #[server(default)] database: String,
    #[server(default)] env: String,
    #[server(default)] typed: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let wish = engine::Return { release, database, env, typed };
    let said = wish.clone();
    let fields =
        [("database", said.database.as_str()), ("env", said.env.as_str()), ("typed", said.typed.as_str())];
    act(
        Envelope { key, back, form },
        &fields,
        |engine, ctx| async move { engine.roll_back(&ctx, &wish).await },
    )
    .await
}
