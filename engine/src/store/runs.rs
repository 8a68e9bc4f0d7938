//! Runs: one row for each execution. The log is a file and no business of this module.

use domain::time::Millis;
use serde_json::Value;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// What kind of execution a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// A step of the runbook.
    Step,
    /// A check.
    Check,
    /// A deploy.
    Deploy,
    /// A rollback.
    Rollback,
    /// A rollback and return on purpose.
    Drill,
}

impl RunKind {
    const ALL: [RunKind; 5] =
        [RunKind::Step, RunKind::Check, RunKind::Deploy, RunKind::Rollback, RunKind::Drill];

    /// The word in the store.
    pub fn slug(self) -> &'static str {
        match self {
            RunKind::Step => "step",
            RunKind::Check => "check",
            RunKind::Deploy => "deploy",
            RunKind::Rollback => "rollback",
            RunKind::Drill => "drill",
        }
    }
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It goes on.
    Running,
    /// It ended so.
    Ended(RunOutcome),
    /// Its supervisor is gone without a word: nobody knows how it ended.
    Interrupted,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Well.
    Passed,
    /// Badly.
    Failed,
    /// It could not tell.
    Inconclusive,
    /// A person ended it.
    Cancelled,
}

impl RunOutcome {
    const ALL: [RunOutcome; 4] =
        [RunOutcome::Passed, RunOutcome::Failed, RunOutcome::Inconclusive, RunOutcome::Cancelled];

    /// The word in the store.
    pub fn slug(self) -> &'static str {
        match self {
            RunOutcome::Passed => "passed",
            RunOutcome::Failed => "failed",
            RunOutcome::Inconclusive => "inconclusive",
            RunOutcome::Cancelled => "cancelled",
        }
    }
}

/// A run about to begin.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// Its kind.
    pub kind: RunKind,
    /// Id of the step or check, or number of the release.
    pub subject: &'a str,
    /// The gate it belongs to, where it belongs to one.
    pub gate: Option<&'a str>,
    /// One line for people.
    pub title: &'a str,
    /// The release judged when it begins.
    pub release: Option<i64>,
    /// Who starts it: person id.
    pub by: i64,
    /// Their name.
    pub by_name: &'a str,
    /// When.
    pub at: Millis,
    /// The idempotency key of the act that starts it. One key starts one run.
    pub key: Option<&'a str>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// When.
    pub at: Millis,
    /// How, in a word.
    pub outcome: RunOutcome,
    /// How the process ended, as its kind of run tells it.
    pub exit: Value,
    /// What came of it, as its kind of run tells it.
    pub result: Value,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// Its kind.
    pub kind: RunKind,
    /// Id of the step or check, or number of the release.
    pub subject: String,
    /// The gate it belongs to.
    pub gate: Option<String>,
    /// One line for people.
    pub title: String,
    /// The release judged when it began.
    pub release: Option<i64>,
    /// Who started it: person id.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When it began.
    pub started_at: Millis,
    /// When it ended, or was found interrupted.
    pub ended_at: Option<Millis>,
    /// How it stands.
    pub state: RunState,
    /// [`Ending::exit`], once it ended.
    pub exit: Option<Value>,
    /// [`Ending::result`], once it ended.
    pub result: Option<Value>,
    /// Why nobody knows how it ended, when it was interrupted.
    pub because: Option<String>,
    /// The idempotency key that started it.
    pub key: Option<String>,
}

/// Which runs are wanted; `None` means any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Of this kind.
    pub kind: Option<RunKind>,
    /// Of this step, check or release.
    pub subject: Option<&'a str>,
    /// Of this gate.
    pub gate: Option<&'a str>,
    /// On this release.
    pub release: Option<i64>,
    /// Older than the run with this number.
    pub before: Option<i64>,
}

/// Records that a run begins, and returns its number. Refused when the key has started one already.
pub async fn start(conn: &mut SqliteConnection, new: &NewRun<'_>) -> Result<i64, StoreError> {
    let kind = new.kind.slug();
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO run (kind, subject, gate, title, release, by, by_name, started_at, idempotency_key)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        kind,
        new.subject,
        new.gate,
        new.title,
        new.release,
        new.by,
        new.by_name,
        new.at.0,
        new.key
    )
    .fetch_one(conn)
    .await?)
}

