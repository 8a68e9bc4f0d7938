//! Deletes rows that are no longer needed: ended sessions, answered idempotency keys, used and expired links. No rule
//! or page uses them.

use domain::time::Millis;
use sqlx::SqliteConnection;

use super::StoreError;

/// Deletes up to `limit` sessions that have ended.
///
/// # Errors
/// Fails when the store cannot be written.
pub async fn sessions(conn: &mut SqliteConnection, now: Millis, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM session WHERE id_hash IN (SELECT id_hash FROM session WHERE expires_at <= ? LIMIT ?)",
        now.0,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes up to `limit` idempotency keys that were claimed before a time. A run keeps the key that started it.
///
/// # Errors
/// Fails when the store cannot be written.
pub async fn keys(conn: &mut SqliteConnection, before: Millis, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE created_at < ? LIMIT ?)",
        before.0,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes up to `limit` one-time links that were used, or that expired, before a time.
///
/// # Errors
/// Fails when the store cannot be written.
pub async fn links(conn: &mut SqliteConnection, before: Millis, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM link WHERE token_hash IN
           (SELECT token_hash FROM link WHERE coalesce(used_at, expires_at) < ? LIMIT ?)",
        before.0,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
