//! Incidents: the recorded facts of a rollback, and the notes that people add. Append-only.

use domain::incident::{Incident, Note, NoteKind};
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// Adds an incident; its `id` is ignored, the store's is returned. A run has at most one incident.
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

/// The incidents with these numbers, newest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn these(db: impl SqliteExecutor<'_>, ids: &[i64]) -> Result<Vec<Incident>, StoreError> {
    let ids = json::write(&ids, "incident.id")?;
    sqlx::query_as!(
        Stored,
        r#"SELECT id AS "id!", run, from_release, to_release, by, by_name, at, report
                   FROM incident WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC"#,
        ids
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Stored::read)
    .collect()
}

/// A query for incidents. The columns are always the same; the rest differs.
macro_rules! incidents {
    ($db:expr, $rest:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Stored,
            r#"SELECT id AS "id!: i64", run, from_release, to_release, by, by_name, at, report FROM incident "# + $rest
            $(, $arg)*
        )
        .fetch_all($db)
        .await?
        .into_iter()
        .map(Stored::read)
        .collect::<Result<Vec<Incident>, StoreError>>()
    };
}

/// Incidents with a lower number than `before`, newest first, at most `limit`.
pub async fn list(
    db: impl SqliteExecutor<'_>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Incident>, StoreError> {
    let before = before.unwrap_or(i64::MAX);
    incidents!(db, "WHERE id < ? ORDER BY id DESC LIMIT ?", before, limit)
}

/// The incident with this number.
pub async fn by_id(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Incident>, StoreError> {
    Ok(incidents!(db, "WHERE id = ?", id)?.pop())
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

impl Stored {
    fn read(self) -> Result<Incident, StoreError> {
        Ok(Incident {
            id: self.id,
            run: self.run,
            from: self.from_release,
            to: self.to_release,
            by: self.by,
            by_name: self.by_name,
            at: Millis(self.at),
            report: json::read(&self.report, "incident.report")?,
        })
    }
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

/// The notes of an incident, oldest first.
pub async fn notes(db: impl SqliteExecutor<'_>, incident: i64) -> Result<Vec<Note>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", incident, kind, about, text, by, by_name, at
           FROM incident_note WHERE incident = ? ORDER BY id"#,
        incident
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
