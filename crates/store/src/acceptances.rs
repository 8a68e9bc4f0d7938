//! Acceptances of gates by their owners. Append-only.

use domain::facts::Acceptance;
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::StoreError;

/// Adds an acceptance; its `id` is ignored, the store's is returned.
pub async fn add(conn: &mut SqliteConnection, acceptance: &Acceptance) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO acceptance (gate, release, digest, by, by_name, note, at)
           VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        acceptance.gate,
        acceptance.release,
        acceptance.digest,
        acceptance.by,
        acceptance.by_name,
        acceptance.note,
        acceptance.at.0
    )
    .fetch_one(conn)
    .await?)
}

/// All acceptances on a release, oldest first.
pub async fn list(db: impl SqliteExecutor<'_>, release: i64) -> Result<Vec<Acceptance>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", gate, release, digest, by, by_name, note, at
           FROM acceptance WHERE release = ? ORDER BY id"#,
        release
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Acceptance {
            id: r.id,
            gate: r.gate,
            release: r.release,
            digest: r.digest,
            by: r.by,
            by_name: r.by_name,
            note: r.note,
            at: Millis(r.at),
        })
        .collect())
}
