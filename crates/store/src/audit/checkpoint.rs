//! The checkpoint: up to which event the chain was verified.

use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::Head;
use crate::StoreError;

/// The end of the chain at its last verification; `None` before the first one.
pub async fn checkpoint(db: impl SqliteExecutor<'_>) -> Result<Option<Head>, StoreError> {
    Ok(sqlx::query_as!(Head, "SELECT seq, hash FROM audit_checkpoint WHERE id = 1")
        .fetch_optional(db)
        .await?)
}

/// Stores up to which event the chain was verified.
pub async fn set_checkpoint(conn: &mut SqliteConnection, head: &Head, at: Millis) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_checkpoint (id, seq, hash, at) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET seq = ?1, hash = ?2, at = ?3",
        head.seq,
        head.hash,
        at.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
