//! Runs: one row for each execution. Logs are files, which this module does not handle.

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
    /// A rollback drill: rollback and return for practice.
    Drill,
}

impl RunKind {
    pub(crate) const ALL: [RunKind; 5] =
        [RunKind::Step, RunKind::Check, RunKind::Deploy, RunKind::Rollback, RunKind::Drill];

    /// The kind with this value.
    pub fn from_slug(slug: &str) -> Option<RunKind> {
        RunKind::ALL.into_iter().find(|kind| kind.slug() == slug)
    }

    /// The value in the store.
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

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It is in progress.
    Running,
    /// It ended with this outcome.
    Ended(RunOutcome),
    /// Its supervisor ended without recording an outcome: the outcome is unknown.
    Interrupted,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was inconclusive.
    Inconclusive,
    /// A person cancelled it.
    Cancelled,
}

impl RunOutcome {
    const ALL: [RunOutcome; 4] =
        [RunOutcome::Passed, RunOutcome::Failed, RunOutcome::Inconclusive, RunOutcome::Cancelled];

    /// The value in the store.
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
    /// Id of the step, check or release.
    pub subject: &'a str,
    /// The gate it belongs to, if any.
    pub gate: Option<&'a str>,
    /// Title for people, one line.
    pub title: &'a str,
    /// The current release when it begins.
    pub release: Option<i64>,
    /// Who starts it: person id.
    pub by: i64,
    /// Their name.
    pub by_name: &'a str,
    /// When.
    pub at: Millis,
    /// The idempotency key of the action that starts it. One key starts one run.
    pub key: Option<&'a str>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// When.
    pub at: Millis,
    /// The outcome.
    pub outcome: RunOutcome,
    /// How the process ended; the format depends on the kind of run.
    pub exit: Value,
    /// The result; the format depends on the kind of run.
    pub result: Value,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: i64,
    /// Its kind.
    pub kind: RunKind,
    /// Id of the step, check or release.
    pub subject: String,
    /// The gate it belongs to.
    pub gate: Option<String>,
    /// Title for people, one line.
    pub title: String,
    /// The current release when it began.
    pub release: Option<i64>,
    /// Who started it: person id.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When it began.
    pub started_at: Millis,
    /// When it ended, or was found to be interrupted.
    pub ended_at: Option<Millis>,
    /// Its state.
    pub state: RunState,
    /// [`Ending::exit`], once it ended.
    pub exit: Option<Value>,
    /// [`Ending::result`], once it ended.
    pub result: Option<Value>,
    /// Why its outcome is unknown, if it was interrupted.
    pub because: Option<String>,
    /// The idempotency key that started it.
    pub key: Option<String>,
}

/// Filter for runs; `None` means any.
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
    /// Older than the run with this id.
    pub before: Option<i64>,
}

/// Records that a run begins and returns its id. Rejected if the key has already started a run.
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

/// Records that the outcome of a run is unknown, and why. `false`: it was not running, and nothing was changed.
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

/// A query for runs. The columns are always the same; the rest differs, so that each query can use an index.
macro_rules! runs {
    ($db:expr, $rest:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id AS "id!: i64", kind AS "kind!: String", subject AS "subject!: String", gate AS "gate?: String",
                      title AS "title!: String", release AS "release?: i64", by AS "by!: i64",
                      by_name AS "by_name!: String", started_at AS "started_at!: i64", ended_at AS "ended_at?: i64",
                      state AS "state!: String", outcome AS "outcome?: String", exit AS "exit?: String",
                      result AS "result?: String", because AS "because?: String",
                      idempotency_key AS "idempotency_key?: String"
               FROM run "# + $rest
            $(, $arg)*
        )
        .fetch_all($db)
        .await?
        .into_iter()
        .map(Row::read)
        .collect::<Result<Vec<Run>, StoreError>>()
    };
}

/// The run with this id.
pub async fn by_id(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Run>, StoreError> {
    Ok(runs!(db, "WHERE id = ?", id)?.pop())
}

/// The run that an idempotency key started.
pub async fn by_key(db: impl SqliteExecutor<'_>, key: &str) -> Result<Option<Run>, StoreError> {
    Ok(runs!(db, "WHERE idempotency_key = ?", key)?.pop())
}

/// Ids of the runs in progress, with the time at which they began.
pub async fn running(db: impl SqliteExecutor<'_>) -> Result<Vec<(i64, Millis)>, StoreError> {
    let rows = sqlx::query!(r#"SELECT id AS "id!: i64", started_at FROM run WHERE state = 'running'"#)
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, Millis(row.started_at))).collect())
}