/// Records how a run ended. `false`: it was not running, and nothing was changed.
pub async fn end(conn: &mut SqliteConnection, run: i64, ending: &Ending) -> Result<bool, StoreError> {
    let exit = json::write(&ending.exit, "run.exit")?;
    let result = json::write(&ending.result, "run.result")?;
    let outcome = ending.outcome.slug();
    let done = sqlx::query!(
        "UPDATE run SET state = 'ended', ended_at = ?, outcome = ?, exit = ?, result = ?
         WHERE id = ? AND state = 'running'",
        ending.at.0,
        outcome,
        exit,
        result,
        run
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that nobody knows how a run ended, and why. `false`: it was not running, and nothing was changed.
pub async fn interrupt(
    conn: &mut SqliteConnection,
    run: i64,
    because: &str,
    at: Millis,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE run SET state = 'interrupted', because = ?, ended_at = ? WHERE id = ? AND state = 'running'",
        because,
        at.0,
        run
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The run with this number.
pub async fn by_id(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Run>, StoreError> {
    let pick = Pick { id: Some(id), limit: 1, ..Pick::default() };
    Ok(select(db, pick).await?.pop())
}

/// The run that an idempotency key started.
pub async fn by_key(db: impl SqliteExecutor<'_>, key: &str) -> Result<Option<Run>, StoreError> {
    let pick = Pick { key: Some(key), limit: 1, ..Pick::default() };
    Ok(select(db, pick).await?.pop())
}

/// Numbers of the runs that go on, with when they began.
pub async fn running(db: impl SqliteExecutor<'_>) -> Result<Vec<(i64, Millis)>, StoreError> {
    let rows = sqlx::query!(r#"SELECT id AS "id!: i64", started_at FROM run WHERE state = 'running'"#)
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, Millis(row.started_at))).collect())
}

/// The first run after `run` that changes what runs.
pub async fn next_change(db: impl SqliteExecutor<'_>, run: i64) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT id AS "id!: i64" FROM run
           WHERE id > ? AND kind IN ('deploy', 'rollback', 'drill') ORDER BY id LIMIT 1"#,
        run
    )
    .fetch_optional(db)
    .await?)
}

/// Runs that go on, newest first.
pub async fn active(db: impl SqliteExecutor<'_>) -> Result<Vec<Run>, StoreError> {
    select(db, Pick { active: true, limit: -1, ..Pick::default() }).await
}

/// Runs, newest first, at most `limit`.
pub async fn list(
    db: impl SqliteExecutor<'_>,
    filter: Filter<'_>,
    limit: i64,
) -> Result<Vec<Run>, StoreError> {
    select(db, Pick { filter, limit, ..Pick::default() }).await
}

/// How long the last good runs of a subject took, milliseconds, newest first, at most `limit`.
pub async fn durations(
    db: impl SqliteExecutor<'_>,
    kind: RunKind,
    subject: &str,
    limit: i64,
) -> Result<Vec<u64>, StoreError> {
    let kind = kind.slug();
    let rows = sqlx::query_scalar!(
        r#"SELECT ended_at - started_at AS "ms!: i64" FROM run
           WHERE kind = ? AND subject = ? AND outcome = 'passed' ORDER BY id DESC LIMIT ?"#,
        kind,
        subject,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|ms| u64::try_from(ms).unwrap_or(0)).collect())
}

#[derive(Default)]
struct Pick<'a> {
    filter: Filter<'a>,
    id: Option<i64>,
    key: Option<&'a str>,
    active: bool,
    limit: i64,
}

async fn select(db: impl SqliteExecutor<'_>, pick: Pick<'_>) -> Result<Vec<Run>, StoreError> {
    let kind = pick.filter.kind.map(RunKind::slug);
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: i64", kind, subject, gate, title, release, by, by_name, started_at, ended_at,
                  state, outcome, exit, result, because, idempotency_key
           FROM run
           WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR idempotency_key = ?2)
             AND (NOT ?3 OR state = 'running') AND (?4 IS NULL OR kind = ?4)
             AND (?5 IS NULL OR subject = ?5) AND (?6 IS NULL OR gate = ?6)
             AND (?7 IS NULL OR release = ?7) AND (?8 IS NULL OR id < ?8)
           ORDER BY id DESC LIMIT ?9"#,
        pick.id,
        pick.key,
        pick.active,
        kind,
        pick.filter.subject,
        pick.filter.gate,
        pick.filter.release,
        pick.filter.before,
        pick.limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            let outcome = RunOutcome::ALL.into_iter().find(|o| Some(o.slug()) == r.outcome.as_deref());
            Ok(Run {
                id: r.id,
                kind: RunKind::ALL
                    .into_iter()
                    .find(|k| k.slug() == r.kind)
                    .ok_or(StoreError::Damaged { what: "run.kind" })?,
                subject: r.subject,
                gate: r.gate,
                title: r.title,
                release: r.release,
                by: r.by,
                by_name: r.by_name,
                started_at: Millis(r.started_at),
                ended_at: r.ended_at.map(Millis),
                state: match (r.state.as_str(), outcome) {
                    ("running", _) => RunState::Running,
                    ("ended", Some(outcome)) => RunState::Ended(outcome),
                    ("interrupted", _) => RunState::Interrupted,
                    _ => return Err(StoreError::Damaged { what: "run.state" }),
                },
                exit: json::read_some(r.exit, "run.exit")?,
                result: json::read_some(r.result, "run.result")?,
                because: r.because,
                key: r.idempotency_key,
            })
        })
        .collect()
}
