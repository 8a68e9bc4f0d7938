//! The Product Owner's recorded decisions. Append-only.

use domain::facts::{Choice, Decision};
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// Adds a decision; its `id` is ignored, the store's is returned.
pub async fn add(conn: &mut SqliteConnection, decision: &Decision) -> Result<i64, StoreError> {
    let choice = decision.choice.slug();
    let shown = json::write(&decision.shown, "decision.shown")?;
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO decision (release, choice, note, digest, verdict, shown, by, by_name, at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        decision.release,
        choice,
        decision.note,
        decision.digest,
        decision.verdict,
        shown,
        decision.by,
        decision.by_name,
        decision.at.0
    )
    .fetch_one(conn)
    .await?)
}

/// All decisions on these releases, oldest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn list(db: impl SqliteExecutor<'_>, releases: &[i64]) -> Result<Vec<Decision>, StoreError> {
    let releases = json::write(&releases, "decision.release")?;
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: i64", release, choice, note, digest, verdict, shown, by, by_name, at
           FROM decision WHERE release IN (SELECT value FROM json_each(?)) ORDER BY id"#,
        releases
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Decision {
                id: r.id,
                release: r.release,
                choice: Choice::from_slug(&r.choice)
                    .ok_or(StoreError::Damaged { what: "decision.choice" })?,
                note: r.note,
                digest: r.digest,
                verdict: r.verdict,
                shown: json::read(&r.shown, "decision.shown")?,
                by: r.by,
                by_name: r.by_name,
                at: Millis(r.at),
            })
        })
        .collect()
}
