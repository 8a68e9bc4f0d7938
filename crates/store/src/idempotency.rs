//! Idempotency keys: the first request with a key executes the action, later requests get the same answer.

use domain::time::Millis;
use serde_json::Value;
use sqlx::SqliteConnection;

use super::{StoreError, json};
use crate::audit::AuditAction;

/// What to do with a request that has a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// It is the first: execute the action, then call [`complete`].
    Fresh,
    /// The action was executed: return this answer again.
    Replay(Value),
    /// The action is still in progress.
    InFlight,
    /// The key belongs to another person, action or request: refuse.
    Mismatch,
}

/// A claim about to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewClaim<'a> {
    /// The key.
    pub key: &'a str,
    /// Who sent the form: person id.
    pub person: i64,
    /// The action.
    pub action: AuditAction,
    /// Digest of the submitted form.
    pub params_digest: &'a str,
    /// The attempt that claims it.
    pub owner: &'a str,
    /// When.
    pub at: Millis,
}

/// Claims a key for one request. Must be durable ([`super::Store::write`] has returned) before the action begins.
pub async fn claim(conn: &mut SqliteConnection, new: &NewClaim<'_>) -> Result<Claim, StoreError> {
    let action = new.action.name();
    let done = sqlx::query!(
        "INSERT INTO idempotency (key, person, act, params_digest, owner, created_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (key) DO NOTHING",
        new.key,
        new.person,
        action,
        new.params_digest,
        new.owner,
        new.at.0
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Claim::Fresh);
    }
    let row =
        sqlx::query!("SELECT person, act, params_digest, answer FROM idempotency WHERE key = ?", new.key)
            .fetch_one(conn)
            .await?;
    let theirs = (row.person, row.act.as_str(), row.params_digest.as_str());
    if theirs != (new.person, action, new.params_digest) {
        return Ok(Claim::Mismatch);
    }
    Ok(match row.answer {
        Some(answer) => Claim::Replay(json::read(&answer, "idempotency.answer")?),
        None => Claim::InFlight,
    })
}

/// Whether the key is claimed by this attempt and not answered yet.
pub async fn is_held(conn: &mut SqliteConnection, key: &str, owner: &str) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!: i64" FROM idempotency WHERE key = ? AND owner = ? AND answer IS NULL"#,
        key,
        owner
    )
    .fetch_one(conn)
    .await?;
    Ok(held > 0)
}

/// Keys that are claimed and not answered yet.
pub async fn unanswered(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT key FROM idempotency WHERE answer IS NULL").fetch_all(conn).await?)
}

/// Stores the answer of the action. Call it in the transaction of the action's last change.
pub async fn complete(conn: &mut SqliteConnection, key: &str, answer: &Value) -> Result<(), StoreError> {
    let answer = json::write(answer, "idempotency.answer")?;
    let done =
        sqlx::query!("UPDATE idempotency SET answer = ? WHERE key = ?", answer, key).execute(conn).await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Refused("an idempotency key must be claimed before it is answered".to_owned()))
    }
}

/// Releases a key whose action was refused before it changed anything, so that the same form can be sent again.
pub async fn abandon(conn: &mut SqliteConnection, key: &str) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM idempotency WHERE key = ? AND answer IS NULL", key).execute(conn).await?;
    Ok(())
}

/// Deletes answered keys older than `before` and returns how many.
pub async fn prune(conn: &mut SqliteConnection, before: Millis) -> Result<u64, StoreError> {
    let done = sqlx::query!("DELETE FROM idempotency WHERE created_at < ? AND answer IS NOT NULL", before.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}
