//! Idempotency keys: the first request with a key does the act, later ones get its answer.

use domain::time::Millis;
use serde_json::Value;
use sqlx::SqliteConnection;

use super::{StoreError, json};

/// What a request with a key is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// It is the first: do the act, then [`complete`].
    Fresh,
    /// The act was done: give this answer again.
    Replay(Value),
    /// The act goes on, or the server stopped in the middle of it. A run that it started is found by
    /// [`super::runs::by_key`].
    InFlight,
    /// The key belongs to another person, act or request: refuse.
    Mismatch,
}

/// Claims `key` for one request. Must be durable ([`super::Store::write`] has returned) before the act begins.
pub async fn claim(
    conn: &mut SqliteConnection,
    key: &str,
    person: i64,
    act: &str,
    params_digest: &str,
    now: Millis,
) -> Result<Claim, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO idempotency (key, person, act, params_digest, created_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (key) DO NOTHING",
        key,
        person,
        act,
        params_digest,
        now.0
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Claim::Fresh);
    }
    let row = sqlx::query!("SELECT person, act, params_digest, answer FROM idempotency WHERE key = ?", key)
        .fetch_one(conn)
        .await?;
    if (row.person, row.act.as_str(), row.params_digest.as_str()) != (person, act, params_digest) {
        return Ok(Claim::Mismatch);
    }
    Ok(match row.answer {
        Some(answer) => Claim::Replay(json::read(&answer, "idempotency.answer")?),
        None => Claim::InFlight,
    })
}

/// Stores the answer of the act. Belongs into the transaction of the act's last change.
pub async fn complete(conn: &mut SqliteConnection, key: &str, answer: &Value) -> Result<(), StoreError> {
    let answer = json::write(answer, "idempotency.answer")?;
    let done =
        sqlx::query!("UPDATE idempotency SET answer = ? WHERE key = ?", answer, key).execute(conn).await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Refused("an idempotency key is claimed before it is answered".to_owned()))
    }
}

/// Gives a key free whose act was refused before it changed anything, so that the same form can be sent again.
pub async fn abandon(conn: &mut SqliteConnection, key: &str) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM idempotency WHERE key = ? AND answer IS NULL", key).execute(conn).await?;
    Ok(())
}

/// Forgets answered keys older than `before`, and returns how many.
pub async fn prune(conn: &mut SqliteConnection, before: Millis) -> Result<u64, StoreError> {
    let done = sqlx::query!("DELETE FROM idempotency WHERE created_at < ? AND answer IS NOT NULL", before.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}
