//! Incidents: the facts of a rollback as they were, and what people add to them. Append-only.

use domain::incident::{Incident, Note, NoteKind};
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// Adds an incident; its `id` is ignored, the store's is returned. One run makes one incident.
pub async fn add(conn: &mut SqliteConnection, incident: &Incident) -> Result<i64, StoreError> {
    let report = json::write(&incident.report, "incident.report")?;
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO incident (run, from_release, to_release, by, by_name, at, report)
           VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        incident.run,
        incident.from,
        incident.to,
        incident.by,
        incident.by_name,
        incident.at.0,
        report
    )
    .fetch_one(conn)
    .await?)
}

/// All incidents, newest first.
pub async fn list(db: impl SqliteExecutor<'_>) -> Result<Vec<Incident>, StoreError> {
    select(db, None).await
}

/// The incidents with these numbers, newest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn these(db: impl SqliteExecutor<'_>, ids: &[i64]) -> Result<Vec<Incident>, StoreError> {
    select(db, Some(ids)).await
}

async fn select(db: impl SqliteExecutor<'_>, ids: Option<&[i64]>) -> Result<Vec<Incident>, StoreError> {
    let rows = match ids {
        None => {
            sqlx::query_as!(
                Stored,
                r#"SELECT id AS "id!", run, from_release, to_release, by, by_name, at, report
                   FROM incident ORDER BY id DESC"#
            )
            .fetch_all(db)
            .await?
        }
        Some(ids) => {
            let ids = json::write(&ids, "incident.id")?;
            sqlx::query_as!(
                Stored,
                r#"SELECT id AS "id!", run, from_release, to_release, by, by_name, at, report
                   FROM incident WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC"#,
                ids
            )
            .fetch_all(db)
            .await?
        }
    };
    rows.into_iter()
        .map(|r| {
            Ok(Incident {
                id: r.id,
                run: r.run,
                from: r.from_release,
                to: r.to_release,
                by: r.by,
                by_name: r.by_name,
                at: Millis(r.at),
                report: json::read(&r.report, "incident.report")?,
            })
        })
        .collect()
}

/// A row of the table.
struct Stored {
    id: i64,
    run: i64,
    from_release: Option<i64>,
    to_release: i64,
    by: i64,
    by_name: String,
    at: i64,
    report: String,
}

/// Adds a note; its `id` is ignored, the store's is returned.
pub async fn add_note(conn: &mut SqliteConnection, note: &Note) -> Result<i64, StoreError> {
    let (kind, about) = match note.kind {
        NoteKind::Cause => ("cause", None),
        NoteKind::FollowUp => ("follow_up", None),
        NoteKind::Done(id) => ("done", Some(id)),
    };
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO incident_note (incident, kind, about, text, by, by_name, at)
           VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        note.incident,
        kind,
        about,
        note.text,
        note.by,
        note.by_name,
        note.at.0
    )
    .fetch_one(conn)
    .await?)
}

/// All notes of all incidents, oldest first.
pub async fn notes(db: impl SqliteExecutor<'_>) -> Result<Vec<Note>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", incident, kind, about, text, by, by_name, at FROM incident_note ORDER BY id"#
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            let kind = match (r.kind.as_str(), r.about) {
                ("cause", _) => NoteKind::Cause,
                ("follow_up", _) => NoteKind::FollowUp,
                ("done", Some(id)) => NoteKind::Done(id),
                _ => return Err(StoreError::Damaged { what: "incident_note.kind" }),
            };
            Ok(Note {
                id: r.id,
                incident: r.incident,
                kind,
                text: r.text,
                by: r.by,
                by_name: r.by_name,
                at: Millis(r.at),
            })
        })
        .collect()
}
