//! Changes of observed things, with the time at which they were first observed. Append-only.

use domain::observed_changes::Change;
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::StoreError;

/// Records a change.
pub async fn add(conn: &mut SqliteConnection, change: &Change) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO change (key, was, now, at) VALUES (?, ?, ?, ?)",
        change.key,
        change.was,
        change.now,
        change.at.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The last change of everything that was ever observed, oldest first.
pub async fn last(db: impl SqliteExecutor<'_>) -> Result<Vec<Change>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT key AS "key!: String", was AS "was?: String", now AS "now!: String", at AS "at!: i64"
           FROM change WHERE id IN (SELECT max(id) FROM change GROUP BY key) ORDER BY id"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|r| Change { key: r.key, was: r.was, now: r.now, at: Millis(r.at) }).collect())
}
