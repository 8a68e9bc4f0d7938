//! What was written in the blanks of the ownership log. Append-only; the last entry of a field counts.

use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::StoreError;

/// Something written in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number in the store; set by it.
    pub id: i64,
    /// The field's id in the runbook.
    pub field: String,
    /// The value; empty takes the one before back.
    pub value: String,
    /// Who: person id.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When.
    pub at: Millis,
}

/// Adds an entry; its `id` is ignored, the store's is returned.
pub async fn add(conn: &mut SqliteConnection, entry: &Entry) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO ownership_entry (field, value, by, by_name, at) VALUES (?, ?, ?, ?, ?)
           RETURNING id AS "id!""#,
        entry.field,
        entry.value,
        entry.by,
        entry.by_name,
        entry.at.0
    )
    .fetch_one(conn)
    .await?)
}

/// The entry of each field that counts, in order of field id. Fields never written are absent.
pub async fn latest(db: impl SqliteExecutor<'_>) -> Result<Vec<Entry>, StoreError> {
    select(db, true, None).await
}

/// All that was ever written in a field, or in any field, newest first.
pub async fn history(db: impl SqliteExecutor<'_>, field: Option<&str>) -> Result<Vec<Entry>, StoreError> {
    select(db, false, field).await
}

/// The last `per_field` entries of every field, newest first.
pub async fn recent(db: impl SqliteExecutor<'_>, per_field: i64) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: i64", field AS "field!: String", value AS "value!: String", by AS "by!: i64",
                  by_name AS "by_name!: String", at AS "at!: i64"
           FROM ownership_entry WHERE id IN (
             WITH RECURSIVE filled(field) AS (
               SELECT min(field) FROM ownership_entry
               UNION ALL
               SELECT (SELECT min(e.field) FROM ownership_entry e WHERE e.field > f.field)
               FROM filled f WHERE f.field IS NOT NULL)
             SELECT e.id FROM filled f CROSS JOIN ownership_entry e
               ON e.field = f.field
               AND e.id > coalesce((SELECT l.id FROM ownership_entry l WHERE l.field = f.field ORDER BY l.id DESC
                                    LIMIT 1 OFFSET ?), 0))
           ORDER BY id DESC"#,
        per_field
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Entry {
            id: r.id,
            field: r.field,
            value: r.value,
            by: r.by,
            by_name: r.by_name,
            at: Millis(r.at),
        })
        .collect())
}

async fn select(
    db: impl SqliteExecutor<'_>,
    latest: bool,
    field: Option<&str>,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: i64", field, value, by, by_name, at FROM ownership_entry e
           WHERE (?1 IS NULL OR field = ?1)
             AND (NOT ?2 OR id = (SELECT max(id) FROM ownership_entry l WHERE l.field = e.field))
           ORDER BY CASE WHEN ?2 THEN field END, id DESC"#,
        field,
        latest
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| Entry {
            id: r.id,
            field: r.field,
            value: r.value,
            by: r.by,
            by_name: r.by_name,
            at: Millis(r.at),
        })
        .collect())
}
