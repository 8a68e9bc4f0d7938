//! Follow-ups of runs: stored with the end of the run, executed later.

use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::StoreError;

/// The kinds of follow-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FollowUpKind {
    /// An interrupted deploy or rollback is completed or undone.
    Recovery,
    /// A failed deploy is rolled back to the last healthy release.
    AutomaticRollback,
    /// The checks after a deploy or rollback are run.
    Validation,
    /// The applied database migrations are listed, because the release became a rollback target.
    MigrationList,
}

impl FollowUpKind {
    pub(crate) const ALL: [FollowUpKind; 4] = [
        FollowUpKind::Recovery,
        FollowUpKind::AutomaticRollback,
        FollowUpKind::Validation,
        FollowUpKind::MigrationList,
    ];

    /// The value in the store and in the audit log.
    pub fn slug(self) -> &'static str {
        match self {
            FollowUpKind::Recovery => "recovery",
            FollowUpKind::AutomaticRollback => "automatic_rollback",
            FollowUpKind::Validation => "validation",
            FollowUpKind::MigrationList => "migration_list",
        }
    }

    /// The name on pages.
    pub fn label(self) -> &'static str {
        match self {
            FollowUpKind::Recovery => "Recovery",
            FollowUpKind::AutomaticRollback => "Automatic rollback",
            FollowUpKind::Validation => "Validation",
            FollowUpKind::MigrationList => "Migration list",
        }
    }
}

/// The state of a follow-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowUpState {
    /// It is pending; the text says what it waits for, or is empty.
    Pending(String),
    /// It started this run.
    Started(i64),
    /// It was not done, for this reason.
    NotDone(String),
}

/// A follow-up of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// Its id.
    pub id: i64,
    /// The run that it belongs to.
    pub run: i64,
    /// Its kind.
    pub kind: FollowUpKind,
    /// Its state.
    pub state: FollowUpState,
    /// Number of failed attempts.
    pub attempts: i64,
    /// When the run ended.
    pub made_at: Millis,
}

impl FollowUp {
    /// Whether it is pending.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, FollowUpState::Pending(_))
    }
}

/// Records a follow-up of a run and returns its id; `None` if it was recorded before.
pub async fn add(
    conn: &mut SqliteConnection,
    run: i64,
    kind: FollowUpKind,
    at: Millis,
) -> Result<Option<i64>, StoreError> {
    let kind = kind.slug();
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO run_follow_up (run, kind, made_at) VALUES (?, ?, ?)
           ON CONFLICT (run, kind) DO NOTHING RETURNING id AS "id!: i64""#,
        run,
        kind,
        at.0
    )
    .fetch_optional(conn)
    .await?)
}

/// Records that a follow-up started a run, in the transaction that stores the run. Rejected if it is not pending,
/// because a follow-up is executed only once.
pub async fn started(conn: &mut SqliteConnection, id: i64, run: i64, at: Millis) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE run_follow_up SET state = 'done', because = '', started = ?, tried_at = ?, settled_at = ?
         WHERE id = ? AND state = 'pending'",
        run,
        at.0,
        at.0,
        id
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Refused("a follow-up can start only one run".to_owned()))
    }
}

/// Makes the follow-up that started this run pending again, because the run never began. `attempts` is added to the
/// number of failed attempts.
pub async fn reopen(
    conn: &mut SqliteConnection,
    started: i64,
    because: &str,
    attempts: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE run_follow_up SET state = 'pending', because = ?, started = NULL, settled_at = NULL,
                attempts = attempts + ?
         WHERE started = ?",
        because,
        attempts,
        started
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a run that did not list the migrations as a failed attempt and makes its follow-up pending again. Other
/// follow-ups are done when their run has begun.
///
/// # Errors
/// Fails when the store cannot be written.
pub async fn retry_migration_list(
    conn: &mut SqliteConnection,
    run: i64,
    because: &str,
    at: Millis,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE run_follow_up SET state = 'pending', because = ?, started = NULL, settled_at = NULL, tried_at = ?,
                attempts = attempts + 1
         WHERE started = ? AND kind = 'migration_list'",
        because,
        at.0,
        run
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Records a failed attempt.
pub async fn tried(
    conn: &mut SqliteConnection,
    id: i64,
    because: &str,
    at: Millis,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE run_follow_up SET attempts = attempts + 1, because = ?, tried_at = ?
         WHERE id = ? AND state = 'pending'",
        because,
        at.0,
        id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Records what a follow-up waits for.
pub async fn waits(conn: &mut SqliteConnection, id: i64, because: &str) -> Result<(), StoreError> {
    sqlx::query!("UPDATE run_follow_up SET because = ? WHERE id = ? AND state = 'pending'", because, id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that a follow-up is not done, and why. `false`: it was not pending, and nothing was changed.
pub async fn not_done(
    conn: &mut SqliteConnection,
    id: i64,
    because: &str,
    at: Millis,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE run_follow_up SET state = 'not_done', because = ?, settled_at = ?
         WHERE id = ? AND state = 'pending'",
        because,
        at.0,
        id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The follow-up with this id.
pub async fn by_id(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<FollowUp>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!: i64", run, kind, state, because, started, attempts, made_at
           FROM run_follow_up WHERE id = ?"#,
        id
    )
    .fetch_all(db)
    .await?;
    Ok(read(rows)?.pop())
}

/// Pending follow-ups, oldest first.
pub async fn pending(db: impl SqliteExecutor<'_>) -> Result<Vec<FollowUp>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!: i64", run, kind, state, because, started, attempts, made_at
           FROM run_follow_up WHERE state = 'pending' ORDER BY id"#
    )
    .fetch_all(db)
    .await?;
    read(rows)
}

/// The follow-ups of a run.
pub async fn of_run(db: impl SqliteExecutor<'_>, run: i64) -> Result<Vec<FollowUp>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!: i64", run, kind, state, because, started, attempts, made_at
           FROM run_follow_up WHERE run = ? ORDER BY id"#,
        run
    )
    .fetch_all(db)
    .await?;
    read(rows)
}

/// The newest follow-ups, newest first, at most `limit`.
pub async fn newest(db: impl SqliteExecutor<'_>, limit: i64) -> Result<Vec<FollowUp>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id AS "id!: i64", run, kind, state, because, started, attempts, made_at
           FROM run_follow_up ORDER BY id DESC LIMIT ?"#,
        limit
    )
    .fetch_all(db)
    .await?;
    read(rows)
}

struct Row {
    id: i64,
    run: i64,
    kind: String,
    state: String,
    because: String,
    started: Option<i64>,
    attempts: i64,
    made_at: i64,
}

fn read(rows: Vec<Row>) -> Result<Vec<FollowUp>, StoreError> {
    rows.into_iter()
        .map(|row| {
            Ok(FollowUp {
                id: row.id,
                run: row.run,
                kind: FollowUpKind::ALL
                    .into_iter()
                    .find(|kind| kind.slug() == row.kind)
                    .ok_or(StoreError::Damaged { what: "run_follow_up.kind" })?,
                state: match (row.state.as_str(), row.started) {
                    ("pending", _) => FollowUpState::Pending(row.because),
                    ("done", Some(run)) => FollowUpState::Started(run),
                    ("not_done", _) => FollowUpState::NotDone(row.because),
                    _ => return Err(StoreError::Damaged { what: "run_follow_up.state" }),
                },
                attempts: row.attempts,
                made_at: Millis(row.made_at),
            })
        })
        .collect()
}
