//! Retention: logs of runs and evidence of scheduled checks that nothing refers to and that may be removed.

use std::collections::BTreeSet;

use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor, SqlitePool};

use super::{StoreError, json};

/// Number of newest evidence rows per check that are always kept, because its page shows them.
const STAYS: i64 = 10;

/// Releases of which only repeated evidence may be removed: the last ones that ran or were opened, and those that were
/// attested, accepted, signed or decided on, or that belong to an incident.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn referred_releases(db: impl SqliteExecutor<'_>) -> Result<BTreeSet<i64>, StoreError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT release AS "id!: i64" FROM sign_off
           UNION SELECT release FROM decision
           UNION SELECT release FROM acceptance
           UNION SELECT release FROM attestation
           UNION SELECT from_release FROM incident WHERE from_release IS NOT NULL
           UNION SELECT to_release FROM incident
           UNION SELECT release FROM (SELECT release FROM release_event
                                      WHERE kind IN ('opened', 'deployed', 'failed', 'rolled_back_to')
                                      ORDER BY id DESC LIMIT 3)"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().collect())
}

/// A row that may be old enough to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: i64,
    /// When it began or was found.
    pub at: Millis,
}

/// Runs with an id above `after` whose directory exists, in order.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn runs_after(
    db: impl SqliteExecutor<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<Candidate>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT d.run AS "id!: i64", r.started_at AS "at!: i64" FROM run_directory d CROSS JOIN run r ON r.id = d.run
           WHERE d.run > ? ORDER BY d.run LIMIT ?"#,
        after,
        limit
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|r| Candidate { id: r.id, at: Millis(r.at) }).collect())
}

/// Evidence of scheduled checks with an id above `after`, in order.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn evidence_after(
    db: impl SqliteExecutor<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<Candidate>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: i64", at AS "at!: i64" FROM evidence WHERE id > ? AND by = 0 ORDER BY id LIMIT ?"#,
        after,
        limit
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|r| Candidate { id: r.id, at: Millis(r.at) }).collect())
}

/// Those of the runs `ids` that ended before a time and whose log nothing refers to, in order. Never the last run of
/// its kind and subject, nor a run with the newest evidence of a check. Of the releases `referred` only scheduled runs
/// of checks whose evidence is not needed.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn runs(
    db: &SqlitePool,
    ended_before: Millis,
    referred: &BTreeSet<i64>,
    ids: &[i64],
) -> Result<Vec<i64>, StoreError> {
    let (releases, ids) = (json::write(&referred, "release.id")?, json::write(&ids, "run.id")?);
    let rows = sqlx::query!(
        r#"SELECT r.id AS "id!: i64",
                  coalesce(r.release IN (SELECT value FROM json_each(?3)), 0) AS "referred!: bool",
                  r.by = 0 AND r.kind = 'check'
                    AND NOT EXISTS (SELECT 1 FROM migration_list m WHERE m.release = r.release AND m.run = r.id) AS "scheduled!: bool"
           FROM run r
           WHERE r.id IN (SELECT value FROM json_each(?1)) AND r.state <> 'running' AND r.ended_at < ?2
             AND NOT EXISTS (SELECT 1 FROM pruned p WHERE p.kind = 'run' AND p.entry = r.id)
             AND NOT EXISTS (SELECT 1 FROM incident i WHERE i.run = r.id)
             AND EXISTS (SELECT 1 FROM run n WHERE n.kind = r.kind AND n.subject = r.subject AND n.id > r.id)
             AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.run = r.id
                             AND NOT EXISTS (SELECT 1 FROM evidence n WHERE n.check_id = e.check_id AND n.id > e.id))
           ORDER BY r.id"#,
        ids,
        ended_before.0,
        releases
    )
    .fetch_all(db)
    .await?;
    let in_question: Vec<i64> = rows.iter().filter(|r| r.referred && r.scheduled).map(|r| r.id).collect();
    let found = of_runs(db, &in_question).await?;
    let repeats = repeats(db, &found.iter().map(|(_, evidence)| *evidence).collect::<Vec<_>>()).await?;
    let needed: BTreeSet<i64> =
        found.into_iter().filter(|(_, evidence)| !repeats.contains(evidence)).map(|(run, _)| run).collect();
    let is_removable =
        |id: i64, referred: bool, scheduled: bool| !referred || (scheduled && !needed.contains(&id));
    Ok(rows.into_iter().filter(|r| is_removable(r.id, r.referred, r.scheduled)).map(|r| r.id).collect())
}

/// Those of the evidence rows `ids` that scheduled checks collected before a time and that nothing refers to, in order.
/// Never the newest of a check, nor evidence that would count if its release became current again. Of the releases
/// `referred` only rows with the same result as the rows before and after them.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn evidence(
    db: &SqlitePool,
    before: Millis,
    referred: &BTreeSet<i64>,
    ids: &[i64],
) -> Result<Vec<i64>, StoreError> {
    let (releases, ids) = (json::write(&referred, "release.id")?, json::write(&ids, "evidence.id")?);
    let rows = sqlx::query!(
        r#"SELECT e.id AS "id!: i64", e.release IN (SELECT value FROM json_each(?3)) AS "referred!: bool"
           FROM evidence e
           WHERE e.id IN (SELECT value FROM json_each(?1)) AND e.by = 0 AND e.at < ?2
             AND (SELECT count(*) FROM (SELECT 1 FROM evidence n
                                        WHERE n.check_id = e.check_id AND n.id > e.id LIMIT ?4)) = ?4
             AND NOT EXISTS (SELECT 1 FROM evidence_group g WHERE g.release = e.release AND g.check_id = e.check_id
                             AND e.id IN (g.last_pass, g.last_other, g.failing_from))
           ORDER BY e.id"#,
        ids,
        before.0,
        releases,
        STAYS
    )
    .fetch_all(db)
    .await?;
    let in_question: Vec<i64> = rows.iter().filter(|r| r.referred).map(|r| r.id).collect();
    let repeats = repeats(db, &in_question).await?;
    Ok(rows.into_iter().filter(|r| !r.referred || repeats.contains(&r.id)).map(|r| r.id).collect())
}

