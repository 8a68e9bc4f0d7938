//! Evidence: what runs found for checks. Append-only.

use domain::evidence::{Evidence, Finding, Outcome};
use domain::failures::FailureCount;
use domain::release::{Release, ReleaseComponent, ReleaseComponents};
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// Adds evidence; its `id` is ignored, the store's is returned.
pub async fn add(conn: &mut SqliteConnection, evidence: &Evidence) -> Result<i64, StoreError> {
    let parts = json::write(&evidence.parts, "evidence.parts")?;
    let (finding, outcome) = (&evidence.finding, evidence.finding.outcome.slug());
    // A value that is not a finite number cannot be stored, and has no meaning.
    let value = finding.value.filter(|v| v.is_finite());
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO evidence (check_id, outcome, value, saw, wanted, next, threshold_digest, parts,
                                 release, run, by, at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        evidence.check,
        outcome,
        value,
        finding.saw,
        finding.wanted,
        finding.next,
        evidence.threshold_digest,
        parts,
        evidence.release,
        evidence.run,
        evidence.by,
        evidence.at.0
    )
    .fetch_one(conn)
    .await?)
}

/// A query for evidence. The columns are always the same; the rest differs, so that each query can use an index.
macro_rules! evidence {
    ($db:expr, $rest:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id AS "id!: i64", check_id AS "check_id!: String", outcome AS "outcome!: String",
                      value AS "value?: f64", saw AS "saw!: String", wanted AS "wanted!: String",
                      next AS "next!: String", threshold_digest AS "threshold_digest!: String",
                      parts AS "parts!: String", release AS "release!: i64", run AS "run!: i64",
                      by AS "by!: i64", at AS "at!: i64"
               FROM evidence "# + $rest
            $(, $arg)*
        )
        .fetch_all($db)
        .await?
        .into_iter()
        .map(Row::read)
        .collect::<Result<Vec<Evidence>, StoreError>>()
    };
}

/// The evidence that the rules need for a release: the last `per_check` findings of every check on any parts; and for
/// each check, declaration and set of parts of this release the newest that passed, the newest that did
/// not, and the first that did not pass since then. Oldest first. See [`failures`] for the number of failures.
pub async fn for_judging(
    db: impl SqliteExecutor<'_>,
    release: Option<i64>,
    per_check: i64,
) -> Result<Vec<Evidence>, StoreError> {
    let release = release.unwrap_or(0);
    evidence!(
        db,
        "WHERE id IN (
           WITH RECURSIVE looked_at(check_id) AS (
             SELECT min(check_id) FROM evidence
             UNION ALL
             SELECT (SELECT min(e.check_id) FROM evidence e WHERE e.check_id > c.check_id)
             FROM looked_at c WHERE c.check_id IS NOT NULL)
           SELECT e.id FROM looked_at c CROSS JOIN evidence e
             ON e.check_id = c.check_id
             AND e.id > coalesce((SELECT l.id FROM evidence l WHERE l.check_id = c.check_id
                                  ORDER BY l.id DESC LIMIT 1 OFFSET ?1), 0)
           UNION SELECT last_pass FROM evidence_group WHERE release = ?2
           UNION SELECT last_other FROM evidence_group WHERE release = ?2
           UNION SELECT failing_from FROM evidence_group WHERE release = ?2)
         ORDER BY id",
        per_check,
        release
    )
}

/// The last measured value of each check on each of the newest `releases` that have one. Oldest first.
pub async fn measured(db: impl SqliteExecutor<'_>, releases: i64) -> Result<Vec<Evidence>, StoreError> {
    evidence!(
        db,
        "WHERE id IN (
           WITH RECURSIVE looked_at(check_id) AS (
             SELECT min(check_id) FROM evidence
             UNION ALL
             SELECT (SELECT min(e.check_id) FROM evidence e WHERE e.check_id > c.check_id)
             FROM looked_at c WHERE c.check_id IS NOT NULL),
           measured(check_id, release, n) AS (
             SELECT c.check_id, (SELECT max(e.release) FROM evidence e
                                 WHERE e.check_id = c.check_id AND e.value IS NOT NULL), 1
             FROM looked_at c WHERE c.check_id IS NOT NULL
             UNION ALL
             SELECT m.check_id, (SELECT max(e.release) FROM evidence e
                                 WHERE e.check_id = m.check_id AND e.value IS NOT NULL AND e.release < m.release),
                    m.n + 1
             FROM measured m WHERE m.release IS NOT NULL AND m.n < ?1)
           SELECT (SELECT max(e.id) FROM evidence e
                   WHERE e.check_id = m.check_id AND e.release = m.release AND e.value IS NOT NULL)
           FROM measured m WHERE m.release IS NOT NULL)
         ORDER BY id",
        releases
    )
}

