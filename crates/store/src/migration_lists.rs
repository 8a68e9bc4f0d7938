//! The database migrations found applied on a release between its deploys. Append-only; the newest list counts.

use domain::time::Millis;
use sqlx::SqliteConnection;

use super::{StoreError, json};

/// Adds the migrations that a run found applied.
pub async fn add(
    conn: &mut SqliteConnection,
    release: i64,
    run: i64,
    names: &[String],
    at: Millis,
) -> Result<(), StoreError> {
    let names = json::write(&names, "migration_list.names")?;
    sqlx::query!(
        "INSERT INTO migration_list (release, run, names, at) VALUES (?, ?, ?, ?)",
        release,
        run,
        names,
        at.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
