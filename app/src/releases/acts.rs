//! Server functions only: the engine opens, deploys and rolls back.

#![allow(clippy::too_many_arguments, reason = "a form has as many fields as it needs")]

use std::str::FromStr;

use domain::choice::NotAChoice;
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

/// Recreates all containers with the release that was `shown`; `volumes` is a `VolumesChoice`. To remove them, the
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
    let entered = (volumes.clone(), typed.clone());
    let fields = [("volumes", entered.0.as_str()), ("typed", entered.1.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        let wish = engine::Restart { volumes: chosen(&volumes)?, typed, shown };
        engine.clean_restart(&ctx, &wish).await
    })
    .await
}

/// Rolls back to a release; `database` is a `DatabaseChoice`, `env` an `EnvChoice`. For a new database, the stack's
/// name must be `typed`.
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
    let entered = (database.clone(), env.clone(), typed.clone());
    let fields =
        [("database", entered.0.as_str()), ("env", entered.1.as_str()), ("typed", entered.2.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        let (database, env) = (chosen(&database)?, chosen(&env)?);
        let wish = engine::Return { release, database, env, typed, shown: Some(shown) };
        engine.roll_back(&ctx, &wish).await
    })
    .await
}

/// The choice with this value. A form without a choice sends none: then nothing is changed.
fn chosen<T: FromStr<Err = NotAChoice> + Default>(value: &str) -> Result<T, engine::Error> {
    if value.is_empty() { Ok(T::default()) } else { Ok(value.parse()?) }
}

#[cfg(test)]
mod tests {
    use domain::choice::{DatabaseChoice, VolumesChoice};

    use super::*;

    #[test]
    fn a_form_without_a_choice_changes_nothing_and_a_wrong_value_is_refused() {
        assert_eq!(chosen::<DatabaseChoice>("").unwrap(), DatabaseChoice::Keep);
        assert_eq!(chosen::<DatabaseChoice>("fresh").unwrap(), DatabaseChoice::Fresh);
        let wrong = chosen::<VolumesChoice>("removed").unwrap_err();
        assert_eq!(wrong.kind(), engine::ErrorKind::Invalid);
        assert_eq!(wrong.public(), "Please choose what happens to the volumes.");
    }
}
