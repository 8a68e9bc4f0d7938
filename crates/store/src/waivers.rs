//! Waivers of items. Append-only; ending a waiver early adds another row.

use domain::facts::Waiver;
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::StoreError;

/// How many waivers per item are read.
pub const LAST: i64 = 20;

/// Adds a waiver; its `id` is ignored, the store's is returned. A waiver that `holds` needs a reason and an end
/// after its beginning.
pub async fn add(conn: &mut SqliteConnection, waiver: &Waiver) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO waiver (item, text_digest, by, by_name, reason, at, until, holds)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        waiver.item,
        waiver.text_digest,
        waiver.by,
        waiver.by_name,
        waiver.reason,
        waiver.at.0,
        waiver.until.0,
        waiver.holds
    )
    .fetch_one(conn)
    .await?)
}

/// The last [`LAST`] waivers of each item, oldest first.
pub async fn list(db: impl SqliteExecutor<'_>) -> Result<Vec<Waiver>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", item, text_digest, by, by_name, reason, at, until, holds AS "holds: bool"
           FROM waiver WHERE id IN (
             WITH RECURSIVE waived(item) AS (
               SELECT min(item) FROM waiver
               UNION ALL
               SELECT (SELECT min(w.item) FROM waiver w WHERE w.item > i.item) FROM waived i WHERE i.item IS NOT NULL)
             SELECT w.id FROM waived i CROSS JOIN waiver w
               ON w.item = i.item
               AND w.id > coalesce((SELECT l.id FROM waiver l WHERE l.item = i.item ORDER BY l.id DESC
                                    LIMIT 1 OFFSET ?), 0))
           ORDER BY id"#,
        LAST
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Waiver {
            id: r.id,
            item: r.item,
            text_digest: r.text_digest,
            by: r.by,
            by_name: r.by_name,
            reason: r.reason,
            at: Millis(r.at),
            until: Millis(r.until),
            holds: r.holds,
        })
        .collect())
}