/// The first run after `run` that changes the running stack.
pub async fn next_change(db: impl SqliteExecutor<'_>, run: i64) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT id AS "id!: i64" FROM run INDEXED BY run_on_stack
           WHERE id > ? AND kind IN ('deploy', 'rollback', 'drill') ORDER BY id LIMIT 1"#,
        run
    )
    .fetch_optional(db)
    .await?)
}

/// Runs in progress, newest first.
pub async fn active(db: impl SqliteExecutor<'_>) -> Result<Vec<Run>, StoreError> {
    runs!(db, "WHERE state = 'running' ORDER BY id DESC")
}

/// The newest runs that have ended, newest first.
pub async fn over(db: impl SqliteExecutor<'_>, limit: i64) -> Result<Vec<Run>, StoreError> {
    runs!(db, "INDEXED BY run_over WHERE state <> 'running' ORDER BY id DESC LIMIT ?", limit)
}

/// The last run of every step.
pub async fn last_of_steps(db: impl SqliteExecutor<'_>) -> Result<Vec<Run>, StoreError> {
    runs!(
        db,
        "WHERE id IN (
           WITH RECURSIVE step(subject) AS (
             SELECT min(subject) FROM run WHERE kind = 'step'
             UNION ALL
             SELECT (SELECT min(r.subject) FROM run r WHERE r.kind = 'step' AND r.subject > step.subject)
             FROM step WHERE step.subject IS NOT NULL)
           SELECT (SELECT max(r.id) FROM run r WHERE r.kind = 'step' AND r.subject = step.subject)
           FROM step WHERE step.subject IS NOT NULL)
         ORDER BY id DESC"
    )
}

/// The last run that changed the stack or is changing it: a deploy, a rollback or a drill.
pub async fn last_on_stack(db: impl SqliteExecutor<'_>) -> Result<Option<Run>, StoreError> {
    Ok(runs!(
        db,
        "INDEXED BY run_on_stack WHERE kind IN ('deploy', 'rollback', 'drill') ORDER BY id DESC LIMIT 1"
    )?
    .pop())
}

/// The last run before `before` that changed the stack and passed.
pub async fn last_good_on_stack(db: impl SqliteExecutor<'_>, before: i64) -> Result<Option<Run>, StoreError> {
    Ok(runs!(
        db,
        "INDEXED BY run_on_stack
         WHERE kind IN ('deploy', 'rollback', 'drill') AND id < ? AND outcome = 'passed' ORDER BY id DESC LIMIT 1",
        before
    )?
    .pop())
}

/// The last runs that changed the stack for one of these releases, newest first; at most `limit` per release.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn on_stack_of(
    db: impl SqliteExecutor<'_>,
    releases: &[i64],
    limit: i64,
) -> Result<Vec<Run>, StoreError> {
    let releases = json::write(&releases, "run.release")?;
    runs!(
        db,
        "WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY release ORDER BY id DESC) AS place
                                      FROM run INDEXED BY run_on_stack_by_release
                                      WHERE release IN (SELECT value FROM json_each(?))
                                        AND kind IN ('deploy', 'rollback', 'drill'))
                      WHERE place <= ?)
         ORDER BY id DESC",
        releases,
        limit
    )
}

/// The last deploy of a release.
pub async fn last_deploy_of(db: impl SqliteExecutor<'_>, release: i64) -> Result<Option<Run>, StoreError> {
    Ok(runs!(
        db,
        "INDEXED BY run_on_stack_by_release
         WHERE release = ? AND kind IN ('deploy', 'rollback', 'drill') AND kind = 'deploy' ORDER BY id DESC LIMIT 1",
        release
    )?
    .pop())
}

/// The last run of a kind that passed.
pub async fn last_passed(db: impl SqliteExecutor<'_>, kind: RunKind) -> Result<Option<Run>, StoreError> {
    let kind = kind.slug();
    Ok(runs!(db, "WHERE kind = ? AND outcome = 'passed' ORDER BY id DESC LIMIT 1", kind)?.pop())
}

