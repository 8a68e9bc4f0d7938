//! Entries in the fields of the ownership log. Append-only; the last entry of a field counts.

use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// An entry in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Id; set by the store.
    pub id: i64,
    /// The field's id in the runbook.
    pub field: String,
    /// The value; an empty one removes the previous one.
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

/// The last entry of each field, sorted by field id. Fields without an entry are absent.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn latest(db: impl SqliteExecutor<'_>) -> Result<Vec<Entry>, StoreError> {
    let mut entries = recent(db, 1).await?;
    entries.sort_by(|a, b| a.field.cmp(&b.field));
    Ok(entries)
}

/// The last `limit` entries of a field, newest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn history(db: impl SqliteExecutor<'_>, field: &str, limit: i64) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!: i64", field, value, by, by_name, at FROM ownership_entry
           WHERE field = ? ORDER BY id DESC LIMIT ?"#,
        field,
        limit
    );
    Ok(entries(rows.fetch_all(db).await?))
}

/// The entries with these numbers, newest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn by_ids(db: impl SqliteExecutor<'_>, ids: &[i64]) -> Result<Vec<Entry>, StoreError> {
    let ids = json::write(&ids, "ownership_entry.id")?;
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!: i64", field, value, by, by_name, at FROM ownership_entry
           WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC"#,
        ids
    );
    Ok(entries(rows.fetch_all(db).await?))
}

/// The last `per_field` entries of every field, newest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn recent(db: impl SqliteExecutor<'_>, per_field: i64) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
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
    );
    Ok(entries(rows.fetch_all(db).await?))
}

struct Row {
    id: i64,
    field: String,
    value: String,
    by: i64,
    by_name: String,
    at: i64,
}

fn entries(rows: Vec<Row>) -> Vec<Entry> {
    let entry =
        |Row { id, field, value, by, by_name, at }| Entry { id, field, value, by, by_name, at: Millis(at) };
    rows.into_iter().map(entry).collect()
}