/// The last findings of one check, newest first, at most `limit`.
pub async fn of_check(
    db: impl SqliteExecutor<'_>,
    check: &str,
    limit: i64,
) -> Result<Vec<Evidence>, StoreError> {
    evidence!(db, "WHERE check_id = ? ORDER BY id DESC LIMIT ?", check, limit)
}

/// The evidence of a run, oldest first.
pub async fn of_run(db: impl SqliteExecutor<'_>, run: i64) -> Result<Vec<Evidence>, StoreError> {
    evidence!(db, "WHERE run = ? ORDER BY id", run)
}

/// The first finding on a release since a time that did not pass.
pub async fn first_not_passed(
    db: impl SqliteExecutor<'_>,
    release: i64,
    since: Millis,
) -> Result<Option<Evidence>, StoreError> {
    Ok(evidence!(
        db,
        "INDEXED BY evidence_not_passed WHERE release = ? AND at >= ? AND outcome <> 'pass' ORDER BY at, id LIMIT 1",
        release,
        since.0
    )?
    .pop())
}

/// How often checks did not pass on a release, by declaration and parts. Parts that differed from the release's are
/// left out.
pub async fn failures(
    db: impl SqliteExecutor<'_>,
    release: &Release,
) -> Result<Vec<FailureCount>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT check_id AS "check_id!: String", threshold_digest AS "threshold_digest!: String",
                  same AS "same!: String", images AS "images!: String", not_passed AS "not_passed!: i64"
           FROM evidence_group WHERE release = ? AND not_passed > 0"#,
        release.id
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            let same = |part: &ReleaseComponent| r.same.split(' ').any(|label| label == part.label());
            let values = release.parts.values.iter().filter(|(part, _)| same(part));
            Ok(FailureCount {
                check: r.check_id,
                release: release.id,
                threshold_digest: r.threshold_digest,
                parts: ReleaseComponents {
                    values: values.map(|(part, value)| (*part, value.clone())).collect(),
                    images: json::read(&r.images, "evidence_group.images")?,
                },
                count: u32::try_from(r.not_passed).unwrap_or(u32::MAX),
            })
        })
        .collect()
}

/// A person who ran a check on a release, and the first run in which they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRunner {
    /// The check.
    pub check: String,
    /// Person id.
    pub by: i64,
    /// Id of the run.
    pub run: i64,
}

/// All people who ran a check on a release.
pub async fn runners(db: impl SqliteExecutor<'_>, release: i64) -> Result<Vec<CheckRunner>, StoreError> {
    Ok(sqlx::query_as!(
        CheckRunner,
        r#"SELECT check_id AS "check!: String", by AS "by!: i64", run AS "run!: i64"
           FROM evidence_runner WHERE release = ? ORDER BY run, check_id"#,
        release
    )
    .fetch_all(db)
    .await?)
}

/// A row of evidence as it is stored.
struct Row {
    id: i64,
    check_id: String,
    outcome: String,
    value: Option<f64>,
    saw: String,
    wanted: String,
    next: String,
    threshold_digest: String,
    parts: String,
    release: i64,
    run: i64,
    by: i64,
    at: i64,
}

impl Row {
    fn read(self) -> Result<Evidence, StoreError> {
        let outcome = [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive]
            .into_iter()
            .find(|o| o.slug() == self.outcome)
            .ok_or(StoreError::Damaged { what: "evidence.outcome" })?;
        Ok(Evidence {
            id: self.id,
            check: self.check_id,
            finding: Finding {
                outcome,
                value: self.value,
                saw: self.saw,
                wanted: self.wanted,
                next: self.next,
            },
            threshold_digest: self.threshold_digest,
            parts: json::read(&self.parts, "evidence.parts")?,
            release: self.release,
            run: self.run,
            by: self.by,
            at: Millis(self.at),
        })
    }
}