/// Runs, newest first, at most `limit`.
pub async fn list(
    db: impl SqliteExecutor<'_>,
    filter: Filter<'_>,
    limit: i64,
) -> Result<Vec<Run>, StoreError> {
    let before = filter.before.unwrap_or(i64::MAX);
    let kind = filter.kind.map(RunKind::slug);
    let (subject, gate, release) = (filter.subject, filter.gate, filter.release);
    // Each query uses an index that also gives the order for its first condition; the others are tested row by row.
    match (kind, subject, gate, release) {
        (Some(kind), Some(subject), ..) => runs!(
            db,
            "WHERE kind = ?1 AND subject = ?2 AND id < ?3
               AND (?4 IS NULL OR gate = ?4) AND (?5 IS NULL OR release = ?5)
             ORDER BY id DESC LIMIT ?6",
            kind,
            subject,
            before,
            gate,
            release,
            limit
        ),
        (kind, subject, _, Some(release)) => runs!(
            db,
            "INDEXED BY run_by_release WHERE release = ?1 AND id < ?2 AND (?3 IS NULL OR kind = ?3)
               AND (?4 IS NULL OR subject = ?4) AND (?5 IS NULL OR gate = ?5)
             ORDER BY id DESC LIMIT ?6",
            release,
            before,
            kind,
            subject,
            gate,
            limit
        ),
        (kind, subject, Some(gate), None) => runs!(
            db,
            "INDEXED BY run_by_gate WHERE gate = ?1 AND id < ?2 AND (?3 IS NULL OR kind = ?3)
               AND (?4 IS NULL OR subject = ?4)
             ORDER BY id DESC LIMIT ?5",
            gate,
            before,
            kind,
            subject,
            limit
        ),
        (Some(kind), None, None, None) => {
            runs!(
                db,
                "INDEXED BY run_by_kind WHERE kind = ? AND id < ? ORDER BY id DESC LIMIT ?",
                kind,
                before,
                limit
            )
        }
        (None, subject, None, None) => runs!(
            db,
            "WHERE id < ?1 AND (?2 IS NULL OR subject = ?2) ORDER BY id DESC LIMIT ?3",
            before,
            subject,
            limit
        ),
    }
}

/// Durations of the last passed runs of a subject, milliseconds, newest first, at most `limit`.
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

/// Durations of the last complete runs of a subject, milliseconds, newest first, at most `limit`.
/// For deploys, rollbacks and drills the release does not matter.
async fn whole_durations(
    db: impl SqliteExecutor<'_>,
    kind: RunKind,
    subject: &str,
    limit: i64,
) -> Result<Vec<u64>, StoreError> {
    let slug = kind.slug();
    let rows = match kind {
        RunKind::Deploy | RunKind::Rollback | RunKind::Drill => {
            sqlx::query_scalar!(
                r#"SELECT ended_at - started_at AS "ms!: i64" FROM run
                   WHERE kind = ? AND outcome = 'passed' ORDER BY id DESC LIMIT ?"#,
                slug,
                limit
            )
            .fetch_all(db)
            .await?
        }
        RunKind::Step | RunKind::Check => {
            sqlx::query_scalar!(
                r#"SELECT ended_at - started_at AS "ms!: i64" FROM run INDEXED BY run_whole
                   WHERE kind = ? AND subject = ?
                     AND (outcome = 'passed' OR (kind = 'check' AND outcome IN ('failed', 'inconclusive')))
                   ORDER BY id DESC LIMIT ?"#,
                slug,
                subject,
                limit
            )
            .fetch_all(db)
            .await?
        }
    };
    Ok(rows.into_iter().map(|ms| u64::try_from(ms).unwrap_or(0)).collect())
}

/// The expected duration of the next run of a subject: the median of its last runs, milliseconds.
pub async fn usual_ms(
    db: impl SqliteExecutor<'_>,
    kind: RunKind,
    subject: &str,
) -> Result<Option<u64>, StoreError> {
    let mut took = whole_durations(db, kind, subject, USUAL).await?;
    took.sort_unstable();
    Ok(took.get(took.len() / 2).copied())
}

/// Number of runs used for the expected duration.
const USUAL: i64 = 5;

/// A run's row as it is stored.
struct Row {
    id: i64,
    kind: String,
    subject: String,
    gate: Option<String>,
    title: String,
    release: Option<i64>,
    by: i64,
    by_name: String,
    started_at: i64,
    ended_at: Option<i64>,
    state: String,
    outcome: Option<String>,
    exit: Option<String>,
    result: Option<String>,
    because: Option<String>,
    idempotency_key: Option<String>,
}

impl Row {
    fn read(self) -> Result<Run, StoreError> {
        let outcome = RunOutcome::ALL.into_iter().find(|o| Some(o.slug()) == self.outcome.as_deref());
        Ok(Run {
            id: self.id,
            kind: RunKind::from_slug(&self.kind).ok_or(StoreError::Damaged { what: "run.kind" })?,
            subject: self.subject,
            gate: self.gate,
            title: self.title,
            release: self.release,
            by: self.by,
            by_name: self.by_name,
            started_at: Millis(self.started_at),
            ended_at: self.ended_at.map(Millis),
            state: match (self.state.as_str(), outcome) {
                ("running", _) => RunState::Running,
                ("ended", Some(outcome)) => RunState::Ended(outcome),
                ("interrupted", _) => RunState::Interrupted,
                _ => return Err(StoreError::Damaged { what: "run.state" }),
            },
            exit: json::read_some(self.exit, "run.exit")?,
            result: json::read_some(self.result, "run.result")?,
            because: self.because,
            key: self.idempotency_key,
        })
    }
}
