//! Attestations of items that no check decides. Append-only; withdrawing an attestation adds another row.

use domain::facts::Attestation;
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::StoreError;

/// Adds an attestation; its `id` is ignored, the store's is returned.
pub async fn add(conn: &mut SqliteConnection, attestation: &Attestation) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO attestation (item, text_digest, release, by, by_name, note, link, at, holds)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        attestation.item,
        attestation.text_digest,
        attestation.release,
        attestation.by,
        attestation.by_name,
        attestation.note,
        attestation.link,
        attestation.at.0,
        attestation.holds
    )
    .fetch_one(conn)
    .await?)
}

/// All attestations on a release, oldest first.
pub async fn list(db: impl SqliteExecutor<'_>, release: i64) -> Result<Vec<Attestation>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", item, text_digest, release, by, by_name, note, link, at,
                  holds AS "holds: bool"
           FROM attestation WHERE release = ? ORDER BY id"#,
        release
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Attestation {
            id: r.id,
            item: r.item,
            text_digest: r.text_digest,
            release: r.release,
            by: r.by,
            by_name: r.by_name,
            note: r.note,
            link: r.link,
            at: Millis(r.at),
            holds: r.holds,
        })
        .collect())
}