/// The evidence of runs: (run, evidence).
async fn of_runs(db: &SqlitePool, runs: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
    let runs = json::write(&runs, "run.id")?;
    let rows = sqlx::query!(
        r#"SELECT run AS "run!: i64", id AS "id!: i64" FROM evidence
           WHERE run IN (SELECT value FROM json_each(?)) ORDER BY id"#,
        runs
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(|r| (r.run, r.id)).collect())
}

/// Those of the evidence rows `ids` that repeat what their check found before and after them, on the same release
/// and parts, while there was no sign-off, decision, acceptance, attestation, release event or incident. Of many equal
/// findings the first and the last are kept, and those around each such event, so that the evidence for a sign-off can
/// be read later.
async fn repeats(db: &SqlitePool, ids: &[i64]) -> Result<BTreeSet<i64>, StoreError> {
    let ids = json::write(&ids, "evidence.id")?;
    let rows = sqlx::query_scalar!(
        r#"WITH moment(release, at) AS MATERIALIZED (
             SELECT release, at FROM sign_off
             UNION SELECT release, at FROM decision
             UNION SELECT release, at FROM acceptance
             UNION SELECT release, at FROM attestation
             UNION SELECT release, at FROM release_event
             UNION SELECT from_release, at FROM incident WHERE from_release IS NOT NULL
             UNION SELECT to_release, at FROM incident)
           SELECT e.id AS "id!: i64" FROM evidence e
           JOIN evidence p ON p.id = (SELECT max(id) FROM evidence WHERE check_id = e.check_id AND id < e.id)
           JOIN evidence n ON n.id = (SELECT min(id) FROM evidence WHERE check_id = e.check_id AND id > e.id)
           WHERE e.id IN (SELECT value FROM json_each(?1))
             AND (p.release, p.threshold_digest, p.parts, p.outcome, p.value IS NULL)
               = (e.release, e.threshold_digest, e.parts, e.outcome, e.value IS NULL)
             AND (n.release, n.threshold_digest, n.parts, n.outcome, n.value IS NULL)
               = (e.release, e.threshold_digest, e.parts, e.outcome, e.value IS NULL)
             AND NOT EXISTS (SELECT 1 FROM moment m WHERE m.release = e.release AND m.at BETWEEN p.at AND n.at)"#,
        ids
    );
    Ok(rows.fetch_all(db).await?.into_iter().collect())
}

/// Runs that have ended and whose directory was not measured yet, the oldest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn unmeasured(db: impl SqliteExecutor<'_>, limit: i64) -> Result<Vec<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT d.run AS "id!: i64" FROM run_directory d CROSS JOIN run r ON r.id = d.run
           WHERE d.bytes IS NULL AND r.state <> 'running' ORDER BY d.run LIMIT ?"#,
        limit
    )
    .fetch_all(db)
    .await?)
}

/// Records the sizes of directories of runs, bytes.
///
/// # Errors
/// Fails when the store cannot be written.
pub async fn measured(conn: &mut SqliteConnection, sizes: &[(i64, u64)]) -> Result<(), StoreError> {
    for (run, bytes) in sizes {
        let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
        sqlx::query!("UPDATE run_directory SET bytes = ? WHERE run = ?", bytes, run)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Total size of all measured directories of runs, bytes.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn run_bytes(db: impl SqliteExecutor<'_>) -> Result<u64, StoreError> {
    let bytes =
        sqlx::query_scalar!(r#"SELECT bytes AS "bytes!: i64" FROM run_storage"#).fetch_one(db).await?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Those of the runs `ids` whose log retention has removed.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn pruned(db: impl SqliteExecutor<'_>, ids: &[i64]) -> Result<Vec<i64>, StoreError> {
    let ids = json::write(&ids, "pruned.entry")?;
    Ok(sqlx::query_scalar!(
        r#"SELECT entry AS "entry!: i64" FROM pruned
           WHERE kind = 'run' AND entry IN (SELECT value FROM json_each(?))"#,
        ids
    )
    .fetch_all(db)
    .await?)
}

/// Records what retention removes. Must be called before the removal, in the same transaction.
///
/// # Errors
/// Fails when the store cannot be written.
pub async fn mark(
    conn: &mut SqliteConnection,
    kind: &str,
    ids: &[i64],
    at: Millis,
) -> Result<(), StoreError> {
    let ids = json::write(&ids, "pruned.entry")?;
    sqlx::query!(
        "INSERT OR IGNORE INTO pruned (kind, entry, at) SELECT ?1, value, ?2 FROM json_each(?3)",
        kind,
        at.0,
        ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes evidence that [`mark`] has recorded.
///
/// # Errors
/// Fails when a row was not recorded.
pub async fn delete_evidence(conn: &mut SqliteConnection, ids: &[i64]) -> Result<u64, StoreError> {
    let ids = json::write(&ids, "evidence.id")?;
    let done = sqlx::query!("DELETE FROM evidence WHERE id IN (SELECT value FROM json_each(?))", ids)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// When retention removed the log of a run.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn run_pruned_at(db: impl SqliteExecutor<'_>, run: i64) -> Result<Option<Millis>, StoreError> {
    let at = sqlx::query_scalar!("SELECT at FROM pruned WHERE kind = 'run' AND entry = ?", run)
        .fetch_optional(db)
        .await?;
    Ok(at.map(Millis))
}
